"""The services of the demo: `tapeline` commands as child processes that end with us, whatever ends us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from runtime.lifecycle import OWNED_VARIABLE

STOP_SECONDS = 16.0
"""A service promises to be gone 15 s after it was asked to stop."""

MOST_FAILURES = 3
"""How often a service may fail before the demo gives up."""

_LAST_LINES = 12


class DemoFailed(Exception):
    """The demo cannot go on; its text says why, for the user."""

    exit_code = 1


class Service:
    """One `tapeline` command; its health and metrics are at `port`, its log in a file."""

    def __init__(self, name: str, arguments: Sequence[str], config: Path, logs: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = logs / f"{name}.log"
        self._failures = 0
        self._arguments = arguments
        self._settings = ["-c", str(config), "--set", f"observability.metrics_port={self.port}"]
        self._process = self._start()

    def is_ready(self) -> bool:
        """Whether it says that it can work. Raises DemoFailed when it has ended."""
        if self._process.poll() is not None:
            raise self._failed()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def has_failed(self) -> bool:
        """Whether the process is gone for another reason than having nothing more to do."""
        return self._process.poll() not in (None, 0)

    def count_failure(self) -> None:
        """Take note of a failure. Raises DemoFailed when there were too many."""
        self._failures += 1
        if self._failures > MOST_FAILURES:
            raise self._failed()

    def restart(self, arguments: Sequence[str] | None = None) -> None:
        """Start it again after it ended, with other arguments if there are any."""
        self._reap()
        self._arguments = arguments or self._arguments
        self._process = self._start()

    def metrics_text(self) -> str:
        """Its metrics as it exposes them, empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""

    def ask_to_stop(self) -> None:
        """Tell it to finish."""
        if not self.has_ended():
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it is gone; one that does not keep its promise is killed."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", "tapeline", *self._arguments, *self._settings],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, OWNED_VARIABLE: "1"},
                start_new_session=True,  # Ctrl-C is for us: we stop the services in order
            )

    def _reap(self) -> None:
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _failed(self) -> DemoFailed:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return DemoFailed(f"{self.name} ended with exit code {self._process.returncode}:\n" + "\n".join(lines))


def stop_all(services: Sequence[Service]) -> None:
    """Stop services, all asked at once."""
    with ExitStack() as stack:
        for service in services:
            service.ask_to_stop()
            stack.callback(service.wait)


def free_port() -> int:
    """A port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
