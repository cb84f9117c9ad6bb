"""What InfluxDB says about waiting, and how long its files last."""

from __future__ import annotations

import pytest

from sinks.stores._influxdb_session import retry_after, shard_seconds

DAY = 86_400
NOW = 1_445_412_480.0
"""21 Oct 2015 07:28:00 GMT."""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:30 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_time_to_wait_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("retention", "seconds"),
    [(0, 7 * DAY), (3600, 3600), (2 * DAY - 1, 3600), (2 * DAY, DAY), (182 * DAY, DAY), (183 * DAY, 7 * DAY)],
)
def test_files_are_as_long_as_influxdb_itself_would_have_them(retention: int, seconds: int) -> None:
    assert shard_seconds(retention) == seconds
