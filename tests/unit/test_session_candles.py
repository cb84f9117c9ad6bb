"""Candles of venues that close, and of intervals without trades: any order, any batches, any crash."""

from collections.abc import Sequence
from copy import deepcopy
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Candle, CandleEvent, CandleEventKind, carried, fold, merge
from market.candle_series import HORIZON, CandleKey, Outcome
from market.interval import MINUTE, parse_interval
from market.session import TradingCalendar
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from tests.builders import START, make_trade
from tests.candle_streams import GRACE, Stream, truth
from tests.sessions import a_share_calendar, micros_at, text_at

NEW, UPDATE, CLOSE, CORRECTION = CandleEventKind
CALENDAR = a_share_calendar()
A_SHARE = "sse:600519"
FRIDAY, MONDAY = "2024-08-09", "2024-08-12"


def a_share_stream(*intervals: str, calendar: TradingCalendar | None = CALENDAR, carry: bool = False) -> Stream:
    return Stream(intervals or ("1m",), instrument=A_SHARE, calendar=calendar, carry=carry)


def at(text: str, number: int = 1, *, price: int = 100) -> Trade:
    return make_trade(number, at=micros_at(text), price=price, instrument=A_SHARE)


def mark(text: str) -> TimeMark:
    return TimeMark(A_SHARE, micros_at(text))


def content(event: CandleEvent) -> tuple[object, ...]:
    """What does not depend on when the trades came."""
    return (*event[6:17], event.close_time, event.last_trade_time)


def shown(events: Sequence[CandleEvent]) -> list[tuple[str, str, int]]:
    return [(event.kind.value, text_at(event.open_time), event.trade_count) for event in events]


@st.composite
def found(draw: st.DrawFn, *, max_size: int = 14) -> list[Trade]:
    """Trades about the lunch break and the two ends of a day, in order, few in a minute."""
    edges = st.sampled_from(["09:25", "09:30", "11:27", "11:30", "12:50", "13:00", "14:57", "15:00"])
    times = draw(st.lists(st.tuples(edges, st.integers(0, 119) | st.sampled_from([0, 1, 59])), max_size=max_size))
    moments = sorted(micros_at(f"{FRIDAY} {edge}") + seconds * 10**6 for edge, seconds in times)
    return [
        make_trade(number, at=time, price=draw(st.integers(1, 9)), size=draw(st.integers(1, 9)), instrument=A_SHARE)
        for number, time in enumerate(moments, start=1)
    ]


@st.composite
def streams(draw: st.DrawFn) -> list[TradeStreamRecord]:
    """Trades, time marks and gaps in any order."""
    records: list[TradeStreamRecord] = [*draw(found(max_size=8))]
    marks = draw(st.lists(st.sampled_from(["09:31", "09:33", "11:31:02", "11:32", "13:00", "13:04", "15:02"]), max_size=4))
    records += [mark(f"{FRIDAY} {time}") for time in marks]
    for begin, length, healed in draw(st.lists(st.tuples(st.integers(0, 330), st.integers(1, 9), st.booleans()), max_size=2)):
        start = micros_at(f"{FRIDAY} 09:30") + begin * MINUTE
        gap = GapMark(A_SHARE, start, start + length * MINUTE)
        records += [gap, gap._replace(healed=True)] if healed else [gap]
    return draw(st.permutations(records))


# sessions


def test_candles_of_a_day_are_counted_in_trading_time() -> None:
    stream = a_share_stream("1h", "4h", "1d")
    times = ("09:25:01", "09:45", "11:29:59", "13:00", "14:59:59", "15:00:03")
    events = stream.batch(*(at(f"{FRIDAY} {time}", number) for number, time in enumerate(times, 1)), mark(f"{FRIDAY} 15:01:02"))
    closed = {(event.interval, text_at(event.open_time)): event for event in events if event.kind is CLOSE}
    assert {key: event.trade_count for key, event in closed.items()} == {
        ("1h", "09 09:30"): 2,
        ("1h", "09 10:30"): 1,
        ("1h", "09 13:00"): 1,
        ("1h", "09 14:00"): 2,
        ("4h", "09 09:30"): 6,
        ("1d", "09 09:30"): 6,
    }
    assert text_at(closed["1d", "09 09:30"].close_time) == "09 15:00"


def test_last_candle_of_the_day_waits_for_the_closing_auction() -> None:
    stream = a_share_stream()
    assert stream.batch(at(f"{FRIDAY} 14:59:30"), mark(f"{FRIDAY} 15:01:01.999999"))[-1].kind is NEW
    assert shown(stream.batch(at(f"{FRIDAY} 15:00:03", 2)))[0] == ("UPDATE", "09 14:59", 2)
    (closed,) = stream.batch(mark(f"{FRIDAY} 15:01:02"))
    assert (closed.kind, closed.revision, closed.trade_count) == (CLOSE, 1, 2)


@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        (f"{FRIDAY} 12:00", Outcome.OFF_SESSION),
        (f"{FRIDAY} 15:01", Outcome.OFF_SESSION),
        ("2024-08-10 10:00", Outcome.OFF_SESSION),
        ("2024-08-07 10:00", Outcome.OFF_CALENDAR),
        ("2024-08-13 10:00", Outcome.OFF_CALENDAR),
    ],
)
def test_trade_outside_of_every_session_changes_nothing(time: str, outcome: Outcome) -> None:
    stream = a_share_stream("1m", "1d")
    stream.batch(at(f"{FRIDAY} 10:00"))
    before = deepcopy((stream.state.open, stream.state.seen, stream.state.latest))
    assert stream.batch(at(time, 2)) == []
    assert stream.outcomes[-1] is outcome
    assert (stream.state.open, stream.state.seen, stream.state.latest) == before


def test_gap_in_a_break_or_a_night_is_no_gap_of_a_candle() -> None:
    stream = a_share_stream("1d")
    stream.batch(at("2024-08-08 10:00"), at(f"{FRIDAY} 10:00", 2))
    for begin, end in (("11:31", "12:45"), ("15:01", "23:00")):
        assert stream.batch(GapMark(A_SHARE, micros_at(f"{FRIDAY} {begin}"), micros_at(f"{FRIDAY} {end}"))) == []
    (closed,) = [event for event in stream.batch(mark(f"{FRIDAY} 15:02")) if event.kind is CLOSE]
    assert (closed.gap, closed.complete) == (False, True)
    (flagged,) = stream.batch(GapMark(A_SHARE, micros_at(f"{FRIDAY} 15:00"), micros_at(f"{FRIDAY} 15:00:30")))
    assert (flagged.kind, flagged.gap) == (CORRECTION, True)


@given(found(), st.integers(1, 5))
def test_merge_of_minutes_is_the_candle_of_every_longer_interval(trades: list[Trade], size: int) -> None:
    stream, names = a_share_stream("1m", "30m", "1h", "3h", "4h", "1d"), ("30m", "1h", "3h", "4h", "1d")
    for begin in range(0, len(trades), size):
        stream.batch(*trades[begin : begin + size])
    stream.batch(mark(f"{FRIDAY} 16:00"))
    minutes = {open_time: held.candle for (name, open_time), held in stream.closed.items() if name == "1m"}
    for name in names:
        bars = CALENDAR.bars(parse_interval(name))
        parts: dict[int, list[Candle]] = {}
        for open_time, candle in minutes.items():
            parts.setdefault(bars.open_time(open_time), []).append(candle)
        merged = {open_time: reduce(merge, candles) for open_time, candles in parts.items()}
        assert {key[1]: held.candle for key, held in stream.closed.items() if key[0] == name} == merged
    accepted = [trade for trade in trades if CALENDAR.day_at(trade.event_time) is not None]
    day = {key[1]: held.candle for key, held in stream.closed.items() if key[0] == "1d"}
    assert list(day.values()) == ([fold(accepted)] if accepted else [])


# any order, any batches, any crash

CONFIGURATIONS = pytest.mark.parametrize(
    ("calendar", "carry"), [(CALENDAR, False), (CALENDAR, True), (None, True)], ids=["sessions", "both", "carry"]
)


@CONFIGURATIONS
@given(found(), st.randoms(use_true_random=False))
def test_any_order_of_trades_gives_the_same_final_candles(
    calendar: TradingCalendar | None, carry: bool, trades: list[Trade], random: object
) -> None:
    def final(records: Sequence[Trade]) -> dict[CandleKey, tuple[object, ...]]:
        stream = a_share_stream("1m", "1h", "1d", calendar=calendar, carry=carry)
        events = stream.batch(*records, mark(f"{FRIDAY} 20:00"))
        return {key: content(event) for key, event in truth(events).items()}

    shuffled = list(trades)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert final(shuffled) == final(trades)


@CONFIGURATIONS
@given(streams(), st.integers(1, 9), st.integers(1, 9))
def test_batches_change_only_which_updates_are_told(
    calendar: TradingCalendar | None, carry: bool, records: list[TradeStreamRecord], one: int, other: int
) -> None:
    def told(size: int) -> list[CandleEvent]:
        stream, events = a_share_stream("1m", "1h", calendar=calendar, carry=carry), []
        for begin in range(0, len(records), size):
            events += stream.batch(*records[begin : begin + size])
        return events

    first, second = told(one), told(other)
    assert [event for event in first if event.kind is not UPDATE] == [event for event in second if event.kind is not UPDATE]
    by_version = {(event.interval, event.open_time, event.version): event for event in first}
    for event in second:
        assert by_version.get((event.interval, event.open_time, event.version), event) == event


@CONFIGURATIONS
@given(streams(), st.integers(0, 20), st.integers(1, 5))
def test_replay_after_a_crash_repeats_versions_and_changes_nothing(
    calendar: TradingCalendar | None, carry: bool, records: list[TradeStreamRecord], cut: int, size: int
) -> None:
    """The state is from before the crash, the closed candles of the lost run are stored."""
    stream = a_share_stream("1m", "1h", calendar=calendar, carry=carry)
    before = stream.batch(*records[:cut])
    saved = deepcopy((stream.state, stream.offset))
    lost = stream.batch(*records[cut : cut + size])
    stream.state, stream.offset = saved
    after = stream.batch(*records[cut:])
    whole = a_share_stream("1m", "1h", calendar=calendar, carry=carry)
    expected = truth(whole.batch(*records))
    latest = truth([*before, *lost, *after])
    assert {key: content(event) for key, event in latest.items()} == {key: content(event) for key, event in expected.items()}
    assert whole.closed == stream.closed
    versions: dict[object, CandleEvent] = {}
    for event in [*before, *lost, *after]:
        known = versions.setdefault((event.interval, event.open_time, event.version), event)
        assert known._replace(kind=NEW) == event._replace(kind=NEW)


@CONFIGURATIONS
@given(streams(), st.integers(0, 20), st.integers(1, 5), st.data())
def test_candles_are_right_where_only_some_of_a_lost_run_were_stored(
    calendar: TradingCalendar | None, carry: bool, records: list[TradeStreamRecord], cut: int, size: int, data: st.DataObject
) -> None:
    """All of its events were told before; what consumers keep in the end is the truth."""
    stream = a_share_stream("1m", calendar=calendar, carry=carry)
    events = stream.batch(*records[:cut])
    saved = deepcopy((stream.state, stream.offset, stream.closed))
    events += stream.batch(*records[cut : cut + size])
    written = {key: held for key, held in stream.closed.items() if saved[2].get(key) != held}
    arrived = data.draw(st.sets(st.sampled_from(sorted(written)))) if written else set()
    stream.state, stream.offset, stream.closed = saved
    stream.closed.update({key: written[key] for key in arrived})
    events += stream.batch(*records[cut:])
    expected = truth(a_share_stream("1m", calendar=calendar, carry=carry).batch(*records))
    assert {key: content(event) for key, event in truth(events).items()} == {
        key: content(event) for key, event in expected.items()
    }


# intervals without trades


def carrying(calendar: TradingCalendar | None = CALENDAR) -> Stream:
    return a_share_stream(calendar=calendar, carry=True)


def test_minute_without_trades_carries_the_close_of_the_one_before() -> None:
    stream = carrying()
    first = at(f"{FRIDAY} 10:00:30", 1, price=7)
    events = stream.batch(first, at(f"{FRIDAY} 10:02", 2, price=9), mark(f"{FRIDAY} 10:03:02"))
    assert shown(events) == [
        ("NEW", "09 10:00", 1),
        ("NEW", "09 10:02", 1),
        ("CLOSE", "09 10:00", 1),
        ("CLOSE", "09 10:01", 0),
        ("CLOSE", "09 10:02", 1),
    ]
    empty = events[3]
    assert (empty.open, empty.high, empty.low, empty.close, empty.vwap) == (first.price,) * 5
    assert (empty.volume, empty.amount, empty.taker_buy_volume) == (0, 0, 0)
    assert (empty.first_trade_id, empty.last_trade_id, empty.last_trade_time) == ("1", "1", first.event_time)
    assert (empty.revision, empty.is_closed, empty.complete, empty.gap) == (1, True, True, False)


def test_nothing_is_carried_before_the_first_trade_nor_without_being_asked_for() -> None:
    assert carrying().batch(mark(f"{FRIDAY} 10:00"), mark(f"{FRIDAY} 10:05"), at(f"{FRIDAY} 10:06"))[0].kind is NEW
    silent = a_share_stream()
    events = silent.batch(at(f"{FRIDAY} 10:00"), mark(f"{FRIDAY} 10:09"))
    assert [event.kind for event in events] == [NEW, CLOSE]


def test_close_is_carried_over_the_break_and_the_weekend_within_sessions_alone() -> None:
    stream = carrying()
    events = stream.batch(at(f"{FRIDAY} 11:28:30"), *(mark(f"{FRIDAY} {time}") for time in ("11:40", "12:50", "13:02:02")))
    assert [text for _, text, _ in shown(events)[1:]] == ["09 11:28", "09 11:29", "09 13:00", "09 13:01"]
    stream.batch(at(f"{FRIDAY} 14:58:00", 2, price=8), mark(f"{FRIDAY} 15:02"))
    monday = stream.batch(mark(f"{MONDAY} 09:00"), mark(f"{MONDAY} 09:31:02"))
    assert shown(monday) == [("CLOSE", "12 09:30", 0)]
    assert monday[0].close == at(FRIDAY + " 10:00", 2, price=8).price


def test_late_trade_into_an_empty_minute_corrects_it_and_those_that_carried_another_close() -> None:
    stream = carrying()
    stream.batch(at(f"{FRIDAY} 10:00", 1, price=7), at(f"{FRIDAY} 10:04", 3, price=9))
    events = stream.batch(at(f"{FRIDAY} 10:02", 2, price=5))
    assert shown(events) == [("CORRECTION", "09 10:02", 1)]  # 10:03 is not closed yet
    stream.batch(mark(f"{FRIDAY} 10:08"))
    later = stream.batch(at(f"{FRIDAY} 10:05:01", 4, price=3))
    assert shown(later) == [("CORRECTION", "09 10:05", 1), ("CORRECTION", "09 10:06", 0)]
    assert [(event.revision, event.close) for event in later] == [(2, later[0].close)] * 2
    assert shown(stream.batch(at(f"{FRIDAY} 10:05:00", 5, price=4))) == [("CORRECTION", "09 10:05", 2)]


def test_correction_after_a_lost_run_is_above_each_version_that_it_may_have_told() -> None:
    stream = carrying()
    events = stream.batch(at(f"{FRIDAY} 10:00", 1, price=1), mark(f"{FRIDAY} 10:01:30"))
    saved = deepcopy((stream.state, stream.offset))
    lost: list[TradeStreamRecord] = [
        mark(f"{FRIDAY} 10:02:02"),
        *(at(f"{FRIDAY} 10:00:1{number}", number, price=number) for number in (2, 3)),
    ]
    events += stream.batch(*lost)
    minute = micros_at(f"{FRIDAY} 10:01")
    del stream.closed["1m", minute]  # of its last writes only the candle before arrived
    stream.state, stream.offset = saved
    events += stream.batch(*lost, at(f"{FRIDAY} 10:00:14", 4, price=4))
    kept = truth(events)["1m", minute]
    assert (kept.trade_count, kept.close) == (0, at(f"{FRIDAY} 10:00", price=4).price)


def test_gap_over_an_empty_minute_flags_it() -> None:
    stream = carrying()
    stream.batch(at(f"{FRIDAY} 10:00"), mark(f"{FRIDAY} 10:03"))
    (flagged,) = stream.batch(GapMark(A_SHARE, micros_at(f"{FRIDAY} 10:01:10"), micros_at(f"{FRIDAY} 10:01:20")))
    assert (flagged.kind, flagged.trade_count, flagged.gap, flagged.complete) == (CORRECTION, 0, True, False)


def test_mark_that_jumps_a_month_ahead_carries_the_close_over_the_horizon_alone() -> None:
    stream = carrying(None)
    stream.batch(make_trade(1, at=START, instrument=A_SHARE))
    events = stream.batch(TimeMark(A_SHARE, START + 30 * HORIZON))
    empty = [event for event in events if not event.trade_count]
    assert len(empty) == HORIZON // MINUTE
    assert empty[0].open_time > START + 29 * HORIZON - 2 * MINUTE
    assert len(stream.closed) <= len(empty)
    (following,) = stream.batch(TimeMark(A_SHARE, START + 30 * HORIZON + MINUTE))
    assert following.close == empty[0].close


def test_runs_stop_where_a_minute_without_trades_is_to_be_closed() -> None:
    stream = carrying(None)
    stream.batch(make_trade(1, at=START, instrument=A_SHARE), TimeMark(A_SHARE, START + MINUTE + GRACE))
    series = stream.series()
    assert series.window().closes_at == START + 2 * MINUTE + GRACE
    assert not series.keepable


def test_window_of_a_candle_that_spans_a_break_is_the_session_of_its_last_trade() -> None:
    stream = a_share_stream("1d")
    series = stream.series()
    for number, (time, begin, end) in enumerate(
        [("10:00", "09:15", "11:31"), ("11:00", "09:15", "11:31"), ("13:10", "12:45", "15:01")], start=1
    ):
        series.apply(at(f"{FRIDAY} {time}", number), number)
        window = series.window()
        assert (window.begin, window.end) == (micros_at(f"{FRIDAY} {begin}"), micros_at(f"{FRIDAY} {end}"))
        assert window.closes_at == micros_at(f"{FRIDAY} 15:01:02")


@pytest.mark.parametrize(("first", "second"), [(None, CALENDAR), (CALENDAR, None)])
@given(st.data())
def test_candles_of_another_calendar_close_and_those_of_the_new_one_begin(
    first: TradingCalendar | None, second: TradingCalendar | None, data: st.DataObject
) -> None:
    carry = data.draw(st.booleans())
    stream = a_share_stream("1m", "1h", "1d", calendar=first, carry=carry)
    stream.batch(at(f"{FRIDAY} 10:40"), mark(f"{FRIDAY} 10:45"))
    stream.calendar = second
    assert stream.series().keepable == (second is None and not carry and first is None)
    assert (stream.series().window().begin < stream.series().window().end) is False
    events = stream.batch(at(f"{FRIDAY} 10:50", 2), at(f"{FRIDAY} 14:50", 3), mark(f"{FRIDAY} 15:30"))
    later = stream.batch(mark(f"{MONDAY} 16:00"))
    assert not stream.state.open
    assert sum(event.trade_count for event in truth(events + later).values() if event.interval == "1m") == 2


def test_interval_that_carries_stands_between_trades_as_a_plain_model_says() -> None:
    trades = [at(f"{FRIDAY} {time}", number, price=number) for number, time in enumerate(("09:30", "09:33", "09:34"), 1)]
    stream = carrying()
    stream.batch(*trades, mark(f"{FRIDAY} 09:37:02"))
    one, two, three = (fold([trade]) for trade in trades)
    assert one is not None
    assert two is not None
    assert three is not None
    expected = [one, carried(one), carried(one), two, three, carried(three), carried(three)]
    assert [stream.closed["1m", open_time].candle for _, open_time in sorted(stream.closed)] == expected


def test_correction_is_above_lost_ones_in_the_second_empty_minute_too() -> None:
    stream = carrying()
    events = stream.batch(at(f"{FRIDAY} 10:00", 1, price=1), mark(f"{FRIDAY} 10:01:30"))
    saved = deepcopy((stream.state, stream.offset))
    lost: list[TradeStreamRecord] = [mark(f"{FRIDAY} 10:03:02"), *(at(f"{FRIDAY} 10:00:1{n}", n, price=n) for n in (2, 3))]
    events += stream.batch(*lost)
    minutes = [micros_at(f"{FRIDAY} 10:0{n}") for n in (1, 2)]
    for minute in minutes:
        del stream.closed["1m", minute]  # of its last writes only the candle 10:00 arrived
    stream.state, stream.offset = saved
    events += stream.batch(*lost, at(f"{FRIDAY} 10:00:14", 4, price=4))
    closes = [truth(events)["1m", minute].close // 10**12 for minute in minutes]
    assert closes == [4, 4]
