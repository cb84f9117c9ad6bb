"""The services of the demo: `tapeline` commands as child processes, with their health and metrics."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tapeline.children import Child

MOST_FAILURES = 3
"""How often a service may fail before the demo gives up."""

_LAST_LINES = 12


class DemoFailed(Exception):
    """The demo cannot go on; its text says why, for the user."""

    exit_code = 1


class Service(Child):
    """One `tapeline` command; its health and metrics are at `port`, its log in a file."""

    log: Path

    def __init__(self, name: str, arguments: Sequence[str], config: Path, logs: Path) -> None:
        self.name = name
        self.port = free_port()
        self._failures = 0
        self._settings = ["-c", str(config), "--set", f"observability.metrics_port={self.port}"]
        super().__init__([*arguments, *self._settings], logs / f"{name}.log")

    def is_ready(self) -> bool:
        """Whether it says that it can work. Raises DemoFailed when it has ended."""
        if self.has_ended():
            raise self._failed()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.exit_code is not None

    def has_failed(self) -> bool:
        """Whether the process is gone for another reason than having nothing more to do."""
        return self.exit_code not in (None, 0)

    def count_failure(self) -> None:
        """Take note of a failure. Raises DemoFailed when there were too many."""
        self._failures += 1
        if self._failures > MOST_FAILURES:
            raise self._failed()

    def restart(self, arguments: Sequence[str] | None = None) -> None:
        """Start it again after it ended, with another command if there is one."""
        super().restart([*arguments, *self._settings] if arguments else None)

    def metrics_text(self) -> str:
        """Its metrics as it exposes them, empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""

    def _failed(self) -> DemoFailed:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return DemoFailed(f"{self.name} ended with exit code {self.exit_code}:\n" + "\n".join(lines))


def free_port() -> int:
    """A port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
