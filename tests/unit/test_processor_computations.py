"""The agents' computations over plain dictionaries: batches in, effects out."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent
from market.dead_letter import LARGEST_ORIGINAL
from market.trade import GapMark, TimeMark, Trade
from processors.agents import candles, price_changes
from processors.batch import Batch, RawRecord, Refusal, SourceRecord
from processors.computation import Computation, Effects
from processors.outputs import dead_letter
from runtime.settings import ProcessorSettings
from schemas.codec import Codec
from schemas.records import Record
from schemas.topics import CANDLES, PRICE_CHANGES, TOPICS
from tests.builders import INSTRUMENT, MINUTE, START, make_trade, trades

SETTINGS = ProcessorSettings()
CARRIED = [(topic.name, kind) for topic in TOPICS.values() for kind in topic.records]
CODEC = Codec({carried: 100 + number for number, carried in enumerate(CARRIED)}, lambda schema_id: None)


def raw(record: Record, offset: int = 0, key: bytes | None = None) -> RawRecord:
    instrument = getattr(record, "instrument", "")
    return RawRecord(offset, START // 1000, instrument.encode() if key is None else key, CODEC.encode("md.trades", record))


class Runner:
    """Applies effects to dictionaries as the loop does to tables."""

    def __init__(self, computation: Computation) -> None:
        self.computation = computation
        self.tables: dict[str, dict[str, bytes]] = {name: {} for name in computation.tables}
        self.offset = 0

    def batch(self, records: Sequence[Any]) -> Effects:
        sources = [SourceRecord(record, RawRecord(self.offset + n, 0, b"", b"")) for n, record in enumerate(records)]
        self.offset += len(records)
        effects = self.computation.fold("md.trades", 3, sources, self.tables)
        for table, writes in effects.writes.items():
            for key, value in writes.items():
                if value is None:
                    self.tables[table].pop(key, None)
                else:
                    self.tables[table][key] = value
        return effects


def told(*effects: Effects) -> list[Any]:
    return [record for one in effects for _, record in one.outputs]


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
    assert effects.outputs[0][0] is CANDLES
    assert {event.source_partition for event in told(effects)} == {3}


def test_duplicates_write_nothing_and_are_counted() -> None:
    runner = Runner(candles.build(SETTINGS))
    runner.batch([make_trade(1)])
    effects = runner.batch([make_trade(1)])
    assert (effects.outputs, effects.writes, effects.counts["duplicate"]) == ([], {}, 1)


def test_trade_beyond_the_horizon_is_refused_with_its_reason() -> None:
    runner = Runner(candles.build(SETTINGS))
    runner.batch([make_trade(2, at=START + 48 * 60 * MINUTE)])
    (refusal,) = runner.batch([make_trade(1)]).refusals
    assert refusal.reason == "too_late"


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
    assert {topic for topic, _ in (*effects.outputs, *later.outputs)} == {PRICE_CHANGES}


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
    good = raw(make_trade(7), 1)
    batch = Batch("md.trades", 0, [raw(record), good])
    assert [source.record for source in batch.decode(CODEC, 5_000_000)] == [make_trade(7)]
    assert [refusal.reason for refusal in batch.take_refusals()] == [reason]
    assert batch.take_refusals() == []


def test_record_under_another_key_is_refused() -> None:
    batch = Batch("md.trades", 0, [raw(make_trade(1), key=b"binance:ETH-USDT"), raw(make_trade(1), key=b"")])
    assert batch.decode(CODEC, 5_000_000) == []
    assert [refusal.reason for refusal in batch.take_refusals()] == ["wrong_key", "wrong_key"]


@pytest.mark.parametrize("value", [None, b"", b"\x01", b"\x00\x00\x00\x00\x63x", b"\x00" * 1000])
def test_poison_is_refused_with_its_bytes(value: bytes | None) -> None:
    batch = Batch("md.trades", 2, [RawRecord(9, 0, b"k", value)])
    assert batch.decode(CODEC, 5_000_000) == []
    (refusal,) = batch.take_refusals()
    letter = dead_letter(batch, refusal, START)
    assert (letter.source, letter.source_partition, letter.source_offset, letter.value) == ("md.trades", 2, 9, value)
    assert letter.reason in {"undecodable", "unknown_schema"}


def test_dead_letter_of_a_huge_value_keeps_its_beginning_and_says_so() -> None:
    refusal = Refusal(RawRecord(1, 0, None, b"x" * (LARGEST_ORIGINAL + 1)), "undecodable", "why")
    letter = dead_letter(Batch("md.trades", 0, []), refusal, START)
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
    found = [raw(record, offset) for offset, record in enumerate([far, make_trade(2), make_trade(3, at=START + 1)])]
    effects = candles.build(SETTINGS).fold(
        "md.trades", 0, Batch("md.trades", 0, found).decode(CODEC, 5_000_000), {"closed-candles": {}, "candles": {}}
    )
    assert (effects.counts["applied"], effects.refusals) == (2, [])


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
