"""When pending frames are written: at once when there is little to do, the later the more there is.

The kernel's send costs far more than a message, so messages per write are what counts under load. Writing that takes long
makes clients wait in proportion, from the first frame that is pending for each: until a write carries `enough` messages, or
for `high` seconds. Waiting pays where clients get several messages for it: those that get fewer wait less. So do frames that
were longer on their way to here than others, as what counts is when a client has them.

Those whose time has come are written to `chunk` at a time, so that reads, handshakes and REST get their turns in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol

from gateway.writing import Pending, flush_all


class Scheduler(Protocol):
    """The part of an event loop that is needed here; `Flusher.wake` also cancels what `call_later` returned."""

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
    """Least seconds between flushes, most seconds a frame waits, share of time to be spent in writing, clients in a turn.

    When a write carries `enough` messages by then, a frame waits no longer than `middle` seconds.
    """

    low: float = 0.001
    middle: float = 0.008
    high: float = 0.020
    enough: float = 2.75
    share: float = 0.1
    chunk: int = 64


_SMOOTHING = 0.25
_CREEPING = 0.01
"""So much of a record's lateness the least age rises by: where everything is late, nothing is after a while."""
_LONGEST = 0.1
"""A client that got nothing for longer gets few messages, how few does not matter."""
_SEVERAL = 2
"""So many messages more in the longest wait, and waiting fully pays."""
_FLUSHES_IN_A_PAUSE = 4
"""So many at most, since each costs a turn of the loop."""
_LEAST_OF_A_PAUSE = 0.2
"""What late frames wait all the same: else a gateway that cannot keep up would write more often, and fall behind for good."""


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
        self._is_flushing = False
        """Whether a chunk is being written, or more follow: what is waked for meanwhile waits for its end."""
        self._timer: Any = None
        self._timer_at = inf
        self._waiting = 0
        """Clients when the flush began that goes on chunk by chunk."""
        self._pause = 0.0
        self._least_age = 0.0
        """Of the records of late, by these clocks."""
        self._began = -inf

    @property
    def patience(self) -> float:
        """Seconds from one flush to the next: frames may come so much later and are written hardly later."""
        return self._pause / _FLUSHES_IN_A_PAUSE

    def wake(self, age: float | None = None) -> None:
        """Write to those who have just become dirty when their time has come, which may be now.

        Args:
            age: seconds since ingest published the oldest of their messages, by its clock and ours, which need not agree.

        """
        now = self.scheduler.time()
        if len(self.dirty) > self._noted:
            is_idle = not self._due and now > self._began + self._pause  # then nobody would write the less for waiting
            self._note(now if is_idle else now + self._pause_at(age))
        if age is not None:
            self._least_age = min(age, self._least_age + (age - self._least_age) * _CREEPING)
        if self._due and not self._is_flushing:
            self._flush() if self._time() <= now else self._arm(now)

    def _note(self, time: float) -> None:
        """Those who have just become dirty are due then, and so at the latest are all before them, who come first."""
        clients = len(self.dirty) - self._noted
        while self._due and self._due[-1].time > time:
            clients += self._due.pop().clients
        self._due.append(_Due(time, clients))
        self._noted = len(self.dirty)

    def _pause_at(self, age: float | None) -> float:
        late = 0.0 if age is None else max(0.0, age - self._least_age)
        return max(self._pause - late, _LEAST_OF_A_PAUSE * self._pause)

    def _time(self) -> float:
        """When to flush next."""
        return max(self._due[0].time, self._began + self._policy.low)

    def _arm(self, now: float) -> None:
        time = self._time()
        if time < self._timer_at:
            self._disarm()
            self._timer, self._timer_at = self.scheduler.call_later(max(0.0, time - now), self._flush), time

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, inf

    def _flush(self) -> None:
        self._disarm()
        self._waiting = len(self.dirty)
        self._flush_chunk()

    def _flush_chunk(self) -> None:
        self._is_flushing = True
        began = self._began = self.scheduler.time()
        until = began + self.patience  # whose time comes before the next flush
        clients = self._take_due(until)
        messages, seconds = flush_all(clients, began, _LONGEST)
        now = self.scheduler.time()
        if messages:
            self._adapt(now - began, len(clients), seconds / messages)
        self._is_flushing = bool(self._due) and self._due[0].time <= until
        if self._is_flushing:
            self.scheduler.call_soon(self._flush_chunk)
        elif self._due:
            self._arm(now)

    def _take_due(self, until: float) -> list[Pending]:
        """Take out those whose time comes until then, of many the first."""
        count, chunk = 0, self._policy.chunk
        while count < chunk and self._due and self._due[0].time <= until:
            time, clients = self._due.popleft()
            if count + clients > chunk:
                self._due.appendleft(_Due(time, count + clients - chunk))
            count = min(count + clients, chunk)
        taken = self.dirty[:count]
        del self.dirty[:count]
        self._noted -= count
        return taken

    def _adapt(self, spent: float, clients: int, interval: float) -> None:
        """To write to all who waited would take so long: let that be the wanted share of the time they wait.

        `interval` is how many seconds it takes until a client gets another message.
        """
        policy, waiting = self._policy, max(self._waiting, clients)
        gain = (policy.high / max(_SEVERAL * interval, policy.high)) ** 2
        longest = min(max((policy.enough - 1) * interval, policy.middle), policy.high)
        wanted = min(spent * waiting / clients / policy.share * gain, longest)
        self._pause += (wanted - self._pause) * _SMOOTHING * clients / waiting
