"""The benchmark's load: hand-made bytes that the codec reads and writes alike, and what the load promises."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stream.load import (
    RECENT,
    LargeLongs,
    Load,
    LoadRecord,
    SchemaIds,
    TradeEncoder,
    instrument_names,
    long,
    unscaled,
)
from market.trade import TimeMark, Trade, check_mark, check_trade
from schemas.codec import Codec

IDS = SchemaIds(trade=7, mark=300)
CODEC = Codec({("md.trades", Trade): IDS.trade, ("md.trades", TimeMark): IDS.mark}, lambda _: None)
START = 1_790_000_040_000_000


def records(count: int, seed: int = 1) -> list[LoadRecord]:
    return list(Load(seed, START, IDS, instrument_names()).records(count))


@given(
    st.integers(1_048_576, 10**17),
    st.integers(1, 10**20),
    st.integers(1, 10**15),
    st.sampled_from([b"\x02\x00", b"\x02\x02"]),
    st.integers(10**15, 4 * 10**15),
    st.integers(0, 10_000),
)
def test_encoded_trade_is_what_the_codec_writes(number: int, price: int, size: int, side: bytes, time: int, delay: int) -> None:
    encoder = TradeEncoder(IDS, ["sim:A-USD", "sim:B-USD"], delay)
    trade = Trade(
        "sim:B-USD",
        str(number),
        number,
        price,
        size,
        "buy" if side == b"\x02\x00" else "sell",
        time,
        time + delay,
        str(number),
        str(number),
        1,
        time + 2 * delay,
    )
    assert encoder.trade(1, number, price, unscaled(size), side, time) == CODEC.encode("md.trades", trade)


@given(st.integers(10**15, 4 * 10**15))
def test_encoded_time_mark_is_what_the_codec_writes(time: int) -> None:
    encoder = TradeEncoder(IDS, ["sim:A-USD"], 3)
    assert encoder.mark(0, time) == CODEC.encode("md.trades", TimeMark("sim:A-USD", time, time + 3))


@given(st.integers(1 << 13, 1 << 62))
def test_table_encodes_longs_as_the_plain_way_does(value: int) -> None:
    assert LargeLongs()(value) == long(value)


def test_load_is_the_same_for_the_same_seed() -> None:
    assert records(5_000) == records(5_000)
    assert records(5_000) != records(5_000, seed=2)


def test_every_record_is_one_that_the_stream_may_hold() -> None:
    for record in records(8_000):
        decoded = CODEC.decode(record.value)
        if isinstance(decoded, Trade):
            check_trade(decoded)
            tick = (decoded.instrument, int(decoded.trade_id), decoded.exchange_time, decoded.price, decoded.size)
            assert record.tick == tick
        else:
            assert isinstance(decoded, TimeMark)
            check_mark(decoded)
            assert record.tick is None


def test_ids_of_an_instrument_rise_by_one_but_for_repetitions_of_recent_trades() -> None:
    last: dict[str, int] = {}
    recent: deque[bytes] = deque(maxlen=RECENT)
    repeated = 0
    trades = [record for record in records(30_000) if record.tick is not None]
    for record in trades:
        assert record.tick is not None
        before = last.get(record.tick.instrument)
        if before is not None and record.tick.id <= before:
            assert record.value in recent
            repeated += 1
        else:
            assert before is None or record.tick.id == before + 1
            last[record.tick.instrument] = record.tick.id
            recent.append(record.value)
    assert 0.0005 < repeated / len(trades) < 0.002


def test_event_time_advances_by_five_thousand_trades_a_second_with_a_mark_for_each_instrument() -> None:
    found = [CODEC.decode(record.value) for record in records(18_000)]
    seconds = Counter(trade.event_time // 1_000_000 for trade in found if isinstance(trade, Trade))
    marks = Counter(mark.time for mark in found if isinstance(mark, TimeMark))
    whole = sorted(seconds)[1:-1]
    assert whole
    assert all(5_000 <= seconds[second] <= 5_020 for second in whole)
    assert all(marks[second * 1_000_000] == 500 for second in whole)


def test_frequent_instruments_follow_zipf() -> None:
    counts = Counter(record.instrument for record in records(25_000) if record.tick is not None)
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.15)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.25)


def test_a_later_stretch_repeats_nothing_of_an_earlier_one() -> None:
    load = Load(1, START, IDS, instrument_names())
    earlier = {record.tick for record in load.records(20_000) if record.tick is not None}
    later = {record.tick for record in load.records(20_000) if record.tick is not None}
    assert not earlier & later


def test_closing_marks_lie_behind_the_last_candle_and_its_grace() -> None:
    load = Load(1, START, IDS, instrument_names())
    latest = max(record.tick.event_time for record in load.records(20_000) if record.tick is not None)
    closing = [CODEC.decode(record.value) for record in load.closing()]
    assert {mark.instrument for mark in closing if isinstance(mark, TimeMark)} == set(instrument_names())
    assert all(isinstance(mark, TimeMark) and mark.time >= latest // 60_000_000 * 60_000_000 + 62_000_000 for mark in closing)
