"""A process that owns the servers of a folder, and the guard that stops them when the owner dies without doing so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tapeline.embedded import _process, _state
from tapeline.embedded._errors import FolderUnusable, ServerFailed
from tapeline.embedded._folders import DataFolder
from tapeline.embedded._state import ProcessRecord, State


class Ownership:
    """The running process as the owner of what `state` records, from `take` until `give_up`."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._guard: subprocess.Popen[bytes] | None = None

    def take(self, state: State) -> None:
        """Write down that the servers are ours, and start the guard. Raises FolderUnusable."""
        state.owner = _process.record(os.getpid())
        _state.save(self._folder.state, state)
        try:
            self._guard = _start_guard(self._folder, state.owner)
        except OSError as error:
            raise FolderUnusable(f"cannot start the guard of {self._folder.path}: {error.strerror}") from error

    def check(self) -> None:
        """Raise ServerFailed when the guard is gone."""
        if self._guard and self._guard.poll() is not None:
            log = self._folder.log("guard")
            raise ServerFailed("guard", f"ended with code {self._guard.returncode}", log, _process.last_lines(log))

    def give_up(self, state: State) -> None:
        """Write down that nobody owns the servers; only then may the guard go, unless that cannot be written."""
        state.owner = None
        try:
            _state.save(self._folder.state, state)
        finally:
            if self._guard:
                self._guard.kill()
                self._guard.wait()
                self._guard = None


def _start_guard(folder: DataFolder, owner: ProcessRecord) -> subprocess.Popen[bytes]:
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
