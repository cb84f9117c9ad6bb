"""What a server of the embedded stack is: one file in this folder whose name is the server's name.

A server module holds facts and small functions; starting, recording, health checks and stopping are the stack's (`_launch`).
A file whose name begins with an underscore is no server.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from tapeline.embedded._errors import EmbeddedError
from tapeline.embedded._process import Command
from tapeline.embedded._progress import Progress


@dataclass(frozen=True, slots=True)
class Site:
    """What a server is given to work with.

    `home` is its own folder in the data folder and the working directory of its process; its data go to `home / "data"`.
    `ports` are all ports of the stack by name. `cache` holds the downloads. `durable` is false for throw-away data that need
    not survive a power cut. `run` runs a program to its end in `home` with its output in the server's log: (command, input).
    """

    home: Path
    ports: Mapping[str, int]
    cache: Path
    durable: bool
    run: Callable[[Command, str], None]


class Addresses(dict[str, str]):
    """Address by server's name, also as attributes: `addresses.kafka`. PostgreSQL's holds its password."""

    def __getattr__(self, server: str) -> str:
        """Address of a server of this stack."""
        try:
            return self[server]
        except KeyError:
            raise AttributeError(f"no server {server!r} in this stack; it has {', '.join(self) or 'none'}") from None


class NotReady(Exception):
    """The server does not answer yet; the text says why."""


class Server(Protocol):
    """The names a server module has."""

    PORTS: tuple[str, ...]
    """Names of the ports it listens on; the one its clients use has the server's name."""
    NEEDS: tuple[str, ...]
    """Servers it cannot work without: started with it, stopped after it."""
    MAVEN: tuple[str, ...]
    """Maven coordinates it is made of (`group:artifact[:packaging:classifier]:version`), without what these depend on."""
    STOP_SIGNAL: signal.Signals
    """The signal on which it ends in good order without waiting for its clients."""

    def check(self, home: Path) -> str:
        """Version of the program when it runs on this machine and can work in `home`; raises `EmbeddedError` if not."""

    def lacks(self, cache: Path) -> str:
        """Why it cannot start at once; where that is not empty, the server is started only when it is asked for by name."""

    def build(self, cache: Path, progress: Progress) -> None:
        """Make from source what takes minutes, unless it is in the cache; other stacks may be started meanwhile."""

    def install(self, cache: Path, scratch: Path) -> None:
        """Make what it needs of its downloads, in the cache; called before each start, so quick when all is there.

        `scratch` is for drafts, on the same file system; one process does this at a time.
        """

    def prepare(self, site: Site) -> None:
        """Make the data for the first start, in a folder `home / "data"` that is not there yet."""

    def command(self, site: Site) -> Command:
        """The program to run; settings are written anew for each start, as ports may change."""

    def answer(self, site: Site) -> None:
        """Ask the server something that only works when it is ready; raises `NotReady` otherwise."""

    def address(self, site: Site) -> str:
        """What its clients connect to, with password."""


def names() -> list[str]:
    """The servers there are: the files of this folder."""
    folder = Path(__file__).parent
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_"))


def load(name: str) -> Server:
    """The server called `name`."""
    if name not in names():
        raise EmbeddedError(f"there is no server called {name!r}; there are {', '.join(names())}")
    return cast("Server", importlib.import_module(f"tapeline.embedded.{name}"))


def startable(cache: Path, progress: Progress) -> list[str]:
    """The servers that a stack of all has: those that can start at once; why another is left out is told."""
    found = []
    for name in names():
        if reason := load(name).lacks(cache):
            progress.note(f"{name} is left out: {reason}")
        else:
            found.append(name)
    return found


def with_needs(wanted: Iterable[str]) -> list[str]:
    """`wanted` and what they need, each after what it needs."""
    ordered: list[str] = []
    for name in wanted:
        for each in (*with_needs(load(name).NEEDS), name):
            if each not in ordered:
                ordered.append(each)
    return ordered
