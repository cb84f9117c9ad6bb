"""What stands in the trade stream of an instrument: trades, time marks and gap marks.

Candles close and gap flags are set by these three alone, so both are pure functions of the stream.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from market.decimals import AMOUNT_PRECISION, PRECISION, fits
from market.errors import DataValidationError
from market.instrument import check_instrument, is_instrument
from market.quality import (
    EARLIEST,
    INT,
    LATEST,
    LONG,
    LONGEST_ID,
    MAX_CLOCK_SKEW,
    check_count,
    check_id,
    check_positive,
    check_time,
    check_whole,
)

Side = Literal["buy", "sell"]

Origin = Literal["backfill", "poll"]
"""How a trade came that no stream told: fetched because it was missing or is history, or polled in the stream's stead."""


class Trade(NamedTuple):
    """One execution, or several that the venue itself aggregated.

    Price and size are unscaled at scale 12. `side` is the taker's (aggressor's) side, None where the venue does not say.
    `sequence` orders trades of equal event time: the venue's numeric id or sequence, else the position in the connection.
    `origin` is None for a trade that came by the venue's stream.
    """

    instrument: str
    trade_id: str
    sequence: int
    price: int
    size: int
    side: Side | None
    exchange_time: int | None
    received_at: int
    first_trade_id: str
    last_trade_id: str
    trade_count: int = 1
    published_at: int | None = None
    origin: Origin | None = None

    @property
    def event_time(self) -> int:
        """Exchange time, or the receive time where the venue gives none."""
        return self.received_at if self.exchange_time is None else self.exchange_time

    @property
    def amount(self) -> int:
        """Price × size at scale 24."""
        return self.price * self.size


class TimeMark(NamedTuple):
    """The instrument was live at `time` (microseconds), with or without trades."""

    instrument: str
    time: int
    published_at: int | None = None


class GapMark(NamedTuple):
    """Trades between `begin` and `end` (event time, microseconds) may be missing; `healed` when they were fetched later.

    `begin` is None where the feed cannot know it (it has just started): the gap reaches back to the last record of the
    instrument.
    """

    instrument: str
    begin: int | None
    end: int
    healed: bool = False
    published_at: int | None = None


TradeStreamRecord = Trade | TimeMark | GapMark


_ORIGINS = get_args(Origin)
_FIGURE_LIMIT, _AMOUNT_LIMIT = 10**PRECISION, 10**AMOUNT_PRECISION


def _is_ordinary(trade: Trade, max_skew: int, not_after: int | None) -> bool:
    """Whether nothing of a trade as streams tell it is wrong, in one look: most are so. False says nothing."""
    # As many as are looked at: a schema of later may have more.
    name, number, sequence, price, size, _, exchange_time, received_at, first, last, count, published_at, origin = trade[:13]
    return (
        origin is None
        and (published_at is None or EARLIEST <= published_at < LATEST)
        and (not_after is None or received_at <= not_after)
        and exchange_time is not None
        and EARLIEST <= received_at < LATEST
        and EARLIEST <= exchange_time < LATEST
        and exchange_time <= received_at + max_skew
        and 0 < price < _FIGURE_LIMIT
        and 0 < size < _FIGURE_LIMIT
        and price * size < _AMOUNT_LIMIT
        and 0 < count < INT
        and -LONG <= sequence < LONG
        and 0 < len(number) <= LONGEST_ID
        and 0 < len(first) <= LONGEST_ID
        and 0 < len(last) <= LONGEST_ID
        and is_instrument(name)
    )


def check_trade(trade: Trade, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> Trade:
    """Return a trade that the stream may hold unchanged; `not_after` bounds its receive time.

    Raises DataValidationError naming the field at fault.
    """
    if _is_ordinary(trade, max_skew, not_after):
        return trade
    check_instrument(trade.instrument)
    check_positive(trade.price, field="price")
    check_positive(trade.size, field="size")
    if not fits(trade.amount, AMOUNT_PRECISION):
        raise DataValidationError("too_large", "amount: price × size has too many digits", field="amount")
    check_count(trade.trade_count, field="trade_count")
    check_id(trade.trade_id, field="trade_id")
    check_id(trade.first_trade_id, field="first_trade_id")
    check_id(trade.last_trade_id, field="last_trade_id")
    check_whole(trade.sequence, field="sequence")
    check_time(trade.received_at, field="received_at", not_after=not_after)
    if trade.exchange_time is not None:
        check_time(trade.exchange_time, field="exchange_time", not_after=trade.received_at + max_skew)
    if trade.published_at is not None:
        check_time(trade.published_at, field="published_at")
    if trade.origin is not None and trade.origin not in _ORIGINS:
        raise DataValidationError("unknown_origin", f"origin: {trade.origin!r:.40} is not known", field="origin")
    return trade


def check_mark(mark: TimeMark | GapMark, *, not_after: int | None = None) -> TimeMark | GapMark:
    """Return a mark that the stream may hold unchanged; `not_after` bounds its time. Raises DataValidationError."""
    check_instrument(mark.instrument)
    if mark.published_at is not None:
        check_time(mark.published_at, field="published_at")
    if isinstance(mark, TimeMark):
        check_time(mark.time, field="time", not_after=not_after)
        return mark
    check_time(mark.end, field="end", not_after=not_after)
    if mark.begin is not None and check_time(mark.begin, field="begin") > mark.end:
        raise DataValidationError("bad_time", f"begin: {mark.begin} is after the end {mark.end}", field="begin")
    return mark
