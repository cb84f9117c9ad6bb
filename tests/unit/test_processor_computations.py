"""The agents' computations over plain dictionaries: batches in, effects out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent
from market.dead_letter import LARGEST_ORIGINAL
from market.trade import GapMark, TimeMark, Trade
from processors.agents import candles, price_changes
from processors.batch import RawRecord, Refusal
from processors.outputs import dead_letter
from processors.transport.packing import counts_of
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import CANDLES, PRICE_CHANGES
from tests.builders import INSTRUMENT, MINUTE, START, make_trade, trades
from tests.folding import CODEC, MAX_SKEW, Runner, batch_of, raw_of, told
from tests.sessions import micros_at, text_at

SETTINGS = ProcessorSettings()


@given(trades(), st.integers(1, 10))
def test_candles_do_not_depend_on_batches_nor_on_storing_between_them(found: list[Trade], size: int) -> None:
    whole, parts = Runner(candles.build(SETTINGS)), Runner(candles.build(SETTINGS))
    expected = whole.batch(found)
    outputs = told(*(parts.batch(found[start : start + size]) for start in range(0, len(found), size)))
    assert parts.tables == whole.tables

    def latest(events: list[Any]) -> dict[int, CandleEvent]:
        return {event.open_time: event for event in sorted(events, key=lambda event: event.version)}

    assert latest(outputs) == latest(told(expected))


def test_instruments_of_one_batch_do_not_mix() -> None:
    runner = Runner(candles.build(SETTINGS))
    effects = runner.batch([make_trade(1, price=5), make_trade(1, price=7, instrument="binance:ETH-USDT")])
    assert {event.instrument: event.open // 10**12 for event in told(effects)} == {INSTRUMENT: 5, "binance:ETH-USDT": 7}
    assert counts_of(effects.outputs).keys() == {CANDLES.name}
    assert {event.source_partition for event in told(effects)} == {3}


def test_duplicates_write_nothing_and_are_counted() -> None:
    runner = Runner(candles.build(SETTINGS))
    runner.batch([make_trade(1)])
    before = dict(runner.tables["candles"])
    effects = runner.batch([make_trade(1)])
    assert (effects.outputs, runner.tables["candles"], effects.counts["duplicate"]) == ([], before, 1)


def test_trade_beyond_the_horizon_is_refused_with_its_reason() -> None:
    runner = Runner(candles.build(SETTINGS))
    runner.batch([make_trade(2, at=START + 48 * 60 * MINUTE)])
    (refusal,) = runner.batch([make_trade(1)]).refusals
    assert refusal.reason == "too_late"


A_SHARE = "sse:600519"
DAYS = ProcessorSettings(intervals=("1m", "1h", "1d"))


def a_share_day() -> list[Trade | TimeMark]:
    """Trades of a day in Shanghai, from the opening auction to the closing one; a mark after it."""
    times = ["09:25:00", "09:30:00", "09:30:20", "11:29:59", "12:00:00", "13:00:00", "14:56:59", "15:00:01", "16:00:00"]
    found = [
        make_trade(number, at=micros_at(f"2024-08-09 {time}"), price=100 + number, instrument=A_SHARE)
        for number, time in enumerate(times, start=1)
    ]
    return [*found, TimeMark(A_SHARE, micros_at("2024-08-09 16:00:00"))]


@pytest.mark.parametrize("compiled", [True, False])
def test_candles_of_shanghai_are_those_of_its_sessions(compiled: bool) -> None:
    runner = Runner(candles.build(DAYS), compiled=compiled)
    effects = [runner.batch(a_share_day()[begin : begin + 4]) for begin in range(0, 10, 4)]
    closed = {(event.interval, text_at(event.open_time)): event for event in told(*effects) if event.is_closed}
    counts = {key: event.trade_count for key, event in closed.items() if key[0] != "1m"}
    assert counts == {
        ("1h", "09 09:30"): 3,
        ("1h", "09 10:30"): 1,
        ("1h", "09 13:00"): 1,
        ("1h", "09 14:00"): 2,
        ("1d", "09 09:30"): 7,
    }
    day = closed["1d", "09 09:30"]
    assert (text_at(day.close_time), day.open // 10**12, day.close // 10**12) == ("09 15:00", 101, 108)
    refusals = [(refusal.raw.offset, refusal.reason) for one in effects for refusal in one.refusals]
    assert refusals == [(4, "off_session"), (8, "off_session")]


@pytest.mark.parametrize("compiled", [True, False])
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans())
def test_candles_that_carry_do_not_depend_on_batches_runs_nor_restarts(compiled: bool, sizes: list[int], restart: bool) -> None:
    records = [
        *(make_trade(number, at=START + number * 7 * MINUTE // 5 + second) for number in range(1, 9) for second in (0,)),
        TimeMark(INSTRUMENT, START + 20 * MINUTE),
        make_trade(9, at=START + 13 * MINUTE),
        TimeMark(INSTRUMENT, START + 21 * MINUTE),
        *a_share_day(),
    ]
    settings = ProcessorSettings(intervals=("1m", "5m"), empty_intervals="carry")
    whole, parts = Runner(candles.build(settings), compiled=compiled), Runner(candles.build(settings), compiled=compiled)
    expected, found, begin = told(whole.batch(records)), [], 0
    while begin < len(records):
        size = sizes[begin % len(sizes)]
        found += told(parts.batch(records[begin : begin + size]))
        begin += size
        if restart:
            parts.open()
    assert parts.tables["closed-candles"] == whole.tables["closed-candles"]

    def closed(events: list[Any]) -> list[CandleEvent]:
        return sorted(event for event in events if event.is_closed)

    assert closed(found) == closed(expected)
    assert {event.trade_count for event in closed(found)} >= {0, 1}


def test_candles_without_trades_tell_no_latency() -> None:
    runner = Runner(candles.build(ProcessorSettings(empty_intervals="carry")))
    runner.batch([make_trade(1), TimeMark(INSTRUMENT, START + 2 * MINUTE)])
    effects = runner.batch([TimeMark(INSTRUMENT, START + 10 * MINUTE)])
    assert [(event.kind, event.trade_count) for event in told(effects)] == [("CLOSE", 0)] * 8
    assert effects.received_at == 0


def test_price_changes_skip_gap_marks_and_tell_after_the_period() -> None:
    runner = Runner(price_changes.build(SETTINGS))
    effects = runner.batch(
        [
            make_trade(1, price=100),
            GapMark(INSTRUMENT, None, START + 1),
            make_trade(2, at=START + 1, price=101),
            make_trade(3, at=START + 2, price=103),
        ]
    )
    later = runner.batch([TimeMark(INSTRUMENT, START + 200_000)])
    assert [event.new_price // 10**12 for event in told(effects, later)] == [101, 103]
    assert counts_of([*effects.outputs, *later.outputs]).keys() == {PRICE_CHANGES.name}


def test_closed_candles_are_written_before_the_state_that_gates_replays() -> None:
    assert list(candles.build(SETTINGS).tables) == ["closed-candles", "candles"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (make_trade(1)._replace(price=0), "not_positive"),
        (make_trade(1)._replace(trade_id="x" * 10_000), "bad_id"),
        (make_trade(1)._replace(instrument="no id"), "bad_instrument"),
        (TimeMark(INSTRUMENT, START + 3600 * 10**6), "future_time"),
        (make_trade(1, at=4_000_000_000_000_000), "future_time"),
        (make_trade(1)._replace(exchange_time=None, received_at=START + 5_000_001), "future_time"),
        (GapMark(INSTRUMENT, START + 5, START), "bad_time"),
    ],
)
def test_record_that_must_not_reach_the_state_is_refused(record: Record, reason: str) -> None:
    good = raw_of(make_trade(7), 1)
    batch = batch_of([raw_of(record, appended_at=START), good])
    decoded, refusals = batch.decode(CODEC, MAX_SKEW)
    assert [source.record for source in decoded] == [make_trade(7)]
    assert [refusal.reason for refusal in refusals] == [reason]


def test_record_under_another_key_is_refused() -> None:
    batch = batch_of([raw_of(make_trade(1), key=b"binance:ETH-USDT"), raw_of(make_trade(1), key=b"")])
    decoded, refusals = batch.decode(CODEC, MAX_SKEW)
    assert decoded == []
    assert [refusal.reason for refusal in refusals] == ["wrong_key", "wrong_key"]


def test_record_refused_by_two_agents_becomes_one_dead_letter() -> None:
    batch = batch_of([RawRecord(9, 0, b"k", b"rubbish"), RawRecord(10, 0, b"k", b"rubbish")])
    _, (first, second) = batch.decode(CODEC, MAX_SKEW)
    assert [batch.refuses_first(refusal) for refusal in (first, first, second)] == [True, False, True]


def test_records_are_let_go_when_the_last_agent_has_read_them() -> None:
    batch = batch_of([raw_of(make_trade(1))])
    batch.readers = 2
    batch.done()
    assert list(batch)
    batch.done()
    assert not list(batch)


@pytest.mark.parametrize("value", [None, b"", b"\x01", b"\x00\x00\x00\x00\x63x", b"\x00" * 1000])
def test_poison_is_refused_with_its_bytes(value: bytes | None) -> None:
    CODEC.learn({0, 0x63})
    decoded, (refusal,) = batch_of([RawRecord(9, 0, b"k", value)]).decode(CODEC, MAX_SKEW)
    assert decoded == []
    letter = dead_letter(2, refusal, START)
    assert (letter.source, letter.source_partition, letter.source_offset, letter.value) == ("md.trades", 2, 9, value)
    assert letter.reason in {"undecodable", "unknown_schema"}


def test_dead_letter_of_a_huge_value_keeps_its_beginning_and_says_so() -> None:
    refusal = Refusal("md.trades", RawRecord(1, 0, None, b"x" * (LARGEST_ORIGINAL + 1)), "undecodable", "why")
    letter = dead_letter(0, refusal, START)
    assert letter.value is not None
    assert (len(letter.value), letter.truncated) == (LARGEST_ORIGINAL, True)


def test_thresholds_come_from_the_settings() -> None:
    settings = ProcessorSettings.model_validate({"price_changes": {"significance": {"absolute": "2"}}})
    effects = Runner(price_changes.build(settings)).batch(
        [make_trade(1, price=100), make_trade(2, at=START + 1, price=101), make_trade(3, at=START + MINUTE, price=105)]
    )
    assert [event.is_significant for event in told(effects)] == [False, True]


def test_trade_from_the_far_future_does_not_close_the_candles_of_its_instrument() -> None:
    far = make_trade(1, at=4_000_000_000_000_000)
    found = [far, make_trade(2), make_trade(3, at=START + 1)]
    runner = Runner(candles.build(SETTINGS))
    runner.fold.fold(batch_of([raw_of(record, offset, appended_at=START) for offset, record in enumerate(found)]))
    effects = runner.commit()
    assert [refusal.reason for refusal in effects.refusals] == ["future_time"]
    assert (effects.counts["applied"], [event.kind for event in told(effects)]) == (2, ["NEW", "UPDATE"])


def test_trade_so_far_from_the_price_told_that_no_event_could_say_it_is_refused_and_forgotten() -> None:
    runner = Runner(price_changes.build(SETTINGS))
    runner.batch([make_trade(1)._replace(price=1)])
    before = dict(runner.tables["price-changes"])
    effects = runner.batch([make_trade(2, at=START + MINUTE)._replace(price=10**25), TimeMark(INSTRUMENT, START + 2 * MINUTE)])
    assert [(refusal.raw.offset, refusal.reason, refusal.field) for refusal in effects.refusals] == [
        (1, "too_large", "change_percent")
    ]
    assert (effects.outputs, runner.tables["price-changes"]) == ([], before)
    (event,) = told(runner.batch([make_trade(3, at=START + 3 * MINUTE)._replace(price=2)]))
    assert (event.old_price, event.new_price, event.changes) == (1, 2, 1)
    CODEC.encode(PRICE_CHANGES.name, event)
