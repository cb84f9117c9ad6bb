"""All processes of a load together: started, ordered at the same time, their answers added up."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from tapeline.load.plan import LoadPlan, split
from tapeline.load.worker import Answer, work

_STOP_SECONDS = 10.0


class Opened(NamedTuple):
    """How opening went: upgraded connections, the seconds it took, and why others were refused."""

    clients: int
    seconds: float
    refused: dict[str, int]


class Load:
    """Clients that are there; made by `load`."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def connect(self) -> Opened:
        """Open all connections."""
        began = time.monotonic()
        answer = self._order("connect")
        return Opened(answer.done, time.monotonic() - began, dict(answer.ended))

    def subscribe(self) -> int:
        """Subscribe; how many clients were granted what they asked for."""
        return self._order("subscribe").done

    def begin(self) -> None:
        """Count from here."""
        self._order("begin")

    def count(self) -> Answer:
        """What was counted so far; `done` is how many clients are still there."""
        return self._order("count")

    def _order(self, order: str) -> Answer:
        for pipe in self._pipes:
            pipe.send(order)
        total = Answer()
        for pipe in self._pipes:
            answer: Answer = pipe.recv()
            total.done += answer.done
            total.tally.add(answer.tally)
            total.slow.add(answer.slow)
            total.ended.update(answer.ended)
        return total


@contextmanager
def load(plan: LoadPlan, processes: int = 1) -> Iterator[Load]:
    """The clients of a plan in so many processes, which end with the block."""
    spawn = multiprocessing.get_context("spawn")
    pipes, children = [], []
    try:
        for part in split(plan, processes):
            ours, theirs = spawn.Pipe()
            child = spawn.Process(target=work, args=(part, theirs), daemon=True)
            child.start()
            theirs.close()
            pipes.append(ours)
            children.append(child)
        running = Load(pipes)
        running.count()  # every process has started
        yield running
    finally:
        for pipe in pipes:
            try:
                pipe.send("stop")
            except OSError:
                continue  # it ended before
        for child in children:
            child.join(_STOP_SECONDS)
            if child.is_alive():
                child.kill()
                child.join()
