"""When pending frames are written: at once when there is little to do, in ever larger lots the more there is.

The kernel's send costs far more than a message, so messages per write are what counts under load. A flush that took long
makes the next one wait in proportion, between `low` and `high` seconds, and writes to `chunk` clients a turn of the loop,
so that reads, handshakes and REST get their turns in between. Waiting pays where clients get several messages at once for it:
the fewer of a flush's clients were written to a moment ago, the less the next one waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.outbox import Outbox


class Scheduler(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float:
        """Monotonic seconds."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> Any:
        """Run in the next turn."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        """Run after so many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Least and most seconds between flushes, the share of time to be spent in flushing, clients written to in a turn."""

    low: float = 0.001
    high: float = 0.020
    share: float = 0.5
    chunk: int = 64


_SMOOTHING = 0.25
_MOMENT = 2.0
"""Who was written to within so many of the longest pauses is to be written to again soon."""


class Flusher:
    """Flushes the outboxes put into `dirty`; whoever does so calls `wake` afterwards."""

    def __init__(self, scheduler: Scheduler, policy: FlushPolicy = FlushPolicy()) -> None:  # immutable
        self.scheduler = scheduler
        self._policy = policy
        self.dirty: list[Outbox] = []
        self._rest: list[Outbox] = []
        self._armed = False
        self._began = 0.0
        self._clients = self._again = 0
        self._pause = policy.low

    def wake(self) -> None:
        """Flush now if the last flush is long enough ago, else as soon as it is."""
        if self._armed or not self.dirty:
            return
        self._armed = True
        wait = self._began + self._pause - self.scheduler.time()
        if wait > 0:
            self.scheduler.call_later(wait, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._rest, self.dirty = self.dirty[::-1], []  # taken from the end, so who has waited longest comes first
        self._began = self.scheduler.time()
        self._clients, self._again = len(self._rest), 0
        self._flush_chunk()

    def _flush_chunk(self) -> None:
        began, moment_ago = self._began, self._began - _MOMENT * self._policy.high
        for _ in range(min(self._policy.chunk, len(self._rest))):
            outbox = self._rest.pop()
            self._again += outbox.flushed_at > moment_ago
            outbox.flushed_at = began
            outbox.flush()
        # Some loops send at the end of a turn, so what a chunk cost is known only in the next one.
        self.scheduler.call_soon(self._flush_chunk if self._rest else self._done)

    def _done(self) -> None:
        policy = self._policy
        spent = self.scheduler.time() - self._began
        wanted = min(max(spent / policy.share * self._again / self._clients, policy.low), policy.high)
        self._pause += (wanted - self._pause) * _SMOOTHING
        self._armed = False
        self.wake()
