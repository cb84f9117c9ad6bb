"""Stored state: bytes and back, and how large it is."""

import random

import pytest
from hypothesis import given

from market.candle_series import CandleKey, CandleSeries, ClosedCandle, SeriesState
from market.interval import parse_interval
from market.price_change import PriceChanges, PriceState, Threshold, Throttle
from market.quality_monitor import QualityLimits, QualityMonitor, QualityState
from market.trade import GapMark, Trade
from processors.closed_candles import ClosedCandles
from processors.encoding import encoders
from processors.states.candles import decode_closed, decode_series, encode_closed, encode_series
from processors.states.form import StateError, reflected_offset
from processors.states.price_changes import decode_price, encode_price
from processors.states.quality import decode_quality, encode_quality
from processors.tables import TableView
from tests.builders import INSTRUMENT, MINUTE, START, make_trade, trades

INTERVALS = [parse_interval(name) for name in ("1m", "5m", "15m", "1h", "4h", "1d")]


def folded(found: list[Trade], closed: dict[CandleKey, ClosedCandle] | None = None) -> SeriesState:
    state = SeriesState()
    series = CandleSeries(INSTRUMENT, state, closed or {}, intervals=INTERVALS, grace=0, source=("md.trades", 0))
    for offset, trade in enumerate(found):
        series.apply(trade, offset)
        if offset % 7 == 3:
            series.apply(GapMark(INSTRUMENT, trade.event_time, trade.event_time + 5), offset)
    return state


@given(trades())
def test_candle_state_survives_storing(found: list[Trade]) -> None:
    state = folded(found)
    assert decode_series(encode_series(state)) == state


@given(trades())
def test_price_state_survives_storing(found: list[Trade]) -> None:
    state = PriceState()
    changes = PriceChanges(INSTRUMENT, state, source=("t", 0), throttle=Throttle(), threshold=Threshold())
    for offset, trade in enumerate(found):
        changes.apply(trade, offset)
    assert decode_price(encode_price(state)) == state


@given(trades())
def test_quality_state_survives_storing(found: list[Trade]) -> None:
    state = QualityState()
    monitor = QualityMonitor(INSTRUMENT, state, source=("t", 0), limits=QualityLimits())
    for offset, trade in enumerate([*found, *found]):
        monitor.apply(trade, offset)
    assert decode_quality(encode_quality(state)) == state


def test_nothing_stored_is_the_empty_state() -> None:
    assert decode_quality(None) == QualityState()
    assert decode_series(None) == SeriesState()
    assert decode_price(None) == PriceState()


def test_state_of_a_busy_instrument_with_all_intervals_stays_small() -> None:
    shuffler = random.Random(7)
    found = [make_trade(10**12 + n, at=START + n * 700_000, price=10**9, size=10**6 + n) for n in range(900)]
    found = [trade for trade in found if shuffler.random() > 0.005]
    assert len(encode_series(folded(found))) < 2_000


@pytest.mark.parametrize("data", [b"\x07whatever it is", b"", b"\x02short"])
def test_state_of_another_version_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="version"):
        decode_series(data)


def test_every_stored_value_begins_with_the_offset_it_reflects() -> None:
    assert reflected_offset(encode_series(SeriesState(applied_offset=7))) == 7
    assert reflected_offset(encode_price(PriceState(applied_offset=2**40))) == 2**40


def test_closed_candles_read_through_and_collect_what_is_written() -> None:
    closed: dict[CandleKey, ClosedCandle] = {}
    state = SeriesState()
    series = CandleSeries(INSTRUMENT, state, closed, intervals=INTERVALS[:1], grace=0, source=("md.trades", 0))
    series.apply(make_trade(1), 0)
    series.apply(make_trade(2, at=START + MINUTE), 1)
    ((key, candle),) = closed.items()
    stored = {f"{INSTRUMENT}|1m|{START}": encode_closed(candle)}
    table = TableView(lambda key: stored.get(key.decode()))
    view = ClosedCandles(INSTRUMENT, table, encoders())
    assert view[key] == candle == decode_closed(stored[f"{INSTRUMENT}|1m|{START}"])
    view["1m", START + MINUTE] = candle
    assert view.pop(key) == candle
    assert view.get(key) is None
    table.seal()
    assert table.sealed(1) == {f"{INSTRUMENT}|1m|{START + MINUTE}": encode_closed(candle), f"{INSTRUMENT}|1m|{START}": None}
