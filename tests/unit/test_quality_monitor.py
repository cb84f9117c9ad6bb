"""What the quality monitor tells of a stream: events, and a score a minute."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.quality_event import QualityEvent, QualityRule, Severity, check_quality_event, of_price
from market.quality_minute import QualityMinute
from market.quality_monitor import MAX_CHANNELS, QualityLimits, QualityMonitor, QualityState
from market.quality_score import QualityScore, check_quality_score, score_of
from market.quality_telling import Told, due, tell
from market.quote import Quote
from market.rules.refused import Judged, Refused
from market.trade import GapMark, TimeMark, Trade
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.gateway_parts import make_quote
from tests.ingest_parts import FUTURES, FUTURES_LISTING, SAMPLE, SPOT, SPOT_LISTING
from tests.venue_data import BITGET, GATEIO, KRAKEN, OKX, recorded

SECOND = 1_000_000
EVERY = QualityLimits(period=0)


class Stream:
    """A monitor and the offsets of its records."""

    def __init__(self, limits: QualityLimits = EVERY, instrument: str = INSTRUMENT) -> None:
        self.monitor = QualityMonitor(instrument, QualityState(), source=("md.trades", 3), limits=limits)
        self.offset = 0

    def take(self, *records: Judged) -> list[QualityEvent | QualityScore]:
        told = []
        for record in records:
            told += self.monitor.apply(record, self.offset)
            self.offset += 1
        return told

    def events(self, *records: Judged) -> list[QualityEvent]:
        return [one for one in self.take(*records) if isinstance(one, QualityEvent)]

    def scores(self, *records: Judged) -> list[QualityScore]:
        return [one for one in self.take(*records) if isinstance(one, QualityScore)]


def after(seconds: float) -> int:
    return START + round(seconds * SECOND)


class TestEvents:
    def test_each_rule_is_told_with_the_record_that_broke_it(self) -> None:
        events = Stream().events(
            make_trade(1, at=after(1)),
            make_trade(1, at=after(1)),
            make_trade(3, at=after(5), received_at=after(2)),
            make_trade(2, at=after(0.5)),
            GapMark(INSTRUMENT, after(5), after(6)),
            TimeMark(INSTRUMENT, after(70)),
        )
        assert [(event.rule, event.source_offset) for event in events] == [
            (QualityRule.DUPLICATE, 1),
            (QualityRule.FUTURE_TIME, 2),
            (QualityRule.OUT_OF_ORDER, 3),
            (QualityRule.GAP, 4),
            (QualityRule.STALE, 5),
        ]
        for event in events:
            check_quality_event(event)
        assert {(event.source_topic, event.source_partition) for event in events} == {("md.trades", 3)}

    def test_record_read_again_changes_nothing(self) -> None:
        stream = Stream()
        stream.take(make_trade(1))
        assert stream.monitor.apply(make_trade(1), 0) == []
        assert stream.monitor.state.minute.records == 1

    def test_one_clock_ahead_does_not_make_what_follows_late_beyond_the_tolerance(self) -> None:
        stream = Stream()
        events = stream.events(
            make_trade(1, at=after(5), received_at=START),
            make_trade(2, at=after(2.5), received_at=after(2.5)),
        )
        assert [event.rule for event in events] == [QualityRule.FUTURE_TIME]
        assert stream.monitor.state.latest == after(2.5)

    def test_crossed_quote_is_told_with_both_prices(self) -> None:
        (event,) = Stream().events(make_quote(bid=2)._replace(bid=2 * 10**12, ask=10**12))
        assert (event.rule, event.severity, event.field) == (QualityRule.CROSSED_BOOK, Severity.ERROR, "bid")
        assert (event.observed, event.expected) == (of_price(2 * 10**12), of_price(10**12))

    def test_order_of_quotes_is_kept_by_channel(self) -> None:
        ticker = make_quote(bid=1)._replace(channel="ticker", exchange_time=after(1), received_at=after(1))
        top = make_quote(bid=1)._replace(channel="bookTicker", exchange_time=after(3), received_at=after(3))
        stream = Stream()
        assert stream.events(ticker, top, ticker._replace(exchange_time=after(2))) == []
        (event,) = stream.events(top._replace(exchange_time=after(2.5)))
        assert event.rule is QualityRule.OUT_OF_ORDER

    def test_channels_remembered_are_bounded(self) -> None:
        stream = Stream()
        for number in range(MAX_CHANNELS + 5):
            stream.take(make_quote(bid=1)._replace(channel=f"channel{number}"))
        assert list(stream.monitor.state.last) == [f"channel{number}" for number in range(5, MAX_CHANNELS + 5)]

    def test_refused_record_is_told_and_moves_no_time(self) -> None:
        stream = Stream()
        stream.take(make_trade(1))
        far = make_trade(2, at=START + 10**13, received_at=START + SECOND)
        refusal = Refused(far, "future_time", "exchange_time", "ahead", START + SECOND, 5 * SECOND)
        (event,) = stream.monitor.refuse(refusal, 1)
        assert isinstance(event, QualityEvent)
        assert check_quality_event(event).rule is QualityRule.FUTURE_TIME
        assert event.event_time == START + SECOND
        assert stream.monitor.state.latest == START
        assert stream.monitor.refuse(refusal, 1) == []


class TestTelling:
    LIMITS = QualityLimits(period=SECOND)

    def test_flood_makes_one_event_a_period_that_sums_it_up(self) -> None:
        stream = Stream(self.LIMITS)
        stream.take(make_trade(1))
        flood = [make_trade(1, at=START + number * SECOND // 100) for number in range(251)]
        events = stream.events(*flood, TimeMark(INSTRUMENT, after(4)))
        assert [(event.rule, event.occurrences) for event in events] == [(QualityRule.DUPLICATE, n) for n in (1, 100, 100, 50)]
        assert stream.monitor.state.minute.counts == {"DUPLICATE": 251}

    def test_held_event_keeps_the_place_of_its_last_record(self) -> None:
        stream = Stream(self.LIMITS)
        stream.take(make_trade(1), make_trade(1), make_trade(1))
        (event,) = stream.events(make_trade(2, at=after(2)))
        assert (event.source_offset, event.occurrences) == (2, 1)

    @given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.booleans())), st.integers(0, 2 * SECOND))
    def test_nothing_is_lost_and_no_period_has_two_events(self, steps: list[tuple[int, bool]], period: int) -> None:
        event = Stream().events(make_trade(1), make_trade(1))[0]
        told: dict[str, Told] = {}
        now, broken, found = START, 0, list[tuple[int, int]]()
        for step, breaks in steps:
            now += step
            if breaks:
                broken += 1
                one = tell(told, event, now, period)
                found += [] if one is None else [(now, one.occurrences)]
            found += [(now, one.occurrences) for one in due(told, now, period)]
        held = sum(one.held.occurrences for one in told.values() if one.held)
        assert sum(occurrences for _, occurrences in found) + held == broken
        times = [time for time, _ in found]
        assert all(later - earlier >= period for earlier, later in pairwise(times))


class TestScore:
    def test_minute_without_fault_has_a_hundred_per_cent(self) -> None:
        (score,) = Stream().scores(make_trade(1), TimeMark(INSTRUMENT, after(59)), TimeMark(INSTRUMENT, after(60)))
        assert check_quality_score(score).score == 100 * 10**12
        assert (score.open_time, score.records, score.counts, score.source_offset) == (START, 2, {}, 2)

    def test_burst_of_faults_weighs_no_more_than_its_second(self) -> None:
        burst = [make_trade(1, at=START)] * 1000
        (score,) = Stream().scores(*burst, TimeMark(INSTRUMENT, after(60)))
        assert (score.faulty_seconds, score.counts, score.score) == (1, {"DUPLICATE": 999}, score_of(1))

    def test_gap_takes_its_seconds_from_every_minute_it_covers(self) -> None:
        scores = Stream().scores(
            make_trade(1),
            TimeMark(INSTRUMENT, after(50)),
            GapMark(INSTRUMENT, after(50), after(70)),
            make_trade(9, at=after(70)),
            TimeMark(INSTRUMENT, after(120)),
        )
        assert [(score.open_time, score.faulty_seconds) for score in scores] == [(START, 10), (START + MINUTE, 10)]

    def test_healed_gap_takes_no_more(self) -> None:
        mark = GapMark(INSTRUMENT, START, after(30), healed=True)
        (score,) = Stream().scores(make_trade(1), mark, TimeMark(INSTRUMENT, after(60)))
        assert (score.faulty_seconds, score.counts) == (0, {})

    def test_stale_stream_loses_its_seconds_until_a_trade_comes(self) -> None:
        marks = [TimeMark(INSTRUMENT, after(number)) for number in range(1, 100)]
        scores = Stream(QualityLimits(stale_after=20 * SECOND)).scores(
            make_trade(1), *marks, make_trade(2, at=after(100)), TimeMark(INSTRUMENT, after(120))
        )
        assert [(score.faulty_seconds, score.counts) for score in scores] == [(40, {"STALE": 1}), (40, {})]

    def test_late_trade_counts_to_the_minute_open(self) -> None:
        scores = Stream().scores(make_trade(1), make_trade(3, at=after(61)), make_trade(2), TimeMark(INSTRUMENT, after(120)))
        assert [(score.records, score.counts) for score in scores] == [(1, {}), (2, {"OUT_OF_ORDER": 1})]

    @given(st.lists(st.tuples(st.integers(-2 * MINUTE, 3 * MINUTE), st.integers(0, 2 * MINUTE))))
    def test_seconds_are_marked_once_each_and_within_the_minute(self, stretches: list[tuple[int, int]]) -> None:
        minute, expected = QualityMinute(START), set[int]()
        for begin, length in stretches:
            minute.fault(START + begin, START + begin + length)
            if length:
                expected |= {
                    number for number in range(60) if begin < (number + 1) * SECOND and begin + length > number * SECOND
                }
        assert {number for number in range(60) if minute.faulty >> number & 1} == expected
        assert minute.faulty_seconds == len(expected)


@pytest.mark.parametrize(
    ("venue", "paths", "judged"),
    [
        ("binance", (SAMPLE[0],), 38_144),
        ("binance", (SPOT_LISTING, SPOT), 117),
        ("binance", (FUTURES_LISTING, FUTURES), 812),
        ("okx", OKX, 141),
        ("gateio", GATEIO, 98),
        ("kraken", KRAKEN, 69),
        ("bitget", BITGET, 402),
    ],
    ids=["binance sample", "binance spot", "binance futures", "okx", "gateio", "kraken", "bitget"],
)
def test_recorded_traffic_breaks_no_rule(venue: str, paths: tuple[Path, ...], judged: int) -> None:
    counts, told = Counter[tuple[QualityRule, Severity]](), list[QualityScore]()
    streams: dict[tuple[str, bool], Stream] = {}
    records = [record for record in recorded(venue, *paths)[0] if isinstance(record, Judged)]
    for record in records:
        key = record.instrument, isinstance(record, Quote)
        for one in streams.setdefault(key, Stream(instrument=record.instrument)).take(record):
            if isinstance(one, QualityEvent):
                counts[check_quality_event(one).rule, one.severity] += 1
            else:
                told.append(check_quality_score(one))
    begun = len({record.instrument for record in records if isinstance(record, Trade)})
    assert counts == {(QualityRule.GAP, Severity.INFO): begun}
    assert {score.score for score in told} <= {100 * 10**12}
    assert len(records) == judged


def test_faults_put_into_recorded_traffic_are_found() -> None:
    records = [record for record in recorded("binance", SAMPLE[0])[0] if isinstance(record, Trade | TimeMark | GapMark)]
    stream = Stream()
    stream.take(*records[:5_000])
    trade = next(record for record in reversed(records[:5_000]) if isinstance(record, Trade))
    spike = trade._replace(trade_id="x", sequence=trade.sequence + 1, price=trade.price * 102 // 100)
    events = stream.events(trade, spike)
    assert [event.rule for event in events] == [QualityRule.DUPLICATE, QualityRule.OUTLIER]
    assert events[1].observed == of_price(spike.price)


def test_warning_does_not_hide_an_error_of_the_same_rule() -> None:
    stream = Stream(QualityLimits(period=SECOND))
    locked, crossed = (make_quote(at=START, bid=bid, ask=100) for bid in (100, 120))
    quotes = [quote._replace(received_at=after(0.1 * n)) for n, quote in enumerate([locked, crossed, locked])]
    events = stream.events(*quotes, make_quote(at=after(5), bid=99, ask=100))
    assert {event.severity for event in events if event.rule is QualityRule.CROSSED_BOOK} == {Severity.WARNING, Severity.ERROR}
