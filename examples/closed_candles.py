"""The closed candles of one instrument and interval, each in its highest version, whatever comes twice or late."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

WINDOW = 250
"""Closed candles that a value is computed from. What lies before them would weigh less than 1e-7 in an EMA over 20 candles or
an RSI over 14; left out, a value depends on these alone, and anybody can compute it again."""

KEPT = WINDOW + 1_440
"""Candles that are remembered: a correction comes up to a day late, and the first candle it touches needs its own window."""


class ClosedCandles:
    """Takes candles in the order of their topic."""

    def __init__(self) -> None:
        self._times: list[datetime] = []
        self._candles: dict[datetime, tuple[tuple[int, int], Decimal]] = {}

    def take(self, candle: Mapping[str, Any]) -> list[datetime]:
        """Open times of the candles whose window has changed: usually the new one's alone, after a correction those behind it.

        None for a candle that is open, in a lower version than known, or older than what is remembered.
        """
        time, version = candle["open_time"], (candle["revision"], candle["source_offset"])
        known = self._candles.get(time)
        if not candle["is_closed"] or (known is not None and version <= known[0]):
            return []
        if known is None:
            insort(self._times, time)
        self._candles[time] = version, candle["close"]
        if len(self._times) > KEPT:
            del self._candles[self._times.pop(0)]
        begin = bisect_left(self._times, time)
        return self._times[begin : begin + WINDOW] if time in self._candles else []

    def closes(self, time: datetime) -> list[Decimal]:
        """The window of a candle: its close and those before it, oldest first."""
        end = bisect_left(self._times, time) + 1
        return [self._candles[known][1] for known in self._times[max(0, end - WINDOW) : end]]
