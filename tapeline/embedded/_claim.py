"""Who may change a data folder: one command at a time, and nobody else while a living process owns its servers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tapeline.embedded import _ports, _process, _server, _state
from tapeline.embedded._cache import provide
from tapeline.embedded._errors import EmbeddedError, StackBusy
from tapeline.embedded._folders import DATA_SPACE, DataFolder, cache_folder, make_usable, need_space
from tapeline.embedded._launch import Launcher
from tapeline.embedded._lock import held
from tapeline.embedded._progress import Progress
from tapeline.embedded._state import State


@contextmanager
def claimed(folder: DataFolder, progress: Progress) -> Iterator[State]:
    """The folder's state, while no other command can change it; waits for one that does. The folder must be there.

    Servers without their owner, left by a crash, are stopped first.

    Raises:
        StackBusy: a living process other than this one owns the servers.

    """
    with held(folder.lock, lambda: progress.note(f"waiting for another command that works on {folder.path}")):
        state = _state.load(folder.state)
        _settle_owner(folder, state, progress)
        yield state


def _settle_owner(folder: DataFolder, state: State, progress: Progress) -> None:
    if state.owner is None:
        return
    owner = _process.find(state.owner)
    if owner and owner.pid == os.getpid():
        return
    if owner:
        raise StackBusy(
            f"the servers in {folder.path} belong to process {owner.pid} ({_command_line(owner)}), which stops them when it "
            "ends; end it or choose another data folder"
        )
    if running(state):
        progress.note(f"stopping servers that process {state.owner.pid} left behind")
    stop_all(folder, state, progress)


def stop_all(folder: DataFolder, state: State, progress: Progress) -> list[str]:
    """Stop every recorded server and forget the owner; returns those that ran."""
    stopped = running(state)
    Launcher(folder, state, cache_folder(), progress).stop(list(state.processes))
    state.owner = None
    _state.save(folder.state, state)
    return stopped


def running(state: State) -> list[str]:
    """The recorded servers whose process lives."""
    return [server for server, recorded in state.processes.items() if _process.find(recorded)]


def make_ready(folder: DataFolder, servers: Iterable[str], cache: Path, progress: Progress) -> None:
    """Check all that can be checked before a start, and download what is missing."""
    servers = list(servers)
    for server in servers:
        _server.load(server).check(folder.home(server))
    need_space(folder.path, DATA_SPACE, "the servers' data")
    provide(servers, cache, progress)


def make_folder(folder: DataFolder) -> None:
    """Create the data folder; root's must let the database's user pass."""
    as_root = os.geteuid() == 0
    make_usable(folder.path, mode=0o711 if as_root else 0o700)
    if as_root:
        folder.path.chmod(folder.path.stat().st_mode | 0o011)


def choose_ports(state: State, servers: Iterable[str], wanted: Mapping[str, int]) -> None:
    """Give each of `servers` its ports in `state`."""
    names = port_names(servers)
    asked = {name: port for name, port in wanted.items() if name in names}
    state.ports |= _ports.choose(names, wanted=asked, remembered=state.ports)


def check_port_names(servers: Iterable[str], wanted: Mapping[str, int]) -> None:
    """Raise `EmbeddedError` unless every port wanted is one of these servers'."""
    names = port_names(servers)
    if unknown := sorted(set(wanted) - set(names)):
        raise EmbeddedError(f"no server to start has a port called {', '.join(unknown)}; there are {', '.join(names)}")


def port_names(servers: Iterable[str]) -> list[str]:
    """The names of all ports of `servers`."""
    return [name for server in servers for name in _server.load(server).PORTS]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:80]
    except psutil.Error:
        return "unknown"
