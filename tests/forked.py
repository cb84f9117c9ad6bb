"""`tapeline` commands in processes forked from one that has the program loaded: they start in a moment instead of seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from tests.cluster import Service


class Forked(Service):
    """A service as `tests.cluster` has them, but for its process."""

    def start(self) -> None:
        """Start it (again)."""
        self._forked: ForkServerProcess = _server().Process(target=_run, args=(self.arguments, self.log))
        self._forked.start()

    def kill(self) -> None:
        """End it as a crash would."""
        self._forked.kill()
        self._forked.join(10)

    def terminate(self, timeout: float = 15) -> int:
        """Ask it to stop; its exit code."""
        self._forked.terminate()
        self._forked.join(timeout)
        assert self._forked.exitcode is not None
        return self._forked.exitcode


@pytest.fixture
def fork(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services as the fixture `start` does, each in a process that is forked."""
    started: list[Forked] = []

    def run(*arguments: str | os.PathLike[str]) -> Service:
        log = tmp_path / f"forked-{len(started)}.log"
        log.touch()
        started.append(Forked(tuple(os.fspath(argument) for argument in arguments), log))
        return started[-1]

    yield run
    for service in started:
        service.kill()


@cache
def _server() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "tapeline.cli", "tapeline.commands.sink", "sinks.stores.postgres", "sinks.stores.influxdb"]
    )
    return context


def _run(arguments: tuple[str, ...], log: Path) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["tapeline", *arguments]

    from tapeline.cli import main

    main()
