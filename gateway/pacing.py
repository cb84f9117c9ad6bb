"""Holds the messages of a room back so that none of a key follows another too soon; then the latest one goes. Pure.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Hashable

from gateway.messages import Message

_MOST_KEYS = 1000


class Pace:
    """At most `per_second` messages of each key."""

    def __init__(self, per_second: float) -> None:
        self._period = 1 / per_second
        self._next: dict[Hashable, float] = {}
        self._held: dict[Hashable, Message] = {}
        self.conflated = 0

    def take(self, message: Message, now: float) -> bool:
        """Whether the message may go now; else it is held, in place of an earlier one of its key."""
        if now < self._next.get(message.key, now):
            self.conflated += message.key in self._held
            self._held[message.key] = message
            return False
        self.conflated += self._held.pop(message.key, None) is not None
        self._next[message.key] = now + self._period
        if len(self._next) > _MOST_KEYS:  # keys of the past, such as candles that are closed
            self._forget(now)
        return True

    def due(self, now: float) -> list[Message]:
        """Take out what may go by now."""
        ready = [key for key in self._held if self._next[key] <= now]
        self._next.update(dict.fromkeys(ready, now + self._period))
        return [self._held.pop(key) for key in ready]

    def _forget(self, now: float) -> None:
        self._next = {key: after for key, after in self._next.items() if after > now or key in self._held}

    def wait(self, now: float) -> float | None:
        """Seconds until something is due, None when nothing is held."""
        return min((max(0.0, self._next[key] - now) for key in self._held), default=None)
