"""Checks of the quotes, klines, funding and open interest that venues state, beside `market.trade.check_trade` for trades.

A crossed book or a strange candle of a venue is true as a statement of that venue and left to quality rules; refused is
only what cannot be a value of its field.
"""

from __future__ import annotations

from market.decimals import AMOUNT_PRECISION, PRECISION
from market.errors import DataValidationError
from market.funding import Funding
from market.instrument import check_instrument, is_instrument
from market.open_interest import OpenInterest
from market.quality import (
    EARLIEST,
    INT,
    LATEST,
    LONG,
    LONGEST_ID,
    MAX_CLOCK_SKEW,
    check_count,
    check_figure,
    check_id,
    check_not_negative,
    check_positive,
    check_time,
    check_whole,
)
from market.quote import Kline, Quote

Stated = Quote | Kline | Funding | OpenInterest

_MARKS = ("mark_price", "index_price")
_QUOTE_ABOVE_ZERO = (
    *("bid", "bid_size", "ask", "ask_size", "last", "last_size", "open_24h", "high_24h", "low_24h"),
    *_MARKS,
)
_NO_FIGURES, _LIMIT = (None,) * 9, 10**PRECISION
_KLINE_PRICES = ("open", "high", "low", "close")


def check_quote(quote: Quote, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> Quote:
    """Return a quote unchanged whose prices and sizes are above zero where given; `not_after` bounds its receive time.

    Raises DataValidationError.
    """
    if _is_ordinary_top(quote, max_skew, not_after):
        return quote
    check_instrument(quote.instrument)
    check_id(quote.channel, field="channel")
    if quote.sequence is not None:
        check_whole(quote.sequence, field="sequence")
    for field in _QUOTE_ABOVE_ZERO:
        value = getattr(quote, field)
        if value is not None:
            check_positive(value, field=field)
    _not_negative_where_given(quote, "volume_24h")
    _not_negative_where_given(quote, "amount_24h", AMOUNT_PRECISION)
    for field in ("change_24h", "change_percent_24h"):
        value = getattr(quote, field)
        if value is not None:
            check_figure(value, field=field)
    _check_times(quote, max_skew, not_after)
    return quote


def _is_ordinary_top(quote: Quote, max_skew: int, not_after: int | None) -> bool:
    """Whether nothing is wrong of a book's top as feeds tell it, in one look: most quotes are such. False says nothing."""
    instrument, channel, sequence, bid, bid_size, ask, ask_size = quote[:7]
    exchange_time, received_at, published_at, mark_price, index_price = quote[16:21]
    return (
        (published_at is None or EARLIEST <= published_at < LATEST)
        and (not_after is None or received_at <= not_after)
        and quote[7:16] == _NO_FIGURES
        and mark_price is None
        and index_price is None
        and bid is not None
        and 0 < bid < _LIMIT
        and bid_size is not None
        and 0 < bid_size < _LIMIT
        and ask is not None
        and 0 < ask < _LIMIT
        and ask_size is not None
        and 0 < ask_size < _LIMIT
        and (sequence is None or -LONG <= sequence < LONG)
        and EARLIEST <= received_at < LATEST
        and (exchange_time is None or (EARLIEST <= exchange_time < LATEST and exchange_time <= received_at + max_skew))
        and 0 < len(channel) <= LONGEST_ID
        and is_instrument(instrument)
    )


def check_kline(kline: Kline, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> Kline:
    """Return a kline unchanged whose figures can be those of a candle; `not_after` bounds its receive time.

    Raises DataValidationError.
    """
    check_instrument(kline.instrument)
    check_id(kline.interval, field="interval")
    for field in _KLINE_PRICES:
        check_positive(getattr(kline, field), field=field)
    if kline.low > kline.high:
        raise DataValidationError("inconsistent", f"low: {kline.low} is above high {kline.high}", field="low")
    _not_negative_where_given(kline, "volume")
    _not_negative_where_given(kline, "amount", AMOUNT_PRECISION)
    _not_negative_where_given(kline, "taker_buy_volume")
    _check_trades_of(kline)
    check_time(kline.open_time, field="open_time")
    _check_times(kline, max_skew, not_after)
    check_time(kline.open_time, field="open_time", not_after=kline.received_at + max_skew)  # which is sound by now
    return kline


def check_funding(funding: Funding, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> Funding:
    """Return funding unchanged whose prices are above zero where given; `not_after` bounds its receive time.

    Raises DataValidationError.
    """
    check_instrument(funding.instrument)
    check_id(funding.channel, field="channel")
    check_figure(funding.rate, field="rate")
    if funding.next_funding_time is not None:
        check_time(funding.next_funding_time, field="next_funding_time")
    if funding.interval_seconds is not None:
        check_count(funding.interval_seconds, field="interval_seconds")
    for field in _MARKS:
        value = getattr(funding, field)
        if value is not None:
            check_positive(value, field=field)
    _check_times(funding, max_skew, not_after)
    return funding


def check_open_interest(told: OpenInterest, *, max_skew: int = MAX_CLOCK_SKEW, not_after: int | None = None) -> OpenInterest:
    """Return open interest unchanged that is not below zero; `not_after` bounds its receive time.

    Raises DataValidationError.
    """
    check_instrument(told.instrument)
    check_id(told.channel, field="channel")
    check_not_negative(told.open_interest, field="open_interest")
    _not_negative_where_given(told, "notional", AMOUNT_PRECISION)
    _check_times(told, max_skew, not_after)
    return told


def _check_trades_of(kline: Kline) -> None:
    _not_negative_where_given(kline, "trade_count")
    if kline.trade_count is not None:
        check_whole(kline.trade_count, field="trade_count", limit=INT)
    for field in ("first_trade_id", "last_trade_id"):
        trade_id = getattr(kline, field)
        if trade_id is not None:
            check_id(trade_id, field=field)


def _check_times(record: Stated, max_skew: int, not_after: int | None = None) -> None:
    check_time(record.received_at, field="received_at", not_after=not_after)
    if record.exchange_time is not None:
        check_time(record.exchange_time, field="exchange_time", not_after=record.received_at + max_skew)
    if record.published_at is not None:
        check_time(record.published_at, field="published_at")


def _not_negative_where_given(record: Stated, field: str, precision: int = PRECISION) -> None:
    value = getattr(record, field)
    if value is not None:
        check_not_negative(value, field=field, precision=precision)
