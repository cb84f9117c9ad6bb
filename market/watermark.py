"""Event-time watermark: the instant before which no trade is expected any more.

It follows the latest event time of trades and time marks, less a grace for trades that arrive out of order. It never reads
a clock: a stream that stops holds it still, a replay moves it exactly as the live stream did.
"""

from __future__ import annotations

from dataclasses import dataclass

GRACE = 2_000_000
"""Default grace in microseconds."""


@dataclass(slots=True)
class Watermark:
    """Latest event time seen, and how long out-of-order trades are waited for (both microseconds)."""

    latest: int = 0
    grace: int = GRACE

    def advance(self, time: int) -> bool:
        """Take note of an event time; True if the watermark moved."""
        if time <= self.latest:
            return False
        self.latest = time
        return True

    @property
    def time(self) -> int:
        """The watermark: an interval that ends at or before it is closed."""
        return self.latest - self.grace
