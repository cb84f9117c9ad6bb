"""Whether a record says something that can be history: ids, times and figures within what the field allows.

A record that decodes may still be nonsense: an instrument with 10,000 letters, seconds passed as microseconds. Such times
would make partitions for years that never were, so they are refused here, before any store sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from market.candle import CandleEvent
from market.decimals import AMOUNT_PRECISION, fits
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.interval import parse_interval
from market.price_change import PriceChangedEvent
from market.trade import LONGEST_ID, GapMark, TimeMark, Trade, check_mark, check_time, check_trade
from schemas.records import Record


def check_record(record: Record) -> None:
    """Raise DataValidationError naming the field at fault when a record of a kind that is stored makes no sense."""
    check = _CHECKS.get(type(record))
    if check is not None:
        check(record)


def _trade(trade: Trade) -> None:
    check_trade(trade)
    if trade.published_at is not None:
        check_time(trade.published_at, field="published_at")


def _candle(candle: CandleEvent) -> None:
    check_instrument(candle.instrument)
    interval = parse_interval(candle.interval)
    check_time(candle.open_time, field="open_time")
    if interval.open_time(candle.open_time) != candle.open_time:
        raise DataValidationError("bad_time", f"open_time: no {interval} begins at {candle.open_time}", field="open_time")
    if interval.close_time(candle.open_time) != candle.close_time:
        raise DataValidationError("bad_time", f"close_time: no {interval} ends at {candle.close_time}", field="close_time")
    check_time(candle.last_trade_time, field="last_trade_time")
    check_time(candle.received_at, field="received_at")
    _figures(candle, "open", "high", "low", "close", "volume", "vwap", "taker_buy_volume")
    _figures(candle, "amount", precision=AMOUNT_PRECISION)
    _texts(candle, "first_trade_id", "last_trade_id", "source_topic")


def _price_change(change: PriceChangedEvent) -> None:
    check_instrument(change.instrument)
    check_time(change.received_at, field="received_at")
    if change.exchange_time is not None:
        check_time(change.exchange_time, field="exchange_time")
    _figures(change, "old_price", "new_price", "change", "change_percent")
    _texts(change, "source_topic")


def _figures(record: Record, *fields: str, precision: int | None = None) -> None:
    for field in fields:
        value = getattr(record, field)
        if value is not None and not (fits(value) if precision is None else fits(value, precision)):
            raise DataValidationError("too_large", f"{field}: {value} has too many digits", field=field)


def _texts(record: Record, *fields: str) -> None:
    for field in fields:
        if not 0 < len(getattr(record, field)) <= LONGEST_ID:
            raise DataValidationError("bad_id", f"{field}: must have 1 to {LONGEST_ID} characters", field=field)


_CHECKS: Mapping[type[Record], Callable[[Any], object]] = {
    Trade: _trade,
    TimeMark: check_mark,
    GapMark: check_mark,
    CandleEvent: _candle,
    PriceChangedEvent: _price_change,
}
