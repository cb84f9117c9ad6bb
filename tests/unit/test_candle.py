import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from market.candle import candle_of, fold, merge
from market.decimals import ONE
from market.trade import Trade
from tests.builders import START, make_trade, trades


def split(found: Sequence[Trade], at: int) -> tuple[list[Trade], list[Trade]]:
    at %= len(found)
    return list(found[:at]), list(found[at:])


@given(trades().filter(bool), st.randoms())
def test_order_of_arrival_does_not_change_a_candle(found: list[Trade], shuffler: random.Random) -> None:
    shuffled = list(found)
    shuffler.shuffle(shuffled)
    assert fold(shuffled) == fold(found)


@given(trades().filter(bool), st.integers(0, 1000))
def test_batch_boundaries_do_not_change_a_candle(found: list[Trade], at: int) -> None:
    left, right = fold(split(found, at)[0]), fold(split(found, at)[1])
    assert fold(found) == (merge(left, right) if left and right else left or right)


@given(trades().filter(bool))
def test_candle_holds_what_a_plain_reading_of_its_trades_gives(found: list[Trade]) -> None:
    candle = fold(found)
    assert candle is not None
    ordered = sorted(found, key=lambda trade: (trade.event_time, trade.sequence))
    assert (candle.open, candle.close) == (ordered[0].price, ordered[-1].price)
    assert (candle.first.trade_id, candle.last.trade_id) == (ordered[0].trade_id, ordered[-1].trade_id)
    assert (candle.high, candle.low) == (max(t.price for t in found), min(t.price for t in found))
    assert candle.volume == sum(t.size for t in found)
    assert candle.amount == sum(t.price * t.size for t in found)
    assert candle.trade_count == len(found)
    sides = {t.side for t in found}
    assert candle.taker_buy_volume == (None if None in sides else sum(t.size for t in found if t.side == "buy"))


def test_of_trades_at_one_instant_the_sequence_decides_open_and_close() -> None:
    candle = fold([make_trade(3, price=30), make_trade(1, price=10), make_trade(2, price=20)])
    assert candle is not None
    assert (candle.open, candle.close) == (10 * ONE, 30 * ONE)


def test_aggregate_counts_its_executions_and_keeps_its_first_and_last_id() -> None:
    trade = make_trade(7)._replace(first_trade_id="100", last_trade_id="103", trade_count=4)
    candle = candle_of(trade)
    assert (candle.first.trade_id, candle.last.trade_id, candle.trade_count) == ("100", "103", 4)


def test_no_trades_make_no_candle() -> None:
    assert fold([]) is None


def test_vwap_weighs_prices_by_size() -> None:
    candle = fold([make_trade(1, at=START, price=10, size=1), make_trade(2, at=START + 1, price=20, size=3)])
    assert candle is not None
    assert candle.vwap == 17_500_000_000_000
