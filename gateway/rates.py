"""How often something may happen: so many a second on average, and some at once after a rest. Pure.

The generic cell rate algorithm (ITU-T I.371): one number says when all that was taken so far would have been due at the
even rate, and who is further ahead of that than the burst must wait.
"""

from __future__ import annotations


class Rate:
    """A limit of `per_second`, `burst` at once. Times are microseconds."""

    __slots__ = ("_ahead", "_due", "_each")

    def __init__(self, per_second: float, burst: float) -> None:
        self._each = 1e6 / per_second
        self._ahead = burst * self._each
        self._due = 0.0

    def take(self, now: int, amount: int = 1) -> bool:
        """Count `amount`; False, and nothing is counted, when too much was taken already.

        What begins within the limit is taken whole, however large, and paid for by a longer wait.
        """
        if self.wait(now) > 0:
            return False
        self._due = max(self._due, now) + amount * self._each
        return True

    def wait(self, now: int) -> int:
        """Microseconds until the next may be taken, 0 when it may be now."""
        return max(0, round(self._due + self._each - now - self._ahead))

    def is_rested(self, now: int) -> bool:
        """Whether nothing is remembered: the limit is as new."""
        return self._due <= now
