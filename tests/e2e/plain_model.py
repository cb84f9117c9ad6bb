"""What the capture must come to, by plain arithmetic from its lines and without any of the product's code.

The rules are those the product documents: a candle closes when event time is two seconds past its end, event time being the
exchange's and, once a second and at the end of each file, the recorder's; of price changes at most one is told in 0.1 s, unless
a hundred have gathered, and the time is that of receipt between trades, and event time (no later than receipt) up to a mark.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

MINUTE = 60_000_000
GRACE = 2_000_000
THROTTLE = 100_000
MOST_PENDING = 100


class PlainTrade(NamedTuple):
    """A `trade` message; times in microseconds."""

    id: int
    price: Fraction
    size: Fraction
    taker_buys: bool
    exchange_time: int
    received_at: int


class PlainMark(NamedTuple):
    """Time passed on a line that was up."""

    time: int


class PlainCandle(NamedTuple):
    """A candle in its last version."""

    open_time: int
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction
    volume: Fraction
    amount: Fraction
    taker_buy_volume: Fraction
    trade_count: int
    first_trade_id: str
    last_trade_id: str
    is_closed: bool
    complete: bool


class PlainChange(NamedTuple):
    """A told change of price; `percent` rounded half-even to 12 decimal places, `trigger` the time that made it due."""

    old: Fraction
    new: Fraction
    percent: Fraction
    changes: int
    exchange_time: int
    trigger: int


@dataclass(slots=True)
class Expected:
    """What the whole capture comes to."""

    trades: list[PlainTrade] = field(default_factory=list)
    quotes: list[dict[str, Any]] = field(default_factory=list)
    candles: list[PlainCandle] = field(default_factory=list)
    changes: list[PlainChange] = field(default_factory=list)


def expect(files: Sequence[Path]) -> Expected:
    """Compute everything from the recorded lines."""
    quotes: list[dict[str, Any]] = []
    stream = list(_stream(files, quotes))
    trades = [record for record in stream if isinstance(record, PlainTrade)]
    return Expected(trades, quotes, list(_candles(stream)), list(_changes(stream)))


def _stream(files: Sequence[Path], quotes: list[dict[str, Any]]) -> Iterator[PlainTrade | PlainMark]:
    second = 0
    for path in files:
        traded = False  # by this file's connection
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            nanoseconds, _, text = line.partition(" ")
            at, frame = int(nanoseconds) // 1000, json.loads(text)
            if at // 1_000_000 > second:
                second = at // 1_000_000
                if traded:
                    yield PlainMark(second * 1_000_000)
            stream = frame.get("stream", "")
            if stream.endswith("@trade"):
                traded = True
                yield _trade(frame["data"], at)
            elif stream.endswith("@bookTicker"):
                quotes.append(frame["data"])
        yield PlainMark(at)


def _trade(data: dict[str, Any], at: int) -> PlainTrade:
    return PlainTrade(data["t"], Fraction(data["p"]), Fraction(data["q"]), not data["m"], data["T"] * 1000, at)


def _time(record: PlainTrade | PlainMark) -> int:
    return record.exchange_time if isinstance(record, PlainTrade) else record.time


def _candles(stream: list[PlainTrade | PlainMark]) -> Iterator[PlainCandle]:
    minutes: dict[int, list[PlainTrade]] = {}
    for record in stream:
        if isinstance(record, PlainTrade):
            minutes.setdefault(record.exchange_time // MINUTE * MINUTE, []).append(record)
    observed_from = next(record.exchange_time for record in stream if isinstance(record, PlainTrade))
    passed = max(map(_time, stream)) - GRACE
    for open_time, unordered in sorted(minutes.items()):
        trades = sorted(unordered, key=lambda trade: (trade.exchange_time, trade.id))
        prices, is_closed = [trade.price for trade in trades], open_time + MINUTE <= passed
        yield PlainCandle(
            open_time,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum((trade.size for trade in trades), Fraction()),
            sum((trade.price * trade.size for trade in trades), Fraction()),
            sum((trade.size for trade in trades if trade.taker_buys), Fraction()),
            len(trades),
            str(trades[0].id),
            str(trades[-1].id),
            is_closed,
            is_closed and observed_from < open_time,
        )


def _changes(stream: list[PlainTrade | PlainMark]) -> Iterator[PlainChange]:
    last: PlainTrade | None = None
    told_price, told_at, told_event_time, pending = Fraction(), 0, 0, 0
    for record in stream:
        if isinstance(record, PlainTrade):
            now, event_time = record.received_at, min(record.exchange_time, record.received_at)
            passed = now - told_at
            if last is None:
                last, told_price = record, record.price
                continue
            if (record.exchange_time, record.id) <= (last.exchange_time, last.id):
                continue
            pending += record.price != last.price
            last = record
        else:
            now = event_time = record.time
            passed = event_time - told_event_time
        if last is None or not pending or (passed < THROTTLE and pending < MOST_PENDING):
            continue
        if told_price != last.price:
            percent = Fraction(round((last.price - told_price) / told_price * 100 * 10**12), 10**12)
            yield PlainChange(told_price, last.price, percent, pending, last.exchange_time, now)
            told_price, told_at, told_event_time = last.price, now, event_time
        pending = 0
