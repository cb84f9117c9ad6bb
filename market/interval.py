"""Candle intervals that divide the UTC day: 1m, 5m, 15m, 1h, 4h, 1d."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from market.errors import DataValidationError
from market.grid import NOWHERE, Stretch

_SECOND = 1_000_000
MINUTE = 60 * _SECOND
QUARTER_HOUR = 15 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}
_NAME = re.compile(r"([1-9]\d{0,3})([mhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interval:
    """A candle interval: its field name ("1m") and its length in microseconds. It is the `Grid` of venues that never close."""

    name: str
    micros: int

    @property
    def longest(self) -> int:
        """Its length."""
        return self.micros

    def open_time(self, time: int) -> int:
        """Start of the interval that holds `time`: [open_time, open_time + micros)."""
        return time - time % self.micros

    def close_time(self, open_time: int) -> int:
        """First instant after the interval that starts at `open_time`."""
        return open_time + self.micros

    def settled_at(self, open_time: int) -> int:
        """Its end: there are no auctions."""
        return open_time + self.micros

    def stretches(self, open_time: int) -> Sequence[Stretch]:
        """All of it."""
        return (Stretch(open_time, open_time + self.micros),)

    def stretch_at(self, open_time: int, time: int) -> Stretch:
        """All of it, where `time` is within."""
        return Stretch(open_time, open_time + self.micros) if self.open_time(time) == open_time else NOWHERE

    def between(self, begin: int, end: int) -> Iterator[int]:
        """Starts of the intervals that have a time in [begin, end)."""
        return iter(range(self.open_time(begin), end, self.micros))

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=64)
def parse_interval(name: str) -> Interval:
    """Read "1m", "4h", "1d". Raises DataValidationError when it is no interval or does not divide the day."""
    match = _NAME.fullmatch(name)
    micros = int(match[1]) * _UNITS[match[2]] if match else 0
    if not micros or DAY % micros:
        raise DataValidationError(
            "unknown_interval",
            f"{name!r:.40} is not a candle interval such as 1m, 5m, 15m, 1h, 4h, 1d",
            field="interval",
        )
    return Interval(name, micros)
