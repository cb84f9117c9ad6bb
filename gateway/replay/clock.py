"""The time of a replay: it stands still, or passes at a speed. Pure; `now` is monotonic seconds, times are microseconds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

FOREVER = 1 << 62
"""Later than any record."""


class ReplayClock:
    """Begins at a time, and stands still. Without a speed time is what was told last, and everything is due at once."""

    def __init__(self, start: int, speed: float | None) -> None:
        self._time = start
        self._speed = speed
        self._since: float | None = None

    def run(self, now: float) -> None:
        """Let time pass, if it stands still."""
        if self._since is None:
            self._since = now

    def hold(self, now: float) -> None:
        """Let time stand still."""
        self._time = self.time(now)
        self._since = None

    def time(self, now: float) -> int:
        """The time of the replay."""
        if self._since is None or self._speed is None:
            return self._time
        return self._time + round((now - self._since) * self._speed * 1e6)

    def due(self, now: float) -> int:
        """What was stored up to this time is to be told."""
        return FOREVER if self._speed is None else self.time(now)

    def told(self, time: int) -> None:
        """A record of this time was told."""
        if self._speed is None:
            self._time = max(self._time, time)

    def keep_to(self, limit: int, now: float) -> None:
        """Go back to a time up to which the topics were read, where the broker was too slow for us."""
        if self._speed is not None and self.time(now) > limit:
            running = self._since is not None
            self._time = max(limit, self._time)
            self._since = now if running else None

    def seconds_until(self, time: int, now: float) -> float:
        """How long until a record of this time is due."""
        if self._speed is None:
            return 0.0
        return max(0.0, (time - self.time(now)) / 1e6 / self._speed)


class ReplayScheduler:
    """Timers in the time of a replay, as subscriptions with a `max_rate` need them: so many messages a second of that time."""

    def __init__(self, start: int) -> None:
        self._now = start / 1e6
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """Seconds of the replay."""
        return self._now

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run when time passes next."""
        self.call_later(0.0, callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Run when so many seconds have passed."""
        heapq.heappush(self._timers, (self._now + delay, next(self._numbers), callback))

    def next_time(self) -> int | None:
        """When the next timer is due (microseconds), None when there is none."""
        return round(self._timers[0][0] * 1e6) if self._timers else None

    def pass_to(self, time: int) -> None:
        """It is this time now; what was due until then runs, each at its own time."""
        until = time / 1e6
        while self._timers and self._timers[0][0] <= until:
            self._now, _, callback = heapq.heappop(self._timers)
            callback()
        self._now = max(self._now, until)
