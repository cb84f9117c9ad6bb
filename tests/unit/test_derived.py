"""Which candle events and price changes make sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind, fold
from market.decimals import ONE
from market.derived import check_candle, check_price_change
from market.errors import DataValidationError
from market.price_change import PriceChangedEvent, create
from market.trade import Trade
from tests.builders import INSTRUMENT, MINUTE, START, trades

CANDLE = CandleEvent(
    *(INSTRUMENT, "1m", START, START + MINUTE, CandleEventKind.CLOSE, 1, ONE, 2 * ONE, ONE, ONE, ONE, ONE * ONE, ONE, None, 1),
    *("1", "1", True, True, False, START, START, "md.trades", 0, 0),
)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)


@given(trades(minutes=1).filter(bool))
def test_whatever_is_folded_from_trades_passes(found: list[Trade]) -> None:
    candle = fold(found)
    assert candle is not None
    figures = {field: getattr(candle, field) for field in ("open", "high", "low", "close", "volume", "amount", "vwap")}
    event = CANDLE._replace(**figures, taker_buy_volume=candle.taker_buy_volume, trade_count=candle.trade_count)
    assert check_candle(event) is event


@pytest.mark.parametrize(
    "event",
    [
        CANDLE._replace(interval="1h", close_time=START + 30 * MINUTE),  # cut short by a break
        CANDLE._replace(interval="4h", close_time=START + 330 * MINUTE),  # spans one
        CANDLE._replace(high=ONE, volume=0, amount=0, trade_count=0),
    ],
)
def test_candle_of_a_session_or_without_trades_passes(event: CandleEvent) -> None:
    assert check_candle(event) is event


@given(st.integers(1, 10**37), st.integers(1, 10**37))
def test_whatever_change_is_created_passes(old: int, new: int) -> None:
    change = create(INSTRUMENT, old, new, received_at=START, source=("md.trades", 0, 1))
    if abs(change.change_percent) < 10**38:
        assert check_price_change(change) is change


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (CANDLE._replace(instrument="Bitcoin"), "instrument"),
        (CANDLE._replace(interval="7m"), "interval"),
        (CANDLE._replace(open_time=START + 1), "open_time"),
        (CANDLE._replace(open_time=0), "open_time"),
        (CANDLE._replace(close_time=START), "close_time"),
        (CANDLE._replace(close_time=START + MINUTE - 1), "close_time"),
        (CANDLE._replace(close_time=START + 2 * MINUTE), "close_time"),
        (CANDLE._replace(interval="4h", close_time=START + 25 * 60 * MINUTE), "close_time"),
        (CANDLE._replace(trade_count=0), "trade_count"),
        (CANDLE._replace(trade_count=0, volume=0, amount=0, high=2 * ONE), "trade_count"),
        (CANDLE._replace(trade_count=0, volume=0, high=ONE), "trade_count"),
        (CANDLE._replace(low=0), "low"),
        (CANDLE._replace(high=10**38), "high"),
        (CANDLE._replace(open=3 * ONE), "open"),
        (CANDLE._replace(close=1), "close"),
        (CANDLE._replace(vwap=10**38), "vwap"),
        (CANDLE._replace(volume=-1), "volume"),
        (CANDLE._replace(volume=10**38), "volume"),
        (CANDLE._replace(amount=-1), "amount"),
        (CANDLE._replace(amount=10**50), "amount"),
        (CANDLE._replace(taker_buy_volume=ONE + 1), "taker_buy_volume"),
        (CANDLE._replace(taker_buy_volume=-1), "taker_buy_volume"),
        (CANDLE._replace(taker_buy_volume=10**38), "taker_buy_volume"),
        (CANDLE._replace(trade_count=-1), "trade_count"),
        (CANDLE._replace(last_trade_time=0), "last_trade_time"),
        (CANDLE._replace(received_at=2**62), "received_at"),
        (CANDLE._replace(first_trade_id=""), "first_trade_id"),
        (CANDLE._replace(last_trade_id="9" * 201), "last_trade_id"),
        (CANDLE._replace(source_topic=""), "source_topic"),
    ],
)
def test_candle_that_cannot_be_is_refused_with_the_name_of_the_field(record: CandleEvent, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_candle(record)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (CHANGE._replace(instrument="Bitcoin"), "instrument"),
        (CHANGE._replace(old_price=0), "old_price"),
        (CHANGE._replace(new_price=10**38), "new_price"),
        (CHANGE._replace(change=11), "change"),
        (CHANGE._replace(change=10**38), "change"),
        (CHANGE._replace(change_percent=-(10**38)), "change_percent"),
        (CHANGE._replace(changes=0), "changes"),
        (CHANGE._replace(changes=2**31), "changes"),
        (CHANGE._replace(received_at=2**62), "received_at"),
        (CHANGE._replace(exchange_time=START // 1000), "exchange_time"),
        (CHANGE._replace(source_topic="x" * 300), "source_topic"),
    ],
)
def test_price_change_that_cannot_be_is_refused_with_the_name_of_the_field(record: PriceChangedEvent, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_price_change(record)
    assert caught.value.field == field


def test_candle_may_neither_begin_nor_have_closed_after_the_moment_given() -> None:
    assert check_candle(CANDLE, not_after=CANDLE.close_time) is CANDLE
    with pytest.raises(DataValidationError, match="close_time"):
        check_candle(CANDLE, not_after=CANDLE.close_time - 1)
    still_open = CANDLE._replace(kind=CandleEventKind.NEW, revision=0, is_closed=False)
    assert check_candle(still_open, not_after=CANDLE.open_time) is still_open
    with pytest.raises(DataValidationError, match="open_time"):
        check_candle(still_open, not_after=CANDLE.open_time - 1)
