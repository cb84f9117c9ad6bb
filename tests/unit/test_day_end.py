"""When the days of portfolios end, by the clocks of their zones."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.day_end import check_zone, day_end_after
from market.errors import DataValidationError
from market.interval import DAY, HOUR
from market.portfolio import Policy

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe")


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def local(micros: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(micros // 1_000_000, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("zone", "ends", "time", "end"),
    [
        ("UTC", 0, "2026-03-28 23:59", "2026-03-29 00:00"),
        ("UTC", 7 * HOUR, "2026-03-28 07:00", "2026-03-29 07:00"),
        ("Europe/Berlin", 0, "2026-03-29 00:00", "2026-03-30 00:00"),  # 23 hours
        ("Europe/Berlin", 0, "2026-10-25 00:00", "2026-10-26 00:00"),  # 25 hours
        ("America/New_York", 17 * HOUR, "2026-07-01 17:00", "2026-07-02 17:00"),
        ("America/New_York", 17 * HOUR, "2026-07-01 16:59", "2026-07-01 17:00"),
        ("Europe/Berlin", 5 * HOUR // 2, "2026-03-28 12:00", "2026-03-29 03:30"),  # half past two is passed over
        ("Europe/Berlin", 5 * HOUR // 2, "2026-03-29 12:00", "2026-03-30 02:30"),
        ("Asia/Shanghai", 0, "2026-01-01 12:00", "2026-01-02 00:00"),
    ],
)
def test_day_ends_by_the_clocks_of_its_zone(zone: str, ends: int, time: str, end: str) -> None:
    assert local(day_end_after(at(time, zone), ends, zone), zone) == end


def test_of_a_time_that_comes_twice_the_first_ends_the_day() -> None:
    end = day_end_after(at("2026-10-24 12:00"), 5 * HOUR // 2, "Europe/Berlin")
    assert end == at("2026-10-25 00:30")  # summer time
    assert day_end_after(end, 5 * HOUR // 2, "Europe/Berlin") == at("2026-10-26 01:30")


@given(st.integers(at("2000-01-01"), at("2099-12-31")), st.integers(0, DAY - 1), st.sampled_from(ZONES))
def test_every_time_lies_in_one_day(time: int, ends: int, zone: str) -> None:
    end = day_end_after(time, ends, zone)
    assert time < end <= time + DAY + HOUR
    assert day_end_after(end - 1, ends, zone) == end
    assert DAY - HOUR <= day_end_after(end, ends, zone) - end <= DAY + HOUR
    assert Policy(day_ends=ends, day_zone=zone).day_end_after(time) == end


@given(st.integers(at("2000-01-01"), at("2099-12-31")), st.integers(0, DAY - 1))
def test_days_of_utc_are_those_of_a_zone_without_an_offset(time: int, ends: int) -> None:
    assert day_end_after(time, ends, "UTC") == day_end_after(time, ends, "Etc/UTC")


@pytest.mark.parametrize(
    "zone", ["", "Berlin", "europe/berlin", "../../etc/passwd", "localtime", "right/UTC", "Europe", "x" * 999]
)
def test_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_zone(zone, field="policy.day_zone")
    assert caught.value.field == "policy.day_zone"


@pytest.mark.parametrize("zone", ZONES)
def test_zone_that_there_is_passes(zone: str) -> None:
    assert check_zone(zone, field="policy.day_zone") == zone
