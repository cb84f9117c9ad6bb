"""The calendars of real venues, on days that are not like the others."""

import subprocess
import sys

import pytest

from market.interval import parse_interval
from market.session import TradingCalendar
from processors.calendars import Calendars, load_calendar
from runtime.errors import ConfigurationError
from tests.sessions import micros_at

HONG_KONG, NEW_YORK = "Asia/Hong_Kong", "America/New_York"


def sessions(calendar: TradingCalendar, date: str) -> list[tuple[int, int]]:
    return [(session.open, session.close) for day in calendar.days if day.date == date for session in day.sessions]


def hours(date: str, zone: str, *edges: str) -> list[tuple[int, int]]:
    times = [micros_at(f"{date} {edge}", zone) for edge in edges]
    return list(zip(times[::2], times[1::2], strict=True))


def test_shanghai_has_a_break_for_lunch() -> None:
    calendar = load_calendar("XSHG")
    assert (calendar.name, calendar.zone) == ("XSHG", "Asia/Shanghai")
    assert sessions(calendar, "2024-08-09") == hours("2024-08-09", "Asia/Shanghai", "09:30", "11:30", "13:00", "15:00")


def test_shanghai_is_closed_in_the_week_of_the_national_day() -> None:
    dates = [day.date for day in load_calendar("XSHG").days if "2024-09-28" <= day.date <= "2024-10-12"]
    assert dates == ["2024-09-30", "2024-10-08", "2024-10-09", "2024-10-10", "2024-10-11"]


def test_hong_kong_closes_at_noon_on_the_day_before_christmas() -> None:
    calendar = load_calendar("XHKG")
    assert sessions(calendar, "2024-12-23") == hours("2024-12-23", HONG_KONG, "09:30", "12:00", "13:00", "16:00")
    assert sessions(calendar, "2024-12-24") == hours("2024-12-24", HONG_KONG, "09:30", "12:00")
    assert sessions(calendar, "2024-12-25") == []
    bars = calendar.bars(parse_interval("1d"))
    closes = bars.settled_at(micros_at("2024-12-24 09:30", HONG_KONG))
    assert closes == micros_at("2024-12-24 12:10", HONG_KONG)
    assert calendar.day_at(micros_at("2024-12-24 13:30", HONG_KONG)) is None


@pytest.mark.parametrize(
    ("date", "utc"),
    [("2024-03-08", "14:30"), ("2024-03-11", "13:30"), ("2024-11-01", "13:30"), ("2024-11-04", "14:30")],
)
def test_new_york_opens_by_its_own_clock_before_and_after_daylight_saving(date: str, utc: str) -> None:
    calendar = load_calendar("NYSE")
    open_time = micros_at(f"{date} {utc}", "UTC")
    assert sessions(calendar, date) == hours(date, NEW_YORK, "09:30", "16:00") == [(open_time, open_time + 390 * 60_000_000)]
    bars = calendar.bars(parse_interval("4h"))
    assert [(bar - open_time) // 60_000_000 for bar in bars.between(open_time, micros_at(f"{date} 23:59", NEW_YORK))] == [
        0,
        240,
    ]


def test_calendar_ends_with_what_is_known_and_does_not_depend_on_the_day() -> None:
    known = load_calendar("XSHG").days
    assert known[0].date == "2000-01-04"
    assert known[-1].date >= "2026-12-31"
    assert load_calendar("XNYS").days[-1].date == "2049-12-31"
    assert not load_calendar("XSHG").covers(micros_at("1999-12-31 10:00"))


def test_venues_find_their_calendars_and_all_others_never_close() -> None:
    calendars = Calendars({"nasdaq": "XNAS", "hkex": "24/7"})
    names = {
        name: calendar and calendar.name
        for name in ("sse:600519", "szse:000001", "bse:430047", "nasdaq:AAPL", "hkex:700")
        for calendar in [calendars.of(name)]
    }
    assert names == {
        "sse:600519": "XSHG",
        "szse:000001": "XSHG",
        "bse:430047": "XSHG",
        "nasdaq:AAPL": "XNYS",
        "hkex:700": "24/7",
    }
    assert calendars.of("binance:BTC-USDT") is None


def test_unknown_calendar_is_refused_by_its_name_before_anything_is_read() -> None:
    with pytest.raises(ConfigurationError, match=r"processors\.calendars\.sse: .*XSGH.*did you mean XSHG") as caught:
        Calendars({"sse": "XSGH"})
    assert caught.value.exit_code == 2


def test_worker_of_venues_that_never_close_does_not_load_the_library() -> None:
    program = """
import sys
from processors.calendars import Calendars
assert Calendars({}).of("binance:BTC-USDT") is None
assert not {"pandas", "numpy", "exchange_calendars"} & set(sys.modules)
Calendars({}).of("sse:600519")
assert "pandas" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
