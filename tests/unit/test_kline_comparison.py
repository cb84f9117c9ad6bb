"""A candle beside a kline: each figure that differs is told, what a rule explains is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Candle, fold
from market.decimals import ONE
from market.kline_comparison import Difference, differences, is_empty
from market.kline_rules import FIELDS, RULES, UNPROVED, Opening, rule_of
from market.quote import Kline
from market.trade import Trade
from tests.builders import START, make_trade, trades

BINANCE, BYBIT = RULES["binance"], RULES["bybit"]


def kline_of(candle: Candle, **changed: Any) -> Kline:
    """What a venue with our rules states of the trades of a candle."""
    kline = Kline(
        instrument="binance:BTC-USDT",
        interval="1m",
        open_time=START,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        amount=candle.amount,
        trade_count=candle.trade_count,
        taker_buy_volume=candle.taker_buy_volume,
        first_trade_id=candle.first.trade_id,
        last_trade_id=candle.last.trade_id,
        is_closed=True,
        exchange_time=None,
        received_at=START,
    )
    return kline._replace(**changed)


def candle_of_prices(*prices: int) -> Candle:
    candle = fold([make_trade(number, at=START + number, price=price) for number, price in enumerate(prices, start=1)])
    assert candle is not None
    return candle


@given(trades().filter(bool), st.sampled_from(FIELDS), st.integers(1, 1 << 40))
def test_each_figure_that_differs_is_told_with_both_values(found: list[Trade], field: str, by: int) -> None:
    candle = fold(found)
    assert candle is not None
    kline = kline_of(candle)
    assert differences(candle, kline, BINANCE) == ()
    ours = getattr(candle, field)
    if ours is not None:
        assert differences(candle, kline._replace(**{field: ours + by}), BINANCE) == (Difference(field, ours, ours + by),)


@given(trades().filter(bool), st.integers(1, 10**6).map(lambda price: price * ONE))
def test_kline_that_opens_with_the_close_before_equals_the_candle_of_its_trades(found: list[Trade], before: int) -> None:
    candle = fold(found)
    assert candle is not None
    kline = kline_of(candle, open=before, high=max(candle.high, before), low=min(candle.low, before))
    assert differences(candle, kline, BYBIT, before) == ()
    assert differences(candle, kline, BYBIT) == ()
    by_first_trade = {difference.field for difference in differences(candle, kline, BINANCE, before)}
    assert ("open" in by_first_trade) == (before != candle.open)


def test_kline_that_opens_with_another_price_than_the_close_before_differs() -> None:
    candle = candle_of_prices(100, 110)
    kline = kline_of(candle, open=99 * ONE, low=99 * ONE)
    assert differences(candle, kline, BYBIT, 100 * ONE) == (
        Difference("open", 100 * ONE, 99 * ONE),
        Difference("low", 100 * ONE, 99 * ONE),
    )


@pytest.mark.parametrize("field", ["volume", "amount", "taker_buy_volume", "trade_count"])
def test_figure_that_the_venue_does_not_state_is_not_compared(field: str) -> None:
    candle = candle_of_prices(100)
    assert differences(candle, kline_of(candle, **{field: None}), BINANCE) == ()
    assert differences(candle, kline_of(candle, **{field: 7}), BINANCE) != ()


def test_figure_that_we_do_not_know_is_not_compared() -> None:
    candle = candle_of_prices(100)._replace(taker_buy_volume=None)
    assert differences(candle, kline_of(candle, taker_buy_volume=5), BINANCE) == ()


def test_empty_kline_repeats_the_close_before_where_we_have_no_candle() -> None:
    empty = kline_of(candle_of_prices(100), volume=0, amount=0, trade_count=0, taker_buy_volume=0)
    assert is_empty(empty)
    assert differences(None, empty, BINANCE) == ()
    assert differences(None, empty, BINANCE, 100 * ONE) == ()
    assert [one.field for one in differences(None, empty, BINANCE, 101 * ONE)] == ["open", "high", "low", "close"]
    assert [one.field for one in differences(None, empty._replace(high=101 * ONE), BINANCE)] == ["high"]


def test_kline_with_trades_where_we_have_no_candle_differs_by_its_sums() -> None:
    kline = kline_of(candle_of_prices(100, 110))
    found = differences(None, kline, BINANCE, 90 * ONE)
    assert [(one.field, one.observed) for one in found] == [
        ("volume", 0),
        ("amount", 0),
        ("taker_buy_volume", 0),
        ("trade_count", 0),
    ]


def test_kline_that_states_its_amount_alone_is_empty_by_that() -> None:
    kline = kline_of(candle_of_prices(100), volume=None, amount=0)
    assert is_empty(kline)
    assert not is_empty(kline._replace(amount=1))
    assert not is_empty(kline._replace(amount=None))


def test_venue_without_a_rule_is_compared_as_ours_and_said_to_be_unproved() -> None:
    assert rule_of("nowhere") is UNPROVED
    assert UNPROVED.opening is Opening.FIRST_TRADE
    assert not UNPROVED.is_proved
    assert {venue for venue, rule in RULES.items() if not rule.is_proved} == {"bitfinex", "coinbase_advanced", "deribit", "okx"}
