"""What stands in the trade stream of an instrument: trades, time marks and gap marks.

Candles close and gap flags are set by these three alone, so both are pure functions of the stream.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from market.decimals import AMOUNT_PRECISION, PRECISION, fits
from market.errors import DataValidationError
from market.instrument import check_instrument

Side = Literal["buy", "sell"]

MAX_CLOCK_SKEW = 5_000_000
"""How far, in microseconds, an exchange's clock may run ahead of ours before its time is not believed."""

LONGEST_ID = 200
"""Longest trade id in characters; venues' are below 40. Ids are kept in state and indices, so they must not grow at will."""

_EARLIEST = 946_684_800_000_000  # 2000-01-01: milliseconds or seconds passed as microseconds fall before it
_LATEST = 4_102_444_800_000_000  # 2100-01-01


class Trade(NamedTuple):
    """One execution, or several that the venue itself aggregated.

    Price and size are unscaled at scale 12. `side` is the taker's (aggressor's) side, None where the venue does not say.
    `sequence` orders trades of equal event time: the venue's numeric id or sequence, else the position in the connection.
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


def check_time(time: int, *, field: str, not_after: int | None = None) -> int:
    """Return a plausible time unchanged; `not_after` bounds clocks that run ahead. Raises DataValidationError."""
    if not _EARLIEST <= time < _LATEST:
        raise DataValidationError("bad_time", f"{field}: {time} is not a time in microseconds since 1970", field=field)
    if not_after is not None and time > not_after:
        raise DataValidationError(
            "future_time",
            f"{field}: {time} is {(time - not_after) / 1e6:.3f} s later than a clock may run ahead",
            field=field,
        )
    return time


def check_id(text: str, *, field: str) -> str:
    """Return an id or name of bearable length unchanged. Raises DataValidationError."""
    if not 0 < len(text) <= LONGEST_ID:
        raise DataValidationError("bad_id", f"{field}: must have 1 to {LONGEST_ID} characters", field=field)
    return text


def check_figure(value: int, *, field: str, precision: int = PRECISION) -> int:
    """Return an unscaled integer that the wire's decimals can hold unchanged. Raises DataValidationError."""
    if not fits(value, precision):
        raise DataValidationError("too_large", f"{field}: {value} has too many digits", field=field)
    return value


def check_positive(value: int, *, field: str) -> int:
    """Like `check_figure`, for prices and sizes: zero and negative values are refused."""
    if value <= 0:
        raise DataValidationError("not_positive", f"{field}: {value} is not above zero", field=field)
    return check_figure(value, field=field)


def check_not_negative(value: int, *, field: str, precision: int = PRECISION) -> int:
    """Return a figure of zero or above that fits its type unchanged. Raises DataValidationError."""
    if value < 0:
        raise DataValidationError("negative", f"{field}: {value} is below zero", field=field)
    return check_figure(value, field=field, precision=precision)


def check_trade(trade: Trade, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> Trade:
    """Return a trade that the stream may hold unchanged; `not_after` bounds its receive time.

    Raises DataValidationError naming the field at fault.
    """
    check_instrument(trade.instrument)
    check_positive(trade.price, field="price")
    check_positive(trade.size, field="size")
    if not fits(trade.amount, AMOUNT_PRECISION):
        raise DataValidationError("too_large", "amount: price × size has too many digits", field="amount")
    if trade.trade_count < 1:
        raise DataValidationError("not_positive", f"trade_count: {trade.trade_count} is below one", field="trade_count")
    check_id(trade.trade_id, field="trade_id")
    check_id(trade.first_trade_id, field="first_trade_id")
    check_id(trade.last_trade_id, field="last_trade_id")
    check_time(trade.received_at, field="received_at", not_after=not_after)
    if trade.exchange_time is not None:
        check_time(trade.exchange_time, field="exchange_time", not_after=trade.received_at + max_skew)
    if trade.published_at is not None:
        check_time(trade.published_at, field="published_at")
    return trade


def check_mark(mark: TimeMark | GapMark, *, not_after: int | None = None) -> TimeMark | GapMark:
    """Return a mark that the stream may hold unchanged; `not_after` bounds its time. Raises DataValidationError."""
    check_instrument(mark.instrument)
    if isinstance(mark, TimeMark):
        check_time(mark.time, field="time", not_after=not_after)
        return mark
    check_time(mark.end, field="end", not_after=not_after)
    if mark.begin is not None and check_time(mark.begin, field="begin") > mark.end:
        raise DataValidationError("bad_time", f"begin: {mark.begin} is after the end {mark.end}", field="begin")
    return mark
