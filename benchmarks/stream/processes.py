"""Processes of contestants: started, measured with their children, and ended whatever happens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).parent.parent.parent
_LAST_LINES = 15
_LONGEST_LINE = 500


class ProgramEnded(Exception):
    """A contestant ended although nobody asked it to; the text has the end of its log."""


class Program:
    """A process inside a `with` block; at the block's end it is asked to stop, then killed.

    It has a session of its own, so that Ctrl-C reaches the benchmark alone, which ends it.
    """

    def __init__(self, command: Sequence[str | os.PathLike[str]], log: Path, environment: Mapping[str, str]) -> None:
        self._command = [os.fspath(part) for part in command]
        self._log = log
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Self:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._seen = psutil.Process(self._process.pid)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        members = self._members()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for child in members[1:]:
            if child.is_running():
                child.kill()

    def check(self) -> None:
        """Raises ProgramEnded when it does not run any more."""
        if self._process.poll() is not None:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
            raise ProgramEnded(
                f"it ended with code {self._process.returncode}; its last lines:\n"
                + "\n".join(line[-_LONGEST_LINE:] for line in lines)
            )

    def usage(self) -> tuple[float, int]:
        """(CPU seconds so far, bytes of RSS now) of the process and its children, those that ended included."""
        cpu, rss = 0.0, 0
        for index, member in enumerate(self._members()):
            try:
                times = member.cpu_times()
                rss += member.memory_info().rss
            except psutil.Error:
                continue  # it has just ended; its parent has its times
            cpu += times.user + times.system
            if not index:
                cpu += times.children_user + times.children_system
        return cpu, rss

    def _members(self) -> list[psutil.Process]:
        try:
            return [self._seen, *self._seen.children(recursive=True)]
        except psutil.Error:
            return []
