"""When pending frames are written: at once when there is little to do, the later the more there is.

The kernel's send costs far more than a message, so messages per write are what counts under load. Writing that takes long
makes clients wait in proportion, up to `high` seconds from the first frame that is pending for each. Those whose time has
come are written to `chunk` at a time, so that reads, handshakes and REST get their turns in between. Waiting pays where
clients get several messages at once for it: the fewer of them were written to a moment ago, the less they wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol

from gateway.writing import Pending, flush_all


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
    """Least seconds between flushes, most seconds a frame waits, share of time to be spent in writing, clients in a turn."""

    low: float = 0.001
    high: float = 0.008
    share: float = 0.5
    chunk: int = 64


_SMOOTHING = 0.25
_MOMENT = 0.040
"""Who was written to within so many seconds is to be written to again soon."""
_FLUSHES_IN_A_PAUSE = 4
"""So many at most, since each costs a turn of the loop."""


class _Due(NamedTuple):
    """At this time the frames of so many clients have waited long enough."""

    time: float
    clients: int


class Flusher:
    """Flushes what is pending for clients put into `dirty`; whoever does so calls `wake` afterwards."""

    def __init__(self, scheduler: Scheduler, policy: FlushPolicy = FlushPolicy()) -> None:  # immutable
        self.scheduler = scheduler
        self._policy = policy
        self.dirty: list[Pending] = []
        """Who has waited longest comes first."""
        self._due = deque[_Due]()
        self._noted = 0
        self._armed = False
        self._waiting = 0
        """Clients when the flush began that goes on chunk by chunk."""
        self._pause = 0.0
        self._began = -inf

    def wake(self) -> None:
        """Write to those who have just become dirty when their time has come, which may be now."""
        now = self.scheduler.time()
        if len(self.dirty) > self._noted:
            is_idle = not self._armed and now > self._began + self._pause  # then nobody would write the less for waiting
            self._due.append(_Due(now if is_idle else now + self._pause, len(self.dirty) - self._noted))
            self._noted = len(self.dirty)
        if self._due and not self._armed:
            self._armed = True
            self._flush() if self._wait(now) <= 0 else self._arm(now)

    def _wait(self, now: float) -> float:
        least = max(self._policy.low, self._pause / _FLUSHES_IN_A_PAUSE)
        return max(self._due[0].time, self._began + least) - now

    def _arm(self, now: float) -> None:
        wait = self._wait(now)
        self.scheduler.call_later(wait, self._flush) if wait > 0 else self.scheduler.call_soon(self._flush)

    def _flush(self) -> None:
        self._waiting = len(self.dirty)
        self._flush_chunk()

    def _flush_chunk(self) -> None:
        began = self._began = self.scheduler.time()
        clients = self._take_due(began)
        again = flush_all(clients, began, began - _MOMENT)
        now = self.scheduler.time()
        if clients:
            self._adapt(now - began, len(clients), again)
        if self._due and self._due[0].time <= began:
            self.scheduler.call_soon(self._flush_chunk)
            return
        self._armed = bool(self._due)
        if self._armed:
            self._arm(now)

    def _take_due(self, now: float) -> list[Pending]:
        """Take out those whose time has come, of many the first."""
        count, chunk = 0, self._policy.chunk
        while count < chunk and self._due and self._due[0].time <= now:
            time, clients = self._due.popleft()
            if count + clients > chunk:
                self._due.appendleft(_Due(time, count + clients - chunk))
            count = min(count + clients, chunk)
        taken = self.dirty[:count]
        del self.dirty[:count]
        self._noted -= count
        return taken

    def _adapt(self, spent: float, clients: int, again: int) -> None:
        """To write to all who waited would take so long: let that be the wanted share of the time they wait."""
        waiting = max(self._waiting, clients)
        wanted = min(spent * waiting / clients / self._policy.share * again / clients, self._policy.high)
        self._pause += (wanted - self._pause) * _SMOOTHING * clients / waiting
