"""InfluxDB 2, one node: a program that is installed (`TAPELINE_INFLUXD`, else `influxd` on the PATH), else built from source.

Building takes minutes, so it is done when InfluxDB is asked for by name, or ahead by `make influxd`; a stack of all servers
leaves InfluxDB out, and says so, as long as the program is not there.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from tapeline.embedded import _influxd_build
from tapeline.embedded._errors import EmbeddedError, PackagesMissing
from tapeline.embedded._folders import cache_folder
from tapeline.embedded._ports import HOST
from tapeline.embedded._process import Command, ask
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site

PORTS: tuple[str, ...] = ("influxdb",)
NEEDS: tuple[str, ...] = ()
MAVEN: tuple[str, ...] = ()
STOP_SIGNAL: signal.Signals = signal.SIGINT  # SIGTERM ends it without a clean shutdown

PROGRAM_VARIABLE = "TAPELINE_INFLUXD"
"""Environment variable with the path of a program of one's own."""

_NAME = "tapeline"
"""Both the user and the organisation."""
_FIRST_BUCKET = "default"
"""A bucket that InfluxDB insists on at its set-up; nothing uses it."""
_KEPT = ("PATH", "HOME", "TZ")


def check(home: Path) -> str:
    """Version of the program, or that it can be built; `home` needs nothing special.

    Raises:
        PackagesMissing: it is not there and cannot be built, or does not run here.

    """
    program = _program(cache_folder())
    if program is None:
        if missing := _influxd_build.missing_tools():
            raise PackagesMissing(
                f"InfluxDB is not installed, and cannot be built without {', '.join(missing)}: install these, put influxd 2 on "
                f"the PATH, or name it by {PROGRAM_VARIABLE}"
            )
        return f"InfluxDB {_influxd_build.VERSION} is to be built"
    try:
        version = ask(Command([program, "version"], _environment()))
    except EmbeddedError as error:
        raise PackagesMissing(f"InfluxDB does not run on this machine: {error}") from error
    if not version.startswith("InfluxDB v2."):
        raise PackagesMissing(f"{program} is not InfluxDB 2: it calls itself {version.splitlines()[0]!r:.80}")
    return version.splitlines()[0]


def lacks(cache: Path) -> str:
    """What is to be done before it can start, empty when the program is there."""
    if _program(cache) is not None:
        return ""
    try:
        check(cache)
    except PackagesMissing as error:
        return str(error)
    return "it is not installed; `make influxd` or `tapeline up influxdb` builds it from source, in six minutes or so"


def build(cache: Path, progress: Progress) -> None:
    """Build the program unless there is one."""
    if _program(cache) is None:
        _influxd_build.build(cache, progress)


def install(cache: Path, scratch: Path) -> None:
    """The program runs as it is."""


def prepare(site: Site) -> None:
    """Make up the password and the token; the server is set up with them when it first answers."""
    (site.home / "data").mkdir()
    for name in ("password", "token"):
        file = site.home / name
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(32))


def command(site: Site) -> Command:
    """The server on loopback, with its data in files of its own."""
    data = site.home / "data"
    options = {
        "http-bind-address": f"{HOST}:{site.ports['influxdb']}",
        "bolt-path": data / "influxd.bolt",
        "sqlite-path": data / "influxd.sqlite",
        "engine-path": data / "engine",
        "log-level": "warn",
        "storage-wal-fsync-delay": "0s",  # a write is answered when it is on the disk
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return Command([_program(site.cache) or "influxd", *words, "--reporting-disabled"], _environment())


def answer(site: Site) -> None:
    """A request with our token, which works when it is set up; sets it up the first time."""
    status, said = _request(site, "GET", "/health")
    if status != 200:
        raise NotReady(f"answers {status} when asked for its health: {said}")
    if json.loads(_request(site, "GET", "/api/v2/setup")[1]).get("allowed"):
        names = {"username": _NAME, "org": _NAME, "bucket": _FIRST_BUCKET}
        secret = {name: _secret(site, name) for name in ("password", "token")}
        status, said = _request(site, "POST", "/api/v2/setup", json.dumps(names | secret))
        if status != 201:
            raise NotReady(f"answers {status} to its set-up: {said}")
    status, said = _request(site, "GET", f"/api/v2/buckets?name={_FIRST_BUCKET}")
    if status != 200:
        raise NotReady(f"answers {status} to our token: {said}")


def address(site: Site) -> str:
    """Address of its API with the organisation as the user and the token as the password."""
    return f"http://{_NAME}:{quote(_secret(site, 'token'), safe='')}@{HOST}:{site.ports['influxdb']}"


def _request(site: Site, method: str, path: str, body: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, site.ports["influxdb"], timeout=5)
    try:
        connection.request(method, path, body.encode(), {"Authorization": f"Token {_secret(site, 'token')}"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")[:1000]
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"does not answer: {error}") from error
    finally:
        connection.close()


def _secret(site: Site, name: str) -> str:
    return (site.home / name).read_text()


def _environment() -> dict[str, str]:
    """Nothing of the user's own settings of an InfluxDB (`INFLUXD_…`) gets through."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _program(cache: Path) -> Path | None:
    """The program to run: the one named, else the one on the PATH, else the one built."""
    if named := os.environ.get(PROGRAM_VARIABLE):
        return Path(named).expanduser().absolute()
    if found := shutil.which("influxd"):
        return Path(found)
    built = _influxd_build.program(cache)
    return built if built.exists() else None
