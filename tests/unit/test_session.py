"""Bars in trading time: where they begin and end, and which trades belong to them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DataValidationError
from market.grid import NOWHERE
from market.interval import DAY, HOUR, MINUTE, parse_interval
from market.session import Auctions, Session, TradingCalendar, TradingDay
from tests.builders import START
from tests.sessions import a_share_calendar, micros_at, text_at

INTERVALS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d")
CALENDAR = a_share_calendar()
FRIDAY = micros_at("2024-08-09 00:00"), micros_at("2024-08-10 00:00")


def hours(interval: str, calendar: TradingCalendar = CALENDAR, times: tuple[int, int] = FRIDAY) -> list[str]:
    bars = calendar.bars(parse_interval(interval))
    return [f"{text_at(bar)[3:]}-{text_at(bars.close_time(bar))[3:]}" for bar in bars.between(*times)]


def day_of(*minutes: int, first: int = START) -> TradingDay:
    """Sessions and breaks by their lengths in turn."""
    time, edges = first, [first]
    for length in minutes:
        time += length * MINUTE
        edges.append(time)
    return TradingDay("2024-08-09", tuple(map(Session, edges[::2], edges[1::2])))


def one_day(*minutes: int) -> TradingCalendar:
    return TradingCalendar("a day", "UTC", [day_of(*minutes)])


def test_hours_of_a_shares_are_counted_from_each_open() -> None:
    assert hours("1h") == ["09:30-10:30", "10:30-11:30", "13:00-14:00", "14:00-15:00"]
    assert hours("2h") == ["09:30-11:30", "13:00-15:00"]


@pytest.mark.parametrize("interval", ["4h", "6h", "1d"])
def test_bar_as_long_as_the_day_spans_the_break(interval: str) -> None:
    assert hours(interval) == ["09:30-15:00"]


def test_bar_longer_than_a_session_goes_on_after_the_break() -> None:
    assert hours("3h") == ["09:30-14:00", "14:00-15:00"]


def test_bar_below_an_hour_is_cut_short_by_a_break_and_never_spans_it() -> None:
    calendar = one_day(20, 60, 40)
    lengths = [
        (bar - START, calendar.bars(parse_interval("30m")).close_time(bar) - bar)
        for bar in calendar.bars(parse_interval("30m")).between(START, START + DAY)
    ]
    assert lengths == [(0, 20 * MINUTE), (80 * MINUTE, 30 * MINUTE), (110 * MINUTE, 10 * MINUTE)]


def test_bar_that_begins_where_a_break_does_opens_after_it() -> None:
    calendar = one_day(60, 60, 180)  # 2h is longer than the first session: one hour of it, and one of the second
    bars = calendar.bars(parse_interval("2h"))
    found = [((bar - START) // MINUTE, (bars.close_time(bar) - START) // MINUTE) for bar in bars.between(START, START + DAY)]
    assert found == [(0, 180), (180, 300)]
    even = one_day(60, 60, 120).bars(parse_interval("1h"))
    assert [(bar - START) // MINUTE for bar in even.between(START, START + DAY)] == [0, 120, 180]


def test_days_without_a_session_have_no_bars() -> None:
    bars = CALENDAR.bars(parse_interval("1d"))
    assert [text_at(bar) for bar in bars.between(micros_at("2024-08-08 00:00"), micros_at("2024-08-20 00:00"))] == [
        "08 09:30",
        "09 09:30",
        "12 09:30",
    ]


@pytest.mark.parametrize(
    ("time", "minute", "hour"),
    [
        ("09:15:00", "09:30", "09:30"),
        ("09:25:00", "09:30", "09:30"),
        ("09:30:00", "09:30", "09:30"),
        ("11:29:59.999999", "11:29", "10:30"),
        ("11:30:00", "11:29", "10:30"),
        ("11:30:59.999999", "11:29", "10:30"),
        ("12:45:00", "13:00", "13:00"),
        ("14:59:59", "14:59", "14:00"),
        ("15:00:03.5", "14:59", "14:00"),
    ],
)
def test_trades_of_auctions_belong_to_the_nearest_bar(time: str, minute: str, hour: str) -> None:
    at = micros_at(f"2024-08-09 {time}")
    assert text_at(CALENDAR.bars(parse_interval("1m")).open_time(at)) == f"09 {minute}"
    assert text_at(CALENDAR.bars(parse_interval("1h")).open_time(at)) == f"09 {hour}"
    assert text_at(CALENDAR.bars(parse_interval("4h")).open_time(at)) == "09 09:30"
    assert CALENDAR.day_at(at) == 1


@pytest.mark.parametrize("time", ["09:14:59.999999", "11:31:00", "12:44:59", "15:01:00", "23:00:00"])
def test_time_outside_of_sessions_and_auctions_belongs_to_no_bar(time: str) -> None:
    at = micros_at(f"2024-08-09 {time}")
    assert CALENDAR.day_at(at) is None
    assert CALENDAR.covers(at)
    for name in INTERVALS:
        with pytest.raises(DataValidationError, match="A-shares") as caught:
            CALENDAR.bars(parse_interval(name)).open_time(at)
        assert caught.value.reason == "off_session"


def test_calendar_says_nothing_of_times_before_its_first_and_after_its_last_session() -> None:
    begin, end = micros_at("2024-08-08 09:15"), micros_at("2024-08-12 15:01")
    assert [CALENDAR.covers(time) for time in (begin - 1, begin, end - 1, end)] == [False, True, True, False]
    assert [CALENDAR.day_at(time) for time in (begin - 1, begin, end - 1, end)] == [None, 0, 2, None]


def test_only_the_last_bar_before_an_auction_waits_for_it() -> None:
    bars = CALENDAR.bars(parse_interval("1m"))
    waits = {text_at(bar): bars.settled_at(bar) - bars.close_time(bar) for bar in bars.between(*FRIDAY)}
    assert {name for name, wait in waits.items() if wait} == {"09 11:29", "09 14:59"}
    assert waits["09 14:59"] == MINUTE


def test_break_within_a_bar_is_none_of_its_time() -> None:
    bars = CALENDAR.bars(parse_interval("1d"))
    (bar,) = bars.between(*FRIDAY)
    assert [(text_at(stretch.begin), text_at(stretch.end)) for stretch in bars.stretches(bar)] == [
        ("09 09:15", "09 11:31"),
        ("09 12:45", "09 15:01"),
    ]
    assert bars.stretch_at(bar, micros_at("2024-08-09 13:30")) == bars.stretches(bar)[1]
    assert bars.stretch_at(bar, micros_at("2024-08-09 12:00")) == NOWHERE
    assert list(bars.between(micros_at("2024-08-09 11:31"), micros_at("2024-08-09 12:45"))) == []


def test_closing_auction_goes_before_the_opening_one_where_they_meet() -> None:
    calendar = TradingCalendar("short break", "UTC", [day_of(60, 10, 60)], Auctions(opening=HOUR, closing=4 * MINUTE))
    first, second = calendar.bars(parse_interval("1h")).between(START, START + DAY)
    bars = calendar.bars(parse_interval("1h"))
    assert bars.settled_at(first) == START + 64 * MINUTE == bars.stretches(second)[0].begin


def test_candle_of_another_configuration_lasts_its_plain_length_and_takes_no_trade() -> None:
    bars, odd = CALENDAR.bars(parse_interval("1h")), micros_at("2024-08-09 10:00")
    assert (bars.close_time(odd), bars.settled_at(odd)) == (odd + HOUR, odd + HOUR)
    assert bars.stretch_at(odd, odd) == NOWHERE


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5).filter(lambda lengths: len(lengths) % 2 == 1),
    st.sampled_from(INTERVALS),
    st.integers(0, 24 * 60 - 1),
)
def test_bars_divide_the_trading_time_of_a_day_and_every_minute_has_one(lengths: list[int], name: str, minute: int) -> None:
    calendar = one_day(*lengths)
    sessions = calendar.days[0].sessions
    bars = calendar.bars(parse_interval(name))
    opens = list(bars.between(START - DAY, START + 2 * DAY))
    minutes = [time for session in sessions for time in range(session.open, session.close, MINUTE)]
    holders = [bars.open_time(time) for time in minutes]
    assert sorted(set(holders)) == opens
    assert holders == sorted(holders)
    for bar in opens:
        held = [time for time, holder in zip(minutes, holders, strict=True) if holder == bar]
        assert (held[0], held[-1] + MINUTE) == (bar, bars.close_time(bar))
        assert len(held) * MINUTE <= parse_interval(name).micros
        assert bars.close_time(bar) <= bars.settled_at(bar)
    at = START + minute * MINUTE
    assert (calendar.day_at(at) is None) == (not any(s.open <= at < s.close + MINUTE for s in sessions))


@given(st.integers(0, 3 * DAY - 1), st.sampled_from(INTERVALS), st.integers(0, DAY))
def test_calendar_that_never_closes_has_the_bars_of_the_utc_day(past: int, name: str, length: int) -> None:
    days = [TradingDay(str(day), (Session(START + day * DAY, START + (day + 1) * DAY),)) for day in range(4)]
    interval, time = parse_interval(name), START + past
    bars = TradingCalendar("24/7", "UTC", days, Auctions(0, MINUTE)).bars(interval)
    bar = bars.open_time(time)
    assert bar == interval.open_time(time)
    assert bars.close_time(bar) == interval.close_time(bar) == bars.settled_at(bar)
    assert list(bars.between(time, time + length)) == list(interval.between(time, time + length))
    assert bars.stretch_at(bar, time) == interval.stretch_at(bar, time)


@pytest.mark.parametrize(
    "days",
    [
        [],
        [TradingDay("2024-08-09", ())],
        [day_of(0)],
        [day_of(60, -30, 60)],
        [day_of(60), day_of(60)],
        [day_of(60, 24 * 60, 60)],
        [day_of(60, first=START + 1)],
    ],
)
def test_calendar_that_cannot_be_is_refused_by_its_name(days: Sequence[TradingDay]) -> None:
    with pytest.raises(DataValidationError, match="odd one") as caught:
        TradingCalendar("odd one", "UTC", days)
    assert caught.value.reason == "bad_calendar"


@given(st.lists(st.integers(-2 * DAY, 6 * DAY), min_size=3, max_size=3))
def test_trading_time_adds_up_and_never_runs_faster_than_the_clock(offsets: list[int]) -> None:
    first, second, third = sorted(FRIDAY[0] + offset for offset in offsets)
    assert CALENDAR.trading_time(first, second) + CALENDAR.trading_time(second, third) == CALENDAR.trading_time(first, third)
    assert 0 <= CALENDAR.trading_time(first, third) <= third - first


def test_trading_time_leaves_out_breaks_and_weekends() -> None:
    assert CALENDAR.trading_time(*FRIDAY) == 4 * HOUR
    assert CALENDAR.trading_time(micros_at("2024-08-09 11:00"), micros_at("2024-08-12 10:00")) == 3 * HOUR


def test_day_begins_with_its_auction_and_lasts_until_the_next() -> None:
    for text in ("2024-08-09 09:15", "2024-08-09 12:00", "2024-08-11 12:00", "2024-08-12 09:14"):
        assert CALENDAR.day_began_at(micros_at(text)) == micros_at("2024-08-09 09:15"), text
    assert CALENDAR.day_began_at(micros_at("2024-08-12 09:15")) == micros_at("2024-08-12 09:15")
