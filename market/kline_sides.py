"""What is kept of an instrument's closed candles and of its klines until both of an interval were told. Plain data.

Each side is a function of its own topic alone, so neither depends on how the two topics are read beside each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from market.candle_series import CandleKey
from market.interval import parse_interval
from market.quote import Kline

WAIT = 5 * 60 * 1_000_000
"""Event time (microseconds) after the end of an interval by which both sides are to have told of it: a side that is so much
further and told nothing had nothing to tell."""

HORIZON = 2 * 3_600 * 1_000_000
"""How far behind the latest event time of its own topic an interval is remembered, two of the longer ones at least. A
correction compares again within it, and one topic may be read ahead of the other by so much."""


class HeldCandle(NamedTuple):
    """A closed candle. `is_late`: it came after the topic had seemed to have none. `offset` is its record's in its topic."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    amount: int
    taker_buy_volume: int | None
    trade_count: int
    revision: int
    source_offset: int
    complete: bool
    gap: bool
    received_at: int
    offset: int
    is_late: bool

    @property
    def version(self) -> tuple[int, int]:
        """Orders the versions of one candle."""
        return self.revision, self.source_offset

    @property
    def is_revised(self) -> bool:
        """Whether something else, or nothing, was told before."""
        return self.revision > 1 or self.is_late


class HeldKline(NamedTuple):
    """A kline.

    `restatements` counts how often its figures changed after it was closed. `previous_close` is that of the kline before, None
    where that was not told. `is_late` and `offset` as of a candle.
    """

    open: int
    high: int
    low: int
    close: int
    volume: int | None
    amount: int | None
    taker_buy_volume: int | None
    trade_count: int | None
    is_closed: bool
    restatements: int
    previous_close: int | None
    received_at: int
    offset: int
    is_late: bool

    @property
    def is_revised(self) -> bool:
        """Whether something else, or nothing, was told before."""
        return self.restatements > 0 or self.is_late


Held = TypeVar("Held", HeldCandle, HeldKline)


@dataclass(slots=True)
class Side(Generic[Held]):
    """What one topic told of an instrument.

    `applied_offset`: last offset taken in (-1: none). `time`: latest event time told. `since`: by interval, the open time from
    which on all that was told is held.
    """

    applied_offset: int = -1
    time: int = 0
    since: dict[str, int] = field(default_factory=dict)
    held: dict[CandleKey, Held] = field(default_factory=dict)

    def hold(self, key: CandleKey, held: Held, time: int) -> None:
        """Keep what was told at event time `time`."""
        self.held[key] = held
        self.since.setdefault(*key)
        self.time = max(self.time, time)

    def tells_of(self, key: CandleKey) -> bool:
        """Whether the topic, as far as it was read, reaches back to an interval."""
        return key[0] in self.since and self.since[key[0]] <= key[1]

    def is_past(self, key: CandleKey) -> bool:
        """Whether the topic was read so far that it should have told of an interval."""
        return self.time >= due_time(key)

    def is_silent_on(self, key: CandleKey) -> bool:
        """Whether the topic should have told of an interval, and did not."""
        return key not in self.held and self.is_past(key) and self.tells_of(key)

    def is_beyond(self, key: CandleKey) -> bool:
        """Whether an interval is no longer remembered."""
        return key[1] < self._limit(key[0])

    def forget(self) -> list[CandleKey]:
        """Drop what is beyond the horizon, and say what that was."""
        self.since = {name: max(since, self._limit(name)) for name, since in self.since.items()}
        found = [key for key in self.held if self.is_beyond(key)]
        for key in found:
            del self.held[key]
        return found

    def _limit(self, interval: str) -> int:
        return self.time - max(HORIZON, 2 * parse_interval(interval).micros)


def figures(kline: Kline | HeldKline) -> tuple[int, int, int, int, int | None, int | None, int | None, int | None]:
    """What of a kline is compared."""
    prices = kline.open, kline.high, kline.low, kline.close
    return *prices, kline.volume, kline.amount, kline.taker_buy_volume, kline.trade_count


def close_time(key: CandleKey) -> int:
    """When an interval ends."""
    return parse_interval(key[0]).close_time(key[1])


def due_time(key: CandleKey) -> int:
    """By when both sides are to have told of an interval."""
    return close_time(key) + WAIT
