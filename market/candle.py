"""Candles as a commutative monoid, and the events that tell of them.

`merge` is associative and commutative, so neither arrival order nor batch boundaries nor replays can change a candle.
Duplicates must be removed before (`market.seen_trades`): volume and count are not idempotent.
"""

from __future__ import annotations

from enum import StrEnum
from functools import reduce
from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION, fits, vwap
from market.trade import Trade


class TradePoint(NamedTuple):
    """A trade's place in the order (event time, sequence) with its price; the order decides open and close."""

    event_time: int
    sequence: int
    price: int
    trade_id: str


class Candle(NamedTuple):
    """Trades of one interval, summed up.

    Prices and volumes are unscaled at scale 12, the amount (sum of price × size) at scale 24. `taker_buy_volume` is None as
    soon as one trade's side is unknown. `received_at` is the latest receive time among the trades. For an interval without
    trades see `carried`.
    """

    first: TradePoint
    last: TradePoint
    high: int
    low: int
    volume: int
    amount: int
    taker_buy_volume: int | None
    trade_count: int
    received_at: int

    @property
    def open(self) -> int:
        """Price of the first trade in the order."""
        return self.first.price

    @property
    def close(self) -> int:
        """Price of the last trade in the order."""
        return self.last.price

    @property
    def vwap(self) -> int:
        """Volume-weighted average price: amount / volume, half-even at scale 12; the close where nothing was traded."""
        return vwap(self.amount, self.volume) if self.volume else self.close

    def has_room_for(self, other: Candle) -> bool:
        """Whether the sums of both together still have a place in the wire's decimals."""
        return fits(self.volume + other.volume) and fits(self.amount + other.amount, AMOUNT_PRECISION)


def candle_of(trade: Trade) -> Candle:
    """The candle of one trade."""
    price, size, time = trade.price, trade.size, trade.event_time
    taker_buy = None if trade.side is None else size if trade.side == "buy" else 0
    return Candle(
        TradePoint(time, trade.sequence, price, trade.first_trade_id),
        TradePoint(time, trade.sequence, price, trade.last_trade_id),
        price,
        price,
        size,
        price * size,
        taker_buy,
        trade.trade_count,
        trade.received_at,
    )


def merge(a: Candle, b: Candle) -> Candle:
    """The candle of the trades of both: associative, commutative."""
    both_sides_known = a.taker_buy_volume is not None and b.taker_buy_volume is not None
    return Candle(
        min(a.first, b.first),
        max(a.last, b.last),
        max(a.high, b.high),
        min(a.low, b.low),
        a.volume + b.volume,
        a.amount + b.amount,
        a.taker_buy_volume + b.taker_buy_volume if both_sides_known else None,  # type: ignore[operator]  # checked above
        a.trade_count + b.trade_count,
        max(a.received_at, b.received_at),
    )


def carried(candle: Candle) -> Candle:
    """The candle of an interval without trades that follows this one: the close is its every price, its volumes are zero.

    Ids and `last_trade_time` are those of the last trade, whose event time stands in for the receive time too.
    """
    last = candle.last
    return Candle(last, last, last.price, last.price, 0, 0, 0, 0, last.event_time)


def fold(trades: list[Trade]) -> Candle | None:
    """The candle of any number of trades; None of none."""
    return reduce(merge, map(candle_of, trades)) if trades else None


class CandleEventKind(StrEnum):
    """NEW: first trade. UPDATE: more trades, conflated. CLOSE: the watermark passed the end. CORRECTION: a late trade."""

    NEW = "NEW"
    UPDATE = "UPDATE"
    CLOSE = "CLOSE"
    CORRECTION = "CORRECTION"


class CandleEvent(NamedTuple):
    """A version of a candle. Of one (instrument, interval, open_time) the highest (revision, source_offset) is the truth.

    `complete`: the whole interval was observed, from its first instant to its last, and is closed. `gap`: trades may be
    missing inside it. The source fields name the trade-stream record whose application made this version.
    """

    instrument: str
    interval: str
    open_time: int
    close_time: int
    kind: CandleEventKind
    revision: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    amount: int
    vwap: int
    taker_buy_volume: int | None
    trade_count: int
    first_trade_id: str
    last_trade_id: str
    is_closed: bool
    complete: bool
    gap: bool
    last_trade_time: int
    received_at: int
    source_topic: str
    source_partition: int
    source_offset: int

    @property
    def version(self) -> tuple[int, int]:
        """Orders the versions of one candle."""
        return self.revision, self.source_offset
