"""Candle intervals that divide the UTC day: 1m, 5m, 15m, 1h, 4h, 1d."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from market.errors import DataValidationError

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_UNITS = {"m": 60 * _SECOND, "h": 3_600 * _SECOND, "d": _DAY}
_NAME = re.compile(r"([1-9]\d{0,3})([mhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interval:
    """A candle interval: its field name ("1m") and its length in microseconds."""

    name: str
    micros: int

    def open_time(self, time: int) -> int:
        """Start of the interval that holds `time`: [open_time, open_time + micros)."""
        return time - time % self.micros

    def close_time(self, open_time: int) -> int:
        """First instant after the interval that starts at `open_time`."""
        return open_time + self.micros

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=64)
def parse_interval(name: str) -> Interval:
    """Read "1m", "4h", "1d". Raises DataValidationError when it is no interval or does not divide the day."""
    match = _NAME.fullmatch(name)
    micros = int(match[1]) * _UNITS[match[2]] if match else 0
    if not micros or _DAY % micros:
        raise DataValidationError(
            "unknown_interval",
            f"{name!r:.40} is not a candle interval such as 1m, 5m, 15m, 1h, 4h, 1d",
            field="interval",
        )
    return Interval(name, micros)
