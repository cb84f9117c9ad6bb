"""InfluxDB's server made from source, where Go, cargo and a C compiler are installed: nobody publishes it as a package.

Sources come through the Go module proxy and crates.io, compared with the sums in `_influxd/go.sum` and in Flux's own
`Cargo.lock`. One process builds at a time, with a lock of its own: other servers can be started meanwhile.

`python -m tapeline.embedded._influxd_build` builds it ahead of time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from tapeline.embedded._errors import EmbeddedError, FolderUnusable, PackagesMissing
from tapeline.embedded._folders import cache_folder, make_usable, need_space
from tapeline.embedded._lock import held
from tapeline.embedded._process import last_lines
from tapeline.embedded._progress import ConsoleProgress, Progress

VERSION = "2.7.12"
TOOLS = {"go": ("go",), "cargo": ("cargo",), "a C compiler": ("cc", "gcc", "clang")}
"""What the build needs, and the programs of which each may be."""

_MODULE = Path(__file__).with_name("_influxd")
_SPACE = 6 * 1024 * 1024 * 1024
_TELL_EVERY = 30.0  # seconds between two notes on how far it is
_LONGEST = 3600.0
# Flux denies warnings, and newer compilers know more of them.
_RUSTC = """\
#!/bin/sh
case "$*" in
    *--cap-lints*) exec "$@" ;;
    *) exec "$@" --cap-lints warn ;;
esac
"""


def program(cache: Path) -> Path:
    """Where the program is once it is built."""
    return cache / f"influxd-{VERSION}"


def missing_tools() -> list[str]:
    """What this machine lacks to build it."""
    return [name for name, programs in TOOLS.items() if not any(map(shutil.which, programs))]


def build(cache: Path, progress: Progress) -> None:
    """Build the program unless it is there; waits for another process that builds it.

    Raises:
        PackagesMissing: Go, cargo or a C compiler is not installed.
        FolderUnusable: the cache cannot be written or is full.
        EmbeddedError: the build failed; the text has its last lines.

    """
    if program(cache).exists():
        return
    if missing := missing_tools():
        raise PackagesMissing(f"InfluxDB cannot be built here: {', '.join(missing)} is not installed")
    make_usable(cache)
    with held(cache / "influxd.lock", lambda: progress.note("waiting for another process that builds InfluxDB")):
        if not program(cache).exists():
            need_space(cache, _SPACE, "building InfluxDB")
            _build(cache, progress)


def _build(cache: Path, progress: Progress) -> None:
    place = cache / "influxd-build"  # always the same: at another path the Rust part would be compiled anew
    try:
        place.mkdir(exist_ok=True)
        log = place / "build.log"
        log.unlink(missing_ok=True)
        wrapper = place / "rustc-wrapper"  # not by the name of the compiler, which is looked for here first
        wrapper.write_text(_RUSTC)
        wrapper.chmod(0o755)
    except OSError as error:
        raise FolderUnusable(f"cannot write to {place}: {error.strerror}") from error
    progress.note(f"building InfluxDB {VERSION} from source, this one time: six minutes or so on two cores; see {log}")
    draft, finder, environment = place / "influxd", place / "pkg-config", _environment(place, wrapper)
    _go(["build", "-o", str(finder), "github.com/influxdata/pkg-config"], environment, log, progress)
    tags = ["-tags", "noui,sqlite_foreign_keys,sqlite_json", "-ldflags", f"-s -w -X main.version=v{VERSION}"]
    main = "github.com/influxdata/influxdb/v2/cmd/influxd"
    _go(["build", "-v", *tags, "-o", str(draft), main], environment | {"PKG_CONFIG": str(finder)}, log, progress)
    draft.replace(program(cache))


def _environment(place: Path, wrapper: Path) -> dict[str, str]:
    """What the compilers are told, beside the user's own settings of proxies and caches."""
    return os.environ | {
        "PATH": os.pathsep.join([str(place), os.environ.get("PATH", os.defpath)]),
        "CGO_ENABLED": "1",
        "RUSTUP_TOOLCHAIN": os.environ.get("RUSTUP_TOOLCHAIN", "stable"),  # not the one that Flux asks for
        "RUSTC_WRAPPER": str(wrapper),
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "2",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    }


def _go(arguments: list[str], environment: Mapping[str, str], log: Path, progress: Progress) -> None:
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603  # our own command
            [shutil.which("go") or "go", *arguments],
            cwd=_MODULE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            _wait(child, log, progress)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # the compilers it has started as well
            child.wait()
    if child.returncode:
        raise EmbeddedError(f"building InfluxDB failed: go ended with code {child.returncode}; {log} ends:\n{last_lines(log)}")


def _wait(child: subprocess.Popen[bytes], log: Path, progress: Progress) -> None:
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < _LONGEST:
        try:
            child.wait(_TELL_EVERY)
            return
        except subprocess.TimeoutExpired:
            progress.note(f"building InfluxDB: {seconds + _TELL_EVERY:.0f} s  {last_lines(log, 1)}".rstrip())
    raise EmbeddedError(f"building InfluxDB did not end within {_LONGEST:.0f} s")


def main() -> None:
    """Build it into the user's cache; what was begun ends with this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    with ConsoleProgress(console) as progress:
        build(cache_folder(), progress)
        progress.note(f"InfluxDB {VERSION} is at {program(cache_folder())}")


if __name__ == "__main__":
    main()
