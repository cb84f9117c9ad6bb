"""Start the servers of one data folder, side by side, until each answers; and stop them.

The state file is written whenever a process begins or ends, so that whoever comes later knows what to stop.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tapeline.embedded import _process, _server
from tapeline.embedded._errors import EmbeddedError, FolderUnusable, ServerFailed
from tapeline.embedded._folders import DataFolder
from tapeline.embedded._owner import Ownership
from tapeline.embedded._process import STOP_GRACE, Command
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site
from tapeline.embedded._state import State, save

START_TIMEOUT = 90.0
"""Seconds within which a server must answer; most answer in five, one that recovers after a crash may take long."""
_BETWEEN_CHECKS = 0.1
_ABORT_GRACE = 3.0
"""Seconds to end for a server that was still starting: one that waits for another would not notice."""

# Python complains about a child that runs when its handle is dropped; these are meant to.
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []


class _Cancelled(Exception):
    """Another server failed, or the user gave up."""


@dataclass(slots=True)
class Launcher:
    """Starts and stops servers of `folder`; `state` is what the folder remembers and is kept up to date."""

    folder: DataFolder
    state: State
    cache: Path
    progress: Progress
    durable: bool = True
    timeout: float = START_TIMEOUT
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def start(self, servers: Iterable[str]) -> None:
        """Start `servers` at once and wait until all answer; those begun are stopped again when one fails.

        Raises:
            ServerFailed: one ended or did not answer in time.

        """
        servers = list(servers)
        self._cancelled.clear()
        with ThreadPoolExecutor(max(1, len(servers))) as pool:
            starts = [pool.submit(self._start_one, server) for server in servers]
            try:
                wait(starts, return_when=FIRST_EXCEPTION)
                for start in starts:  # in order of need: the cause before the consequence
                    if start.done():
                        start.result()
            except BaseException:
                self._cancelled.set()
                wait(starts)
                with self._told():
                    self.stop(servers, grace=_ABORT_GRACE)
                raise

    def start_owned(self, ownership: Ownership, servers: Iterable[str]) -> None:
        """Start `servers` as their owner; when that fails nothing is left running, nor owned."""
        servers = list(servers)
        try:
            ownership.take(self.state)
            self.start(servers)
            ownership.check()
        except BaseException:
            with self._told():
                self.stop(servers)
            with self._told():
                ownership.give_up(self.state)
            raise

    def stop(self, servers: Iterable[str], *, grace: float = STOP_GRACE) -> None:
        """Stop those of `servers` that run, each before what it needs; one not gone after `grace` seconds is killed.

        Raises:
            EmbeddedError: for the first that could not be stopped or forgotten; the others were stopped all the same.

        """
        chosen, errors = set(servers), list[EmbeddedError]()
        for server in reversed(_server.with_needs(sorted(chosen))):
            if server in chosen:
                try:
                    self.stop_one(server, grace=grace)
                except EmbeddedError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def leave(self) -> None:
        """Let the servers run on when this process ends."""
        _LEFT_RUNNING.extend(self._children.values())
        self._children.clear()

    def stop_one(self, server: str, *, grace: float = STOP_GRACE) -> None:
        """Stop one server in good order."""
        if recorded := self.state.processes.get(server):
            if process := _process.find(recorded):
                self.progress.server_stopping(server)
                _process.stop(process, _server.load(server).STOP_SIGNAL, grace=grace)
            self._forget(server)

    def kill_one(self, server: str) -> None:
        """Kill one server as a crash would."""
        _process.kill(self.process(server))
        self._forget(server)

    def process(self, server: str) -> psutil.Process:
        """The process of a server that runs.

        Raises:
            EmbeddedError: it does not run.

        """
        recorded = self.state.processes.get(server)
        process = _process.find(recorded) if recorded else None
        if process is None:
            raise EmbeddedError(f"{server} does not run in {self.folder.path}")
        return process

    def site(self, server: str) -> Site:
        """What `server` works with."""

        def run(command: Command, given: str) -> None:
            log = self.folder.log(server)
            code = _process.run(command, self.folder.home(server), log, given=given)
            if code:
                reason = f"could not be set up: {Path(command.argv[0]).name} ended with code {code}"
                raise ServerFailed(server, reason, log, _process.last_lines(log))

        return Site(self.folder.home(server), self.state.ports, self.cache, self.durable, run)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Cleaning up after a failure: what fails in it is told, and does not stand before the failure's cause."""
        try:
            yield
        except EmbeddedError as error:
            self.progress.note(str(error))

    def _start_one(self, server: str) -> None:
        module, site, log = _server.load(server), self.site(server), self.folder.log(server)
        self.progress.server_starting(server)
        try:
            _rotate(log)
            self._prepare(server, site)
            command = module.command(site)
        except OSError as error:
            raise FolderUnusable(f"cannot prepare {server} in {site.home}: {error.strerror}") from error
        if self._cancelled.is_set():
            raise _Cancelled
        child = _process.start_waiting(command, site.home, log)
        self._record(server, child)
        _process.release(child)
        self._wait_until_ready(server, site, child)
        self.progress.server_ready(server, site.ports[server])

    def _prepare(self, server: str, site: Site) -> None:
        """Make the server's data once; what an interrupted first start left is thrown away."""
        prepared = site.home / "prepared"
        if not prepared.exists():
            site.home.mkdir(mode=0o700, exist_ok=True)
            shutil.rmtree(site.home / "data", ignore_errors=True)
            _server.load(server).prepare(site)
            prepared.touch()

    def _wait_until_ready(self, server: str, site: Site, child: subprocess.Popen[bytes]) -> None:
        module, deadline = _server.load(server), time.monotonic() + self.timeout
        while True:
            if (code := child.poll()) is not None:
                raise self._failure(server, f"ended at its start with code {code}")
            try:
                module.answer(site)
                return
            except NotReady as error:
                reason = str(error)
            if self._cancelled.wait(_BETWEEN_CHECKS):
                raise _Cancelled
            if time.monotonic() > deadline:
                raise self._failure(server, f"was not ready after {self.timeout:.0f} s: {reason}")

    def _failure(self, server: str, reason: str) -> ServerFailed:
        log = self.folder.log(server)
        return ServerFailed(server, reason, log, _process.last_lines(log))

    def _record(self, server: str, child: subprocess.Popen[bytes]) -> None:
        with self._writing:
            self._children[server] = child
            self.state.processes[server] = _process.record(child.pid, self.folder.home(server))
            save(self.folder.state, self.state)

    def _forget(self, server: str) -> None:
        with self._writing:
            if child := self._children.pop(server, None):
                child.wait()
            self.state.processes.pop(server, None)
            save(self.folder.state, self.state)


def _rotate(log: Path) -> None:
    log.parent.mkdir(exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
