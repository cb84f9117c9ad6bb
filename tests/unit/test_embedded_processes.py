"""Signals to a server and what it started."""

from __future__ import annotations

import signal
from typing import Any

import psutil
import pytest

from tapeline.embedded import _process


class Process:
    """A process that notes the signals it gets, or has ended."""

    def __init__(self, *children: Process, ended: bool = False) -> None:
        self.signals: list[int] = []
        self._children = children
        self._ended = ended

    def children(self, *, recursive: bool) -> list[Process]:
        assert recursive
        return [*self._children]

    def send_signal(self, number: int) -> None:
        if self._ended:
            raise psutil.NoSuchProcess(1)
        self.signals.append(number)


def send(process: Any) -> None:
    _process.send(process, signal.SIGSTOP)


def test_child_that_has_just_ended_does_not_keep_the_signal_from_the_others() -> None:
    other = Process()
    server = Process(Process(ended=True), other)
    send(server)
    assert (server.signals, other.signals) == ([signal.SIGSTOP], [signal.SIGSTOP])


def test_server_that_has_ended_is_told_of() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        send(Process(ended=True))
