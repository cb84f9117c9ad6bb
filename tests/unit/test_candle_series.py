"""The candle state machine against a plain model and along its edges."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind, fold
from market.candle_series import Outcome
from market.decimals import ONE
from market.interval import parse_interval
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from tests.builders import INSTRUMENT, MINUTE, START, make_trade, trades
from tests.candle_streams import GRACE, Stream, truth

NEW, UPDATE, CLOSE, CORRECTION = CandleEventKind


def mark(at: int) -> TimeMark:
    return TimeMark(INSTRUMENT, at)


def content(event: CandleEvent) -> tuple[object, ...]:
    return event.open, event.high, event.low, event.close, event.volume, event.amount, event.trade_count, event.taker_buy_volume


@given(trades(), st.integers(1, 7), st.sampled_from([("1m",), ("1m", "5m")]))
def test_latest_versions_equal_a_plain_fold_of_each_interval(found: list[Trade], size: int, intervals: tuple[str, ...]) -> None:
    stream, events = Stream(intervals), []
    for start in range(0, len(found), size):
        events += stream.batch(*found[start : start + size])
    expected = {}
    for interval in stream.intervals:
        for open_time in {interval.open_time(trade.event_time) for trade in found}:
            candle = fold([trade for trade in found if interval.open_time(trade.event_time) == open_time])
            assert candle is not None
            expected[interval.name, open_time] = candle
    latest = truth(events)
    assert latest.keys() == expected.keys()
    for key, candle in expected.items():
        wanted = (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.amount)
        assert content(latest[key]) == (*wanted, candle.trade_count, candle.taker_buy_volume)


@st.composite
def streams(draw: st.DrawFn) -> list[TradeStreamRecord]:
    """Trades with time marks and gaps among them, some healed, in any order."""
    found = draw(trades(max_size=12))
    spans = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.booleans()), max_size=4))
    records: list[TradeStreamRecord] = [*found, *(mark(START + step * 40_000_000) for step in range(8))]
    for begin, length, healed in spans:
        gap = GapMark(INSTRUMENT, START + begin * 7_000_000, START + (begin + length) * 7_000_000)
        records += [gap, gap._replace(healed=True)] if healed else [gap]
    return draw(st.permutations(records))


@given(streams(), st.integers(1, 9), st.integers(1, 9))
def test_batch_boundaries_change_only_which_updates_are_told(records: list[TradeStreamRecord], one: int, other: int) -> None:

    def told(size: int) -> list[CandleEvent]:
        stream, events = Stream(), []
        for start in range(0, len(records), size):
            events += stream.batch(*records[start : start + size])
        return events

    def but_updates(events: list[CandleEvent]) -> list[CandleEvent]:
        return sorted(event for event in events if event.kind is not UPDATE)

    first, second = told(one), told(other)
    assert but_updates(first) == but_updates(second)
    by_version = {(event.open_time, event.version): event for event in first}
    assert all(by_version.get((event.open_time, event.version), event) == event for event in second)


@given(streams(), st.integers(0, 50), st.integers(1, 5))
def test_replay_after_a_crash_repeats_versions_and_changes_nothing(found: list[TradeStreamRecord], cut: int, size: int) -> None:
    """The state is from before the crash, while closed candles may have been stored already, as after lost writes."""
    stream = Stream()
    before = stream.batch(*found[:cut])
    saved = deepcopy((stream.state, stream.offset))
    lost = stream.batch(*found[cut : cut + size])
    stream.state, stream.offset = saved
    after = stream.batch(*found[cut:])
    whole = Stream()
    expected = truth(whole.batch(*found))
    latest = truth([*before, *lost, *after])
    assert latest.keys() == expected.keys()
    for key, event in latest.items():
        assert content(event) == content(expected[key])
    assert whole.closed == stream.closed
    versions: dict[object, CandleEvent] = {}
    for event in [*before, *lost, *after]:
        assert versions.setdefault((event.open_time, event.version), event) == event


@given(streams())
def test_stream_sent_twice_is_all_known_and_tells_nothing(found: list[TradeStreamRecord]) -> None:
    stream = Stream()
    stream.batch(*found)
    assert stream.batch(*found) == []
    again = stream.outcomes[len(found) :]
    assert again == [Outcome.DUPLICATE if isinstance(record, Trade) else Outcome.UNCHANGED for record in found]


def test_first_trade_is_told_at_once_and_more_are_conflated() -> None:
    events = Stream().batch(make_trade(1), make_trade(2), make_trade(3))
    assert [(event.kind, event.trade_count, event.source_offset) for event in events] == [(NEW, 1, 0), (UPDATE, 3, 2)]


def test_candle_closes_when_the_watermark_passes_its_end_and_not_before() -> None:
    stream = Stream()
    stream.batch(make_trade(1))
    assert stream.batch(mark(START + MINUTE + GRACE - 1)) == []
    (event,) = stream.batch(mark(START + MINUTE + GRACE))
    assert (event.kind, event.revision, event.is_closed) == (CLOSE, 1, True)


def test_late_trade_corrects_the_closed_candle() -> None:
    stream = Stream()
    stream.batch(make_trade(1, price=100), make_trade(3, at=START + 2 * MINUTE))
    (event,) = stream.batch(make_trade(2, at=START + 1, price=90))
    assert (event.kind, event.revision, event.low, event.trade_count) == (CORRECTION, 2, 90 * ONE, 2)


def test_late_trade_of_a_minute_without_trades_makes_its_candle() -> None:
    stream = Stream()
    stream.batch(make_trade(1), make_trade(3, at=START + 3 * MINUTE))
    (event,) = stream.batch(make_trade(2, at=START + MINUTE))
    assert (event.kind, event.revision, event.open_time) == (CORRECTION, 1, START + MINUTE)


def test_trade_beyond_the_horizon_is_too_late_and_changes_nothing() -> None:
    stream = Stream()
    stream.batch(make_trade(2, at=START + 48 * 60 * MINUTE))
    before = deepcopy(stream.state.open)
    assert stream.batch(make_trade(1, at=START)) == []
    assert stream.outcomes[-1] is Outcome.TOO_LATE
    assert stream.state.open == before


def test_first_candle_after_a_cold_start_is_not_complete_and_the_next_is() -> None:
    stream = Stream()
    events = stream.batch(make_trade(1), make_trade(2, at=START + MINUTE), mark(START + 2 * MINUTE + GRACE))
    closed = [event for event in events if event.kind is CLOSE]
    assert [(event.complete, event.gap) for event in closed] == [(False, False), (True, False)]


def test_gap_marks_the_candles_it_touches() -> None:
    stream = Stream()
    events = stream.batch(
        make_trade(1),
        make_trade(2, at=START + MINUTE + 10_000_000),
        GapMark(INSTRUMENT, START + MINUTE + 10_000_000, START + MINUTE + 20_000_000),
        make_trade(9, at=START + MINUTE + 20_000_000),
        make_trade(10, at=START + 2 * MINUTE),
        mark(START + 3 * MINUTE + GRACE),
    )
    closed = {event.open_time: (event.complete, event.gap) for event in events if event.kind is CLOSE}
    assert closed == {START: (False, False), START + MINUTE: (False, True), START + 2 * MINUTE: (True, False)}


def test_gap_that_becomes_known_after_the_close_is_a_correction_and_healing_it_another() -> None:
    stream = Stream()
    stream.batch(make_trade(1), make_trade(2, at=START + MINUTE), mark(START + 2 * MINUTE + GRACE))
    gap = GapMark(INSTRUMENT, START + MINUTE + 1, START + MINUTE + 2)
    (flagged,) = stream.batch(gap)
    (healed,) = stream.batch(gap._replace(healed=True))
    assert (flagged.kind, flagged.revision, flagged.gap, flagged.complete) == (CORRECTION, 2, True, False)
    assert (healed.kind, healed.revision, healed.gap, healed.complete) == (CORRECTION, 3, False, True)


def test_open_candle_that_a_gap_touches_is_told_anew_at_the_mark() -> None:
    stream = Stream()
    (new,) = stream.batch(make_trade(1))
    gap = GapMark(INSTRUMENT, START, START + 5)
    (flagged,) = stream.batch(gap)
    (healed,) = stream.batch(gap._replace(healed=True))
    told = [(event.kind, event.gap, event.source_offset) for event in (new, flagged, healed)]
    assert told == [(NEW, False, 0), (UPDATE, True, 1), (UPDATE, False, 2)]


def test_healing_one_of_two_gaps_leaves_the_closed_candle_with_the_other() -> None:
    stream = Stream()
    gaps = [GapMark(INSTRUMENT, START + MINUTE + at, START + MINUTE + at + 5) for at in (1, 10)]
    stream.batch(make_trade(1), make_trade(2, at=START + MINUTE), *gaps, mark(START + 3 * MINUTE))
    assert stream.batch(gaps[0]._replace(healed=True)) == []
    (event,) = stream.batch(gaps[1]._replace(healed=True))
    assert (event.kind, event.gap, event.complete) == (CORRECTION, False, True)


def test_healing_a_part_of_a_gap_does_not_heal_it() -> None:
    stream = Stream()
    stream.batch(make_trade(1), make_trade(2, at=START + MINUTE), GapMark(INSTRUMENT, START + MINUTE, START + 2 * MINUTE))
    stream.batch(mark(START + 3 * MINUTE))
    assert stream.batch(GapMark(INSTRUMENT, START + MINUTE + 5, START + MINUTE + 9, healed=True)) == []


def test_late_trade_of_a_minute_within_a_gap_makes_a_candle_with_a_gap() -> None:
    stream = Stream()
    stream.batch(make_trade(1), GapMark(INSTRUMENT, START + 30, START + 3 * MINUTE), make_trade(9, at=START + 5 * MINUTE))
    (event,) = stream.batch(make_trade(2, at=START + MINUTE + 5))
    assert (event.kind, event.gap, event.complete) == (CORRECTION, True, False)


def test_gap_of_a_restart_counts_although_our_clock_is_ahead_of_the_venues() -> None:
    stream = Stream()
    stream.batch(make_trade(1), make_trade(2, at=START + MINUTE), mark(START + MINUTE + 4_000_000))
    gap = GapMark(INSTRUMENT, None, START + MINUTE + 3_000_000)
    events = stream.batch(gap, make_trade(9, at=START + MINUTE + 3_000_000), mark(START + 3 * MINUTE))
    assert [(event.gap, event.complete) for event in events if event.kind is CLOSE] == [(True, False)]


def test_interval_added_later_is_not_complete_before_its_first_whole_one() -> None:
    stream = Stream()
    stream.batch(*(make_trade(n, at=START + n * MINUTE) for n in range(3)))
    stream.intervals.append(parse_interval("5m"))
    events = stream.batch(*(make_trade(n, at=START + n * MINUTE) for n in range(3, 12)))
    complete = {event.open_time: event.complete for event in events if event.kind is CLOSE and event.interval == "5m"}
    assert complete == {START: False, START + 5 * MINUTE: True}


def test_gap_of_unknown_begin_reaches_back_to_the_last_record() -> None:
    stream = Stream()
    stream.batch(make_trade(1), make_trade(2, at=START + MINUTE))
    stream.batch(GapMark(INSTRUMENT, None, START + 3 * MINUTE))
    events = stream.batch(make_trade(3, at=START + 3 * MINUTE), mark(START + 5 * MINUTE))
    assert {event.open_time: event.gap for event in events if event.kind is CLOSE} == {
        START: False,
        START + MINUTE: True,
        START + 3 * MINUTE: False,
    }


def test_gap_in_the_past_of_a_stream_just_begun_changes_nothing() -> None:
    stream = Stream()
    assert stream.batch(GapMark(INSTRUMENT, None, START)) == []
    assert stream.outcomes == [Outcome.UNCHANGED]


def test_record_at_an_applied_offset_is_skipped() -> None:
    stream = Stream()
    stream.batch(make_trade(1))
    stream.offset = 0
    assert stream.batch(make_trade(2)) == []
    assert stream.outcomes[-1] is Outcome.REPLAYED


def test_sums_that_would_not_fit_the_wire_refuse_the_trade() -> None:
    stream = Stream()
    huge = make_trade(1)._replace(price=1, size=6 * 10**37)
    stream.batch(huge)
    stream.batch(huge._replace(trade_id="2", sequence=2))
    assert stream.outcomes == [Outcome.APPLIED, Outcome.TOO_LARGE]
    assert next(iter(stream.state.open.values())).candle.trade_count == 1


def test_candle_without_a_refused_trade_has_a_gap() -> None:
    stream = Stream()
    huge = make_trade(1)._replace(price=1, size=6 * 10**37)
    events = stream.batch(huge, huge._replace(trade_id="2", sequence=2), mark(START + 2 * MINUTE))
    assert (events[-1].kind, events[-1].gap, events[-1].complete) == (CLOSE, True, False)


def test_closed_candles_beyond_the_horizon_are_forgotten() -> None:
    stream = Stream()
    day = 24 * 60
    stream.batch(*(make_trade(n, at=START + n * MINUTE) for n in range(day + 10)))
    assert min(open_time for _, open_time in stream.closed) > START
    assert len(stream.closed) <= day


def test_closed_candles_of_an_instrument_rarely_traded_are_forgotten_as_well() -> None:
    stream = Stream()
    day = 24 * 60 * MINUTE
    stream.batch(*(make_trade(n, at=START + n * (day - 7 * MINUTE)) for n in range(5)))
    assert [open_time for _, open_time in stream.closed] == [START + 3 * (day - 7 * MINUTE)]
    assert stream.state.closed["1m"][1] == START + 3 * (day - 7 * MINUTE)
