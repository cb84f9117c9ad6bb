"""The embedded stack of one process: real servers that live no longer than it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tapeline.embedded import _process, _server, _state
from tapeline.embedded._claim import check_port_names, choose_ports, claimed, make_folder, make_ready, running
from tapeline.embedded._errors import ServerFailed, StackBusy
from tapeline.embedded._folders import DataFolder, cache_folder
from tapeline.embedded._launch import START_TIMEOUT, Launcher
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import Addresses
from tapeline.embedded._state import State


class EmbeddedStack:
    """Servers that run inside a `with` block, on loopback, with their data in `data_dir`; a second use finds the data again.

    They are stopped at the block's end. When this process dies in any other way, even killed, a guard process stops them.

    Args:
        data_dir: created when missing; must not be in use.
        servers: names of server files; what they need is added. All by default.
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
        self.servers = _server.with_needs(_server.names() if servers is None else servers)
        self._ports = ports or {}
        self._progress = progress or Progress()
        self._launcher = Launcher(self.folder, State(), cache_folder(), self._progress, durable, timeout)
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        check_port_names(self.servers, self._ports)
        make_folder(self.folder)
        with claimed(self.folder, self._progress) as state:
            if running(state) or state.owner:
                raise StackBusy(f"servers run in {self.folder.path} already; stop them or choose another data folder")
            make_ready(self.folder, self.servers, self._launcher.cache, self._progress)
            choose_ports(state, self.servers, self._ports)
            state.owner = _process.record(os.getpid())
            _state.save(self.folder.state, state)
            self._launcher.state = state
            self._guard = _start_guard(self.folder, state.owner)
            try:
                self._launcher.start(self.servers)
                _check_guard(self._guard, self.folder)
            except BaseException:
                self._launcher.stop(self.servers)
                self._release()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        with claimed(self.folder, self._progress):
            self._launcher.stop(self.servers)
            self._release()

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
        for member in _process.tree(self._launcher.process(server)):
            member.send_signal(number)

    def _release(self) -> None:
        self._launcher.state.owner = None
        _state.save(self.folder.state, self._launcher.state)
        if self._guard:
            self._guard.kill()
            self._guard.wait()
            self._guard = None


def _start_guard(folder: DataFolder, owner: _state.ProcessRecord) -> subprocess.Popen[bytes]:
    guard = [sys.executable, "-P", "-m", "tapeline.embedded._guard", str(folder.path), str(owner.pid), repr(owner.created)]
    log = folder.log("guard")
    log.parent.mkdir(exist_ok=True)
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)  # it finds our packages wherever we did
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603  # our own command
            guard,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": paths},
            cwd=folder.path,
            start_new_session=True,
        )


def _check_guard(guard: subprocess.Popen[bytes], folder: DataFolder) -> None:
    if guard.poll() is not None:
        log = folder.log("guard")
        raise ServerFailed("guard", f"ended with code {guard.returncode}", log, _process.last_lines(log))
