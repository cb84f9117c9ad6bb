"""When a feed that asks has something to ask for, by the trading calendars of Shanghai and Hong Kong."""

from datetime import datetime, timedelta, timezone

import pytest

from ingest.polled import is_open
from processors.calendars import load_calendar

ZONE = timezone(timedelta(hours=8))


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-08-09 09:14:59", False),
        ("2024-08-09 09:15:00", True),  # the opening auction
        ("2024-08-09 11:31:59", True),  # what is told late, and the marks that close candles
        ("2024-08-09 11:32:00", False),
        ("2024-08-09 13:00:00", True),
        ("2024-08-09 15:01:59", True),
        ("2024-08-09 15:02:00", False),
        ("2024-08-10 10:00:00", False),  # a Saturday
        ("2024-10-01 10:00:00", False),  # National Day
        ("2049-08-09 22:00:00", True),  # the calendar has ended: better asked for nothing than not asked
    ],
)
def test_shanghai_is_asked_in_its_sessions(time: str, expected: bool) -> None:
    assert is_open(load_calendar("XSHG"), micros(time)) is expected


def test_hong_kong_is_asked_when_shanghai_has_closed() -> None:
    at = micros("2024-08-09 15:30:00")
    assert is_open(load_calendar("XHKG"), at)
    assert not is_open(load_calendar("XSHG"), at)


def test_what_has_no_calendar_never_closes() -> None:
    assert is_open(None, micros("2024-08-10 03:00:00"))
