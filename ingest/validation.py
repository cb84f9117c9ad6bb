"""Checks of the quotes and klines that venues state, beside `market.trade.check_trade` for trades.

A crossed book or a strange candle of a venue is true as a statement of that venue and left to quality rules; refused is
only what cannot be a value of its field.
"""

from __future__ import annotations

from market.decimals import AMOUNT_PRECISION, fits
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quote import Kline, Quote
from market.trade import MAX_CLOCK_SKEW, check_time

_QUOTE_ABOVE_ZERO = ("bid", "bid_size", "ask", "ask_size", "last", "last_size", "open_24h", "high_24h", "low_24h")
_KLINE_PRICES = ("open", "high", "low", "close")


def check_quote(quote: Quote, *, max_skew: int = MAX_CLOCK_SKEW) -> Quote:
    """Return a quote unchanged whose prices and sizes are above zero where given. Raises DataValidationError."""
    check_instrument(quote.instrument)
    for field in _QUOTE_ABOVE_ZERO:
        value = getattr(quote, field)
        if value is not None:
            _above_zero(value, field)
    _not_negative(quote.volume_24h, "volume_24h")
    _not_negative(quote.amount_24h, "amount_24h", AMOUNT_PRECISION)
    for field in ("change_24h", "change_percent_24h"):
        value = getattr(quote, field)
        if value is not None and not fits(value):
            raise _too_large(field, value)
    _check_times(quote, max_skew)
    return quote


def check_kline(kline: Kline, *, max_skew: int = MAX_CLOCK_SKEW) -> Kline:
    """Return a kline unchanged whose figures can be those of a candle. Raises DataValidationError."""
    check_instrument(kline.instrument)
    for field in _KLINE_PRICES:
        _above_zero(getattr(kline, field), field)
    if kline.low > kline.high:
        raise DataValidationError("inconsistent", f"low: {kline.low} is above high {kline.high}", field="low")
    _not_negative(kline.volume, "volume")
    _not_negative(kline.amount, "amount", AMOUNT_PRECISION)
    _not_negative(kline.trade_count, "trade_count")
    _not_negative(kline.taker_buy_volume, "taker_buy_volume")
    check_time(kline.open_time, field="open_time")
    _check_times(kline, max_skew)
    return kline


def _check_times(record: Quote | Kline, max_skew: int) -> None:
    check_time(record.received_at, field="received_at")
    if record.exchange_time is not None:
        check_time(record.exchange_time, field="exchange_time", not_after=record.received_at + max_skew)


def _above_zero(value: int, field: str) -> None:
    if value <= 0:
        raise DataValidationError("not_positive", f"{field}: {value} is not above zero", field=field)
    if not fits(value):
        raise _too_large(field, value)


def _not_negative(value: int | None, field: str, precision: int | None = None) -> None:
    if value is None:
        return
    if value < 0:
        raise DataValidationError("negative", f"{field}: {value} is below zero", field=field)
    if not (fits(value) if precision is None else fits(value, precision)):
        raise _too_large(field, value)


def _too_large(field: str, value: int) -> DataValidationError:
    return DataValidationError("too_large", f"{field}: {value} has too many digits", field=field)
