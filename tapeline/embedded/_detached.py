"""Servers that outlive the command: started by one, found and stopped by others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tapeline.embedded import _process, _server, _state
from tapeline.embedded._claim import check_port_names, choose_ports, claimed, make_folder, make_ready, running, stop_all
from tapeline.embedded._errors import StackBusy
from tapeline.embedded._folders import DataFolder, cache_folder
from tapeline.embedded._launch import START_TIMEOUT, Launcher
from tapeline.embedded._owner import Ownership
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import Addresses, NotReady
from tapeline.embedded._state import State


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server of a data folder; `memory` in bytes, `detail` says what is wrong with one that runs but is not ready."""

    server: str
    condition: Literal["ready", "not ready", "ended", "stopped"]
    address: str | None = None
    pid: int | None = None
    memory: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """What `up` did: the servers it started (none: all ran already) and where all are."""

    started: list[str]
    addresses: Addresses


def up(
    folder: DataFolder,
    servers: Iterable[str] | None = None,
    *,
    ports: Mapping[str, int] | None = None,
    progress: Progress | None = None,
    timeout: float = START_TIMEOUT,
) -> Started:
    """Start what does not run yet of `servers` (all that can start at once by default) and what they need; leave it running.

    Until all answer they are this process's: when it is killed in between, the folder's servers are stopped.

    Raises:
        EmbeddedError: a server cannot be started; those started by this call are stopped again.

    """
    progress = progress or Progress()
    wanted = _server.with_needs(_server.startable(cache_folder(), progress) if servers is None else servers)
    check_port_names(wanted, ports or {})
    make_folder(folder)
    with claimed(folder, progress) as state:
        launcher = Launcher(folder, state, cache_folder(), progress, timeout=timeout)
        _refuse_other_ports(state, ports or {})
        absent = [server for server in wanted if server not in running(state)]
        if absent:
            make_ready(folder, absent, launcher.cache, progress)
            absent = _place(launcher, absent, ports or {})
            ownership = Ownership(folder)
            launcher.start_owned(ownership, absent)
            ownership.give_up(state)
            launcher.leave()
        return Started(absent, _addresses(launcher, wanted))


def down(folder: DataFolder, progress: Progress | None = None) -> list[str]:
    """Stop the servers of `folder`; returns the names of those that ran.

    Raises:
        StackBusy: they belong to a living process.

    """
    if not folder.state.exists():
        return []
    with claimed(folder, progress or Progress()) as state:
        return stop_all(folder, state, progress or Progress())


def status(folder: DataFolder) -> list[ServerStatus]:
    """How every server of `folder` is; asks each that runs whether it is ready."""
    state = _state.load(folder.state)
    launcher = Launcher(folder, state, cache_folder(), Progress())
    return [_status_of(launcher, server) for server in _server.names()]


def addresses(folder: DataFolder) -> Addresses:
    """Where the servers of `folder` that run now are; does not ask whether they are ready.

    Raises:
        EmbeddedError: the folder's state cannot be read.

    """
    state = _state.load(folder.state)
    return _addresses(Launcher(folder, state, cache_folder(), Progress()), running(state))


def _status_of(launcher: Launcher, server: str) -> ServerStatus:
    recorded = launcher.state.processes.get(server)
    process = _process.find(recorded) if recorded else None
    if recorded is None or process is None:
        return ServerStatus(server, "ended" if recorded else "stopped")
    module, site = _server.load(server), launcher.site(server)
    living = ServerStatus(server, "ready", module.address(site), process.pid, _process.memory(process))
    try:
        module.answer(site)
    except NotReady as error:
        return replace(living, condition="not ready", detail=str(error))
    return living


def _place(launcher: Launcher, absent: list[str], ports: Mapping[str, int]) -> list[str]:
    """Choose ports for `absent`; servers that run and need one whose port had to change are stopped and returned with them."""
    before = dict(launcher.state.ports)
    choose_ports(launcher.state, absent, ports)
    moved = {server for server in absent if _ports_of(server, before) != _ports_of(server, launcher.state.ports)}
    astray = [server for server in running(launcher.state) if moved.intersection(_server.load(server).NEEDS)]
    launcher.stop(astray)
    return _server.with_needs([*absent, *astray]) if astray else absent


def _ports_of(server: str, ports: Mapping[str, int]) -> list[int | None]:
    return [ports.get(name) for name in _server.load(server).PORTS]


def _refuse_other_ports(state: State, ports: Mapping[str, int]) -> None:
    for server in running(state):
        for name in _server.load(server).PORTS:
            if name in ports and ports[name] != state.ports[name]:
                raise StackBusy(f"{server} runs already, with port {state.ports[name]} as {name}; stop it first")


def _addresses(launcher: Launcher, servers: Iterable[str]) -> Addresses:
    return Addresses({server: _server.load(server).address(launcher.site(server)) for server in servers})
