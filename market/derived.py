"""Checks of the records derived from trades: candle events and price changes.

A record that decodes may still be nonsense: seconds passed as microseconds, a close above the high. Whoever keeps history or
serves it refuses such a record instead of passing it on; `market.trade` has the checks of the trade stream itself.
"""

from __future__ import annotations

from market.candle import CandleEvent
from market.decimals import AMOUNT_PRECISION
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.interval import DAY, HOUR, MINUTE, parse_interval
from market.price_change import PriceChangedEvent
from market.quality import check_count, check_figure, check_id, check_not_negative, check_positive, check_time


def check_candle(candle: CandleEvent, *, not_after: int | None = None) -> CandleEvent:
    """Return a candle event unchanged whose figures can be those of a candle. Raises DataValidationError.

    With `not_after` (microseconds) no candle may have begun later, and none have closed later.
    """
    check_instrument(candle.instrument)
    _check_interval(candle)
    field = "close_time" if candle.is_closed else "open_time"
    check_time(getattr(candle, field), field=field, not_after=not_after)
    _check_prices(candle)
    _check_volumes(candle)
    check_time(candle.last_trade_time, field="last_trade_time")
    check_time(candle.received_at, field="received_at")
    check_id(candle.first_trade_id, field="first_trade_id")
    check_id(candle.last_trade_id, field="last_trade_id")
    check_id(candle.source_topic, field="source_topic")
    return candle


def check_price_change(change: PriceChangedEvent) -> PriceChangedEvent:
    """Return a price change unchanged whose figures agree with each other. Raises DataValidationError."""
    check_instrument(change.instrument)
    check_positive(change.old_price, field="old_price")
    check_positive(change.new_price, field="new_price")
    check_figure(change.change, field="change")
    if change.change != change.new_price - change.old_price:
        raise _inconsistent("change", f"{change.change} is not new_price - old_price")
    check_figure(change.change_percent, field="change_percent")
    check_count(change.changes, field="changes")
    check_time(change.received_at, field="received_at")
    if change.exchange_time is not None:
        check_time(change.exchange_time, field="exchange_time")
    check_id(change.source_topic, field="source_topic")
    return change


def _check_interval(candle: CandleEvent) -> None:
    """What holds on any `Grid`: who reads a candle does not know the sessions of its venue."""
    interval = parse_interval(candle.interval)
    longest = interval.micros if interval.micros < HOUR else DAY  # a longer one may span breaks: see market.session
    for field in ("open_time", "close_time"):
        time = check_time(getattr(candle, field), field=field)
        if time % MINUTE:
            raise DataValidationError("bad_time", f"{field}: {time} is not a full minute", field=field)
    if not 0 < candle.close_time - candle.open_time <= longest:
        raise DataValidationError(
            "bad_time", f"close_time: no {interval} from {candle.open_time} ends then", field="close_time"
        )


def _check_prices(candle: CandleEvent) -> None:
    for field in ("high", "low", "open", "close"):
        check_positive(getattr(candle, field), field=field)
    for field in ("open", "close"):
        if not candle.low <= getattr(candle, field) <= candle.high:
            raise _inconsistent(field, f"{getattr(candle, field)} is outside of low {candle.low} to high {candle.high}")
    check_figure(candle.vwap, field="vwap")


def _check_volumes(candle: CandleEvent) -> None:
    check_not_negative(candle.volume, field="volume")
    check_not_negative(candle.amount, field="amount", precision=AMOUNT_PRECISION)
    check_not_negative(candle.trade_count, field="trade_count")
    if not candle.trade_count and (candle.volume or candle.amount or candle.low != candle.high):
        raise _inconsistent("trade_count", "without trades a candle has one price and no volume")
    if candle.taker_buy_volume is None:
        return
    check_figure(candle.taker_buy_volume, field="taker_buy_volume")
    if not 0 <= candle.taker_buy_volume <= candle.volume:
        raise _inconsistent("taker_buy_volume", f"{candle.taker_buy_volume} is outside of 0 to volume {candle.volume}")


def _inconsistent(field: str, text: str) -> DataValidationError:
    return DataValidationError("inconsistent", f"{field}: {text}", field=field)
