"""Final candles, folded in plain Python from the load's trades before any encoding: what all contestants must give. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from benchmarks.stream.load import Tick

MINUTE = 60_000_000

CandleId = tuple[str, int]
"""Instrument and open time."""


class FinalCandle(NamedTuple):
    """What of a candle is compared; prices and volume at scale 12, amount at scale 24."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    amount: int
    trade_count: int


Candles = Mapping[CandleId, FinalCandle]


class Fold:
    """Takes in trades in their order; one whose id is not above its instrument's last is a repetition."""

    def __init__(self) -> None:
        self._last_ids: dict[str, int] = {}
        self._candles: dict[CandleId, list[int]] = {}

    def add(self, tick: Tick) -> None:
        """Take in a trade."""
        instrument, number, time, price, size = tick
        if number <= self._last_ids.get(instrument, -1):
            return
        self._last_ids[instrument] = number
        key = instrument, time - time % MINUTE
        candle = self._candles.get(key)
        if candle is None:
            self._candles[key] = [price, price, price, price, size, price * size, 1]
            return
        if price > candle[1]:
            candle[1] = price
        elif price < candle[2]:
            candle[2] = price
        candle[3] = price
        candle[4] += size
        candle[5] += price * size
        candle[6] += 1

    def candles(self) -> dict[CandleId, FinalCandle]:
        """The candles so far."""
        return {key: FinalCandle(*values) for key, values in self._candles.items()}


def joined(earlier: Candles, later: Candles) -> dict[CandleId, FinalCandle]:
    """The candles of a stretch of trades and of the one behind it."""
    both = {key: _join(earlier[key], later[key]) for key in earlier.keys() & later.keys()}
    return {**earlier, **later, **both}


def _join(a: FinalCandle, b: FinalCandle) -> FinalCandle:
    high, low = max(a.high, b.high), min(a.low, b.low)
    return FinalCandle(a.open, high, low, b.close, a.volume + b.volume, a.amount + b.amount, a.trade_count + b.trade_count)


def first_difference(expected: Candles, found: Candles) -> str | None:
    """What differs first, in the order of instrument and time; None when all are equal."""
    for key in sorted(expected.keys() | found.keys()):
        wanted, got = expected.get(key), found.get(key)
        if wanted != got:
            return f"{key[0]} at {key[1]}: {_shown(got)} instead of {_shown(wanted)}"
    return None


def _shown(candle: FinalCandle | None) -> str:
    if candle is None:
        return "no candle"
    return ", ".join(f"{name} {value}" for name, value in candle._asdict().items())


def fold(ticks: Iterable[Tick]) -> dict[CandleId, FinalCandle]:
    """The candles of trades in order."""
    fold = Fold()
    for tick in ticks:
        fold.add(tick)
    return fold.candles()
