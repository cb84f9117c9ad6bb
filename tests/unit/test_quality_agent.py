"""The quality agent over plain dictionaries: batches in, events and scores out, whatever interrupts it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.quality_event import QualityEvent, QualityRule
from market.trade import GapMark, TimeMark
from processors.agents import quality
from processors.batch import RawRecord
from processors.computation import Effects
from processors.metrics import QUALITY_FINDINGS
from processors.service import count
from processors.states.quality import decode_quality
from runtime.errors import ConfigurationError
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import QUALITY, QUOTES, TRADES
from tests.builders import INSTRUMENT, START, make_trade
from tests.folding import CODEC, Runner, batch_of, raw_of, told
from tests.gateway_parts import make_quote
from tests.run_streams import unhurried

SECOND = 1_000_000
SOURCES = (TRADES.name, QUOTES.name)
INSTRUMENTS = (INSTRUMENT, "kraken:ETH-USD")
TELL_ALSO_WHAT_IS_WELL = (QualityRule.GAP, QualityRule.STALE)
SETTINGS = ProcessorSettings.model_validate(
    {"quality": {"stale_after_seconds": 5, "outlier": {"window": 6, "percent": "0.1", "deviations": "3"}}}
)


def new_runner(settings: ProcessorSettings = SETTINGS) -> Runner:
    return Runner(quality.build(settings))


@st.composite
def trade_streams(draw: st.DrawFn) -> list[Record]:
    """Trades and marks of two instruments with faults of every kind among them."""
    now, found = START, list[Record]()
    for number in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from([0, 1, SECOND // 3, SECOND, 7 * SECOND, 40 * SECOND]))
        instrument = draw(st.sampled_from(INSTRUMENTS))
        at = now + draw(st.sampled_from([0, 0, 0, -3 * SECOND, 3 * SECOND, 90 * SECOND]))
        trade = make_trade(
            draw(st.integers(1, 30)) if draw(st.booleans()) else 100 + number,
            at=at,
            received_at=now,
            price=draw(st.sampled_from([1000, 1001, 1002, 1500, 0, -1])),
            instrument=instrument,
        )
        marks: tuple[Record, ...] = TimeMark(instrument, now), GapMark(instrument, None, now), GapMark(instrument, now - 9, now)
        found.append(draw(st.sampled_from([trade, trade, trade, trade._replace(trade_id=f"opaque{number % 5}"), *marks])))
    return found


@st.composite
def quote_streams(draw: st.DrawFn) -> list[Record]:
    """Quotes of the same instruments, crossed, repeated, late and refused ones among them."""
    now, found = START, list[Record]()
    for _ in range(draw(st.integers(0, 20))):
        now += draw(st.sampled_from([0, SECOND // 3, SECOND, 40 * SECOND]))
        bid = draw(st.sampled_from([99, 100, 101, 0]))
        quote = make_quote(bid=1)._replace(
            instrument=draw(st.sampled_from(INSTRUMENTS)),
            channel=draw(st.sampled_from(["ticker", "bookTicker"])),
            bid=bid,
            ask=100,
            exchange_time=draw(st.sampled_from([None, now, now - 3 * SECOND, now + 90 * SECOND])),
            received_at=now,
        )
        found.append(draw(st.sampled_from([quote, found[-1]])) if found else quote)
    return found


def laid_down(records: Sequence[Record], topic: str) -> list[RawRecord]:
    """The records as they lie in a topic, and some bytes that are none."""
    raw = [raw_of(record, offset, topic=topic) for offset, record in enumerate(records)]
    return [*raw, RawRecord(len(raw), START // 1000, b"k", b"rubbish")]


def identity(record: Any) -> tuple[Any, ...]:
    what = (record.rule, record.field) if isinstance(record, QualityEvent) else ("score",)
    return *what, record.instrument, record.source_topic, record.source_partition, record.source_offset


@dataclass
class Interrupted:
    """Reads two topics in pieces, and reads again from where it stored last, or before, after a crash."""

    streams: dict[str, list[RawRecord]]
    runner: Runner = field(default_factory=new_runner)
    effects: list[Effects] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.position = dict.fromkeys(self.streams, 0)
        self.stored = dict(self.position)

    def read(self, topic: str, size: int) -> None:
        begin = self.position[topic]
        raw = self.streams[topic][begin : begin + size]
        if raw:
            self.runner.fold.fold(batch_of(raw, topic=topic))
            self.position[topic] += len(raw)

    def commit(self) -> None:
        self.effects.append(self.runner.commit())
        self.stored = dict(self.position)

    def crash(self, *, published: bool, again: int) -> None:
        if published:
            self.effects.append(self.runner.commit("no table of this name"))
        self.position = {topic: max(position - again, 0) for topic, position in self.stored.items()}
        self.runner.open()

    def finish(self) -> None:
        for topic in self.streams:
            self.read(topic, 1_000)
        self.commit()

    def told(self) -> list[Any]:
        return told(*self.effects)


Step = tuple[str, int, str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(SOURCES),
        st.integers(1, 15),
        st.sampled_from(["fold", "commit", "commit", "crash", "crash after publishing"]),
        st.integers(0, 9),
    ),
    max_size=30,
)


@unhurried
@given(trade_streams(), quote_streams(), STEPS)
def test_the_same_records_tell_the_same_however_they_are_cut_and_whatever_crashes(
    trades: list[Record], quotes: list[Record], steps: list[Step]
) -> None:
    streams = {TRADES.name: laid_down(trades, TRADES.name), QUOTES.name: laid_down(quotes, QUOTES.name)}
    whole, parts = Interrupted(streams), Interrupted(streams)
    whole.finish()
    for topic, size, what, again in steps:
        parts.read(topic, size)
        if what == "commit":
            parts.commit()
        elif what != "fold":
            parts.crash(published=what != "crash", again=again)
    parts.finish()
    parts.crash(published=False, again=1_000)  # all of it is read again
    parts.finish()

    expected = {identity(record): record for record in whole.told()}
    assert len(expected) == len(whole.told()), "an identity names two records"
    found: dict[tuple[Any, ...], Any] = {}
    for record in parts.told():
        assert found.setdefault(identity(record), record) == record, "one identity, two contents"
    assert found == expected
    assert parts.runner.tables == whole.runner.tables


@unhurried
@given(trade_streams())
def test_no_broken_rule_is_lost_between_events_and_scores(trades: list[Record]) -> None:
    runner = new_runner()
    effects = runner.batch([*trades, *(TimeMark(instrument, START + 10**11) for instrument in INSTRUMENTS)])
    by_event, by_score = Counter[str](), Counter[str]()
    for record in told(effects):
        if isinstance(record, QualityEvent):
            by_event[record.rule] += record.occurrences
        else:
            by_score.update(record.counts)
    assert Counter(QualityRule(labels[0]) for _, labels in effects.tallies.elements()) == by_event
    for state in map(decode_quality, runner.tables["quality"].values()):
        by_score.update(state.minute.counts)
        by_event.update({rule: one.held.occurrences for rule, one in state.told.items() if one.held})
    for rule in TELL_ALSO_WHAT_IS_WELL:
        assert by_event.pop(rule, 0) >= by_score.pop(rule, 0)
    assert by_event == by_score


def test_refused_records_are_told_where_it_is_known_whose_they_are() -> None:
    bad = make_trade(2)._replace(price=0)
    raw = [
        raw_of(make_trade(1), 0),
        raw_of(bad, 1),
        raw_of(bad, 2, key=b"kraken:ETH-USD"),
        raw_of(make_trade(3, at=START + 9 * SECOND, received_at=START), 3),
        RawRecord(4, START // 1000, INSTRUMENT.encode(), b"rubbish"),
    ]
    runner = new_runner()
    runner.fold.fold(batch_of(raw))
    effects = runner.commit()
    assert [refusal.raw.offset for refusal in effects.refusals] == [1, 2, 3, 4]
    assert [(event.rule, event.source_offset) for event in told(effects)] == [
        (QualityRule.NOT_POSITIVE, 1),
        (QualityRule.FUTURE_TIME, 3),
    ]


def test_quote_of_a_clock_far_ahead_of_the_brokers_is_refused_and_moves_no_time() -> None:
    far = make_quote(bid=1)._replace(received_at=4_000_000_000_000_000)
    runner = new_runner()
    runner.fold.fold(batch_of([raw_of(far, 0, appended_at=START, topic=QUOTES.name)], topic=QUOTES.name))
    effects = runner.commit()
    assert [(refusal.reason, refusal.field) for refusal in effects.refusals] == [("future_time", "received_at")]
    (event,) = told(effects)
    assert (event.rule, event.event_time, event.received_at) == (QualityRule.FUTURE_TIME, START, START)


def test_topics_of_an_instrument_are_kept_apart() -> None:
    runner = new_runner()
    runner.batch([make_trade(1)] * 7)
    runner.batch([make_quote(bid=1)], QUOTES.name)
    assert set(runner.tables["quality"]) == {f"md.trades|{INSTRUMENT}", f"md.quotes|{INSTRUMENT}"}
    runner.open()
    runner.take_in([make_trade(2)])
    assert [runner.fold.known(topic) for topic in SOURCES] == [6, -1]


def test_broken_rules_are_counted_by_the_metric() -> None:
    effects = new_runner().batch([make_trade(1), make_trade(1)])
    counter = QUALITY_FINDINGS.labels("DUPLICATE", "WARNING")
    before = counter._value.get()
    count(effects)
    assert counter._value.get() == before + 1


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"clock_tolerance_seconds": 0.5}, ["FUTURE_TIME"]),
        ({"stale_after_seconds": 2}, ["STALE"]),
        ({"outlier": {"window": 2, "deviations": "0.1", "percent": "0.01"}}, ["OUTLIER"]),
    ],
)
def test_limits_come_from_the_settings(changed: dict[str, Any], rules: list[str]) -> None:
    settings = ProcessorSettings.model_validate({"quality": changed})
    effects = new_runner(settings).batch(
        [
            make_trade(1, price=100),
            make_trade(2, at=START + SECOND, received_at=START, price=101),
            TimeMark(INSTRUMENT, START + 4 * SECOND),
        ]
    )
    assert [event.rule for event in told(effects)] == rules


def test_events_are_told_once_a_period_of_the_settings() -> None:
    settings = ProcessorSettings.model_validate({"quality": {"event_period_seconds": 0}})
    effects = new_runner(settings).batch([make_trade(1)] * 4)
    assert [event.occurrences for event in told(effects)] == [1, 1, 1]
    CODEC.encode(QUALITY.name, told(effects)[0])


def test_setting_with_too_many_digits_is_named() -> None:
    settings = ProcessorSettings.model_validate({"quality": {"outlier": {"percent": "0.0000000000001"}}})
    with pytest.raises(ConfigurationError, match=r"processors\.quality\.outlier\.percent"):
        quality.build(settings)
