"""Child processes: `tapeline` commands that end with us, whatever ends us.

We hold the other end of a child's standard input: the system closes it when we are gone, killed perhaps, and a child that knows
it is owned then stops (`runtime.lifecycle`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from runtime.lifecycle import OWNED_VARIABLE

STOP_SECONDS = 15.0
"""A child that was asked to stop promises to be gone after this time; else it is killed."""


class Child:
    """One `tapeline` command; its output goes to the file `log`, else where ours goes."""

    def __init__(self, arguments: Sequence[str], log: Path | None = None) -> None:
        self.log = log
        self._arguments = arguments
        self._process = self._start()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; the negative number of a signal that ended it."""
        return self._process.poll()

    def restart(self, arguments: Sequence[str] | None = None) -> None:
        """Start it again after it ended, with other arguments if there are any."""
        self._reap()
        self._arguments = arguments or self._arguments
        self._process = self._start()

    def ask_to_stop(self) -> None:
        """Tell it to finish."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until it is gone; one that is still there after `seconds` is killed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def _start(self) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            output = stack.enter_context(self.log.open("ab")) if self.log else None
            return subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", "tapeline", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, OWNED_VARIABLE: "1"},
                start_new_session=True,  # Ctrl-C is for us: we stop the children in order
            )

    def _reap(self) -> None:
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


def stop_all(children: Sequence[Child]) -> None:
    """Stop children, all asked at once; it takes no longer for many than for one."""
    with ExitStack() as stack:
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.ask_to_stop()
            stack.callback(_wait_until, deadline, child)


def _wait_until(deadline: float, child: Child) -> None:
    child.wait(max(0.0, deadline - time.monotonic()))
