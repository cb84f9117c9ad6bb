"""The comparison of klines as a computation: the same last words however the topics are read, cut up and read again."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind
from market.quality_event import QualityEvent
from market.quote import Kline
from processors.agents import kline_comparison
from processors.service import count
from processors.states.form import reflected_offset
from processors.states.kline_comparison import decode_candle_side, decode_kline_side, encode_candle_side, encode_kline_side
from runtime.metrics import REGISTRY
from runtime.settings import ProcessorSettings
from schemas.topics import CANDLES, KLINES
from tests.builders import INSTRUMENT
from tests.folding import Runner, batch_of, raw_of, told
from tests.kline_parts import candle, history, kline, last_words

OTHER = "bitget:ETH-USDT"
Histories = tuple[list[CandleEvent], list[Kline]]
seeds = st.integers(0, 1 << 32)


def runner_of() -> Runner:
    return Runner(kline_comparison.build(ProcessorSettings()))


def merged(one: Histories, other: Histories) -> dict[str, Sequence[Any]]:
    """The topics as they lie there, of two instruments."""
    return {CANDLES.name: [*one[0], *other[0]], KLINES.name: [*one[1], *other[1]]}


def in_one_go(topics: dict[str, Sequence[Any]]) -> list[QualityEvent]:
    """What a run tells that reads one topic after the other."""
    runner = runner_of()
    return told(*(runner.batch(records, name) for name, records in topics.items()))


def of_each(events: list[QualityEvent]) -> dict[str, Any]:
    return {name: last_words([event for event in events if event.instrument == name]) for name in (INSTRUMENT, OTHER)}


@given(seeds)
def test_last_words_are_the_same_however_topics_are_read_and_read_again(seed: int) -> None:
    chance = random.Random(seed)
    topics, runner = merged(history(chance), history(chance, OTHER)), runner_of()
    committed, events = Counter[str](), list[QualityEvent]()
    while any(runner.offsets[name] < len(records) for name, records in topics.items()):
        name = chance.choice([name for name, records in topics.items() if runner.offsets[name] < len(records)])
        at = runner.offsets[name]
        runner.take_in(topics[name][at : at + chance.randint(1, 12)], name)
        fate = chance.random()
        if fate < 0.4:
            events += told(runner.commit())
            committed = runner.offsets.copy()
        elif fate < 0.5:
            events += told(runner.crash(lambda _key: chance.random() < 0.5))
            runner.offsets = committed.copy()
    events += told(runner.commit())
    assert of_each(events) == of_each(in_one_go(topics))


@given(seeds)
def test_events_are_the_same_when_read_again_after_a_crash(seed: int) -> None:
    found = history(random.Random(seed))
    runner = runner_of()

    def read_both() -> None:
        runner.offsets.clear()
        runner.take_in(found[0], CANDLES.name)
        runner.take_in(found[1], KLINES.name)

    read_both()
    first = told(runner.crash(lambda _key: False))
    read_both()
    assert told(runner.commit()) == first


@given(seeds)
def test_what_is_held_comes_back_from_its_bytes(seed: int) -> None:
    found, runner = history(random.Random(seed)), runner_of()
    runner.batch(found[0], CANDLES.name)
    runner.batch(found[1], KLINES.name)
    for key, data in runner.tables[kline_comparison.STATE].items():
        if key == f"md.candles|{INSTRUMENT}":
            candles = decode_candle_side(data)
            assert encode_candle_side(candles) == data
            assert reflected_offset(data) == candles.applied_offset == len(found[0]) - 1
        else:
            assert key == f"md.klines|{INSTRUMENT}"
            assert encode_kline_side(decode_kline_side(data)) == data


def test_records_already_applied_are_skipped_and_known() -> None:
    runner = runner_of()
    assert len(told(runner.batch([candle(0)], CANDLES.name), runner.batch([kline(0, 2)], KLINES.name))) == 3
    runner.open()
    assert (runner.fold.known(CANDLES.name), runner.fold.known(KLINES.name)) == (-1, -1)
    runner.offsets.clear()
    assert told(runner.batch([candle(0)], CANDLES.name), runner.batch([kline(0, 2)], KLINES.name)) == []
    assert (runner.fold.known(CANDLES.name), runner.fold.known(KLINES.name)) == (0, 0)


def test_open_candles_leave_no_trace() -> None:
    runner = runner_of()
    open_ = candle(0)._replace(kind=CandleEventKind.UPDATE, is_closed=False, revision=0)
    assert runner.batch([open_, open_], CANDLES.name).tallies == Counter()
    assert runner.tables == {kline_comparison.STATE: {}}


def test_kline_received_in_the_future_is_refused() -> None:
    runner = runner_of()
    far = kline(0)._replace(received_at=4_000_000_000_000_000)
    runner.fold.fold(batch_of([raw_of(far, 0, appended_at=kline(0).received_at, topic=KLINES.name)], topic=KLINES.name))
    (refusal,) = runner.fold.take().refusals
    assert (refusal.topic, refusal.reason, refusal.field) == (KLINES.name, "future_time", "received_at")


def test_outcomes_and_differences_are_counted_by_venue() -> None:
    def counted(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"tapeline_{name}_total", {"venue": "binance", **labels}) or 0.0

    before = counted("klines_compared", outcome="different"), counted("kline_differences", field="volume")
    runner = runner_of()
    for effects in (runner.batch([candle(0), candle(1)], CANDLES.name), runner.batch([kline(0, 2), kline(1)], KLINES.name)):
        count(effects)
    after = counted("klines_compared", outcome="different"), counted("kline_differences", field="volume")
    assert after == (before[0] + 1, before[1] + 1)
    assert counted("klines_compared", outcome="equal") >= 1
