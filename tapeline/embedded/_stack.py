"""The embedded stack of one process: real servers that live no longer than it does."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tapeline.embedded import _process, _server
from tapeline.embedded._claim import check_port_names, choose_ports, claimed, make_folder, make_ready, running
from tapeline.embedded._errors import StackBusy
from tapeline.embedded._folders import DataFolder, cache_folder
from tapeline.embedded._launch import START_TIMEOUT, Launcher
from tapeline.embedded._owner import Ownership
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import Addresses
from tapeline.embedded._state import State


class EmbeddedStack:
    """Servers that run inside a `with` block, on loopback, with their data in `data_dir`; a second use finds the data again.

    They are stopped at the block's end. When this process dies in any other way, even killed, a guard process stops them.

    Args:
        data_dir: created when missing; must not be in use.
        servers: names of server files; what they need is added. By default all that can start at once.
        ports: port by name (`kafka`, `registry`, …) where it must be a certain one; others are chosen and kept.
        durable: false lets PostgreSQL lose data in a power cut, which is faster.
        progress: told what happens.
        timeout: seconds within which each server must answer.

    Raises:
        EmbeddedError: on entry, when a server cannot be started; nothing is left running then.

    """

    def __init__(
        self,
        data_dir: Path,
        servers: Iterable[str] | None = None,
        *,
        ports: Mapping[str, int] | None = None,
        durable: bool = True,
        progress: Progress | None = None,
        timeout: float = START_TIMEOUT,
    ) -> None:
        self.folder = DataFolder(data_dir.expanduser().absolute())
        self._ports = ports or {}
        self._progress = progress or Progress()
        self.servers = _server.with_needs(_server.startable(cache_folder(), self._progress) if servers is None else servers)
        self._launcher = Launcher(self.folder, State(), cache_folder(), self._progress, durable, timeout)
        self._ownership = Ownership(self.folder)

    def __enter__(self) -> Self:
        check_port_names(self.servers, self._ports)
        make_folder(self.folder)
        with claimed(self.folder, self._progress) as state:
            if running(state) or state.owner:
                raise StackBusy(f"servers run in {self.folder.path} already; stop them or choose another data folder")
            make_ready(self.folder, self.servers, self._launcher.cache, self._progress)
            choose_ports(state, self.servers, self._ports)
            self._launcher.state = state
            self._launcher.start_owned(self._ownership, self.servers)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        with claimed(self.folder, self._progress):
            try:
                self._launcher.stop(self.servers)
            finally:
                self._ownership.give_up(self._launcher.state)

    @property
    def addresses(self) -> Addresses:
        """Where the servers are."""
        return Addresses({name: _server.load(name).address(self._launcher.site(name)) for name in self.servers})

    def log(self, server: str) -> Path:
        """A server's log file."""
        return self.folder.log(server)

    def kill(self, server: str) -> None:
        """End a server as a crash would (SIGKILL); `start` brings it back with its data, at the same address."""
        self._launcher.kill_one(server)

    def stop(self, server: str) -> None:
        """End a server in good order."""
        self._launcher.stop_one(server)

    def start(self, server: str) -> None:
        """Start a server that was killed or stopped and wait until it answers."""
        self._launcher.start([server])

    def pause(self, server: str) -> None:
        """Freeze a server (SIGSTOP): its connections stay, it answers nothing."""
        self._signal(server, signal.SIGSTOP)

    def resume(self, server: str) -> None:
        """Let a frozen server go on."""
        self._signal(server, signal.SIGCONT)

    def _signal(self, server: str, number: signal.Signals) -> None:
        _process.send(self._launcher.process(server), number)
