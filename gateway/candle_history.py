"""The recent candles of every instrument and interval, each in its highest version, bounded in all.

Of one candle the version (revision, source offset) decides; a version that is not higher changes nothing.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict

from gateway.messages import Source
from market.candle import CandleEvent

Series = tuple[str, str]
"""Instrument and interval."""


class HeldCandle:
    """A candle's highest version, with the message rendered from it once someone asked."""

    __slots__ = ("event", "payload", "source")

    def __init__(self, event: CandleEvent, source: Source) -> None:
        self.event = event
        self.source = source
        self.payload: bytes | None = None


class CandleHistory:
    """At most `per_series` latest candles of each series; beyond `in_all` candles those that came first go."""

    def __init__(self, per_series: int = 1000, in_all: int = 200_000) -> None:
        self._per_series = per_series
        self._in_all = in_all
        self._series: dict[Series, dict[int, HeldCandle]] = {}
        self._times: dict[Series, list[int]] = {}
        self._arrived: OrderedDict[tuple[Series, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._arrived)

    def take(self, event: CandleEvent, source: Source) -> bool:
        """Keep a candle; False when a version as high is here already, or when it is older than all there is room for."""
        series = event.instrument, event.interval
        held = self._series.setdefault(series, {})
        before = held.get(event.open_time)
        if before is not None:
            if event.version <= before.event.version:
                return False
            held[event.open_time] = HeldCandle(event, source)
            return True
        held[event.open_time] = HeldCandle(event, source)
        times = self._times.setdefault(series, [])
        insort(times, event.open_time)
        self._arrived[series, event.open_time] = None
        self._shrink(series, times)
        return event.open_time in held

    def latest(self, instrument: str, interval: str, count: int) -> list[HeldCandle]:
        """The `count` latest candles of a series, oldest first."""
        series = instrument, interval
        times = self._times.get(series, [])
        return [self._series[series][time] for time in times[max(0, len(times) - count) :]]

    def _shrink(self, series: Series, times: list[int]) -> None:
        if len(times) > self._per_series:
            self._drop(series, times[0])
        if len(self._arrived) > self._in_all:
            self._drop(*next(iter(self._arrived)))

    def _drop(self, series: Series, open_time: int) -> None:
        del self._arrived[series, open_time]
        del self._series[series][open_time]
        self._times[series].remove(open_time)
