from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.stores._postgres_retention import expired, partitions_of

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


def test_partitions_are_read_from_their_names_and_others_left_alone() -> None:
    found = partitions_of(["price_changes_2023_12", "trades_2024_08", "trades_old", "notes"])
    assert found == [
        ("price_changes", date(2024, 1, 1), "price_changes_2023_12"),
        ("trades", date(2024, 9, 1), "trades_2024_08"),
    ]


@pytest.mark.parametrize(("today", "dropped"), [(date(2024, 3, 1), False), (date(2024, 3, 2), True)])
def test_a_month_goes_when_its_last_day_is_no_longer_kept(today: date, dropped: bool) -> None:
    january = partitions_of(["trades_2024_01"])
    assert expired(january, {"trades": 30}, today) == (["trades_2024_01"] if dropped else [])


@given(DAYS, DAYS, st.integers(1, 4000))
def test_no_day_that_is_to_be_kept_is_ever_dropped(day: date, today: date, days: int) -> None:
    names = expired(partitions_of([f"trades_{day:%Y_%m}"]), {"trades": days}, today)
    last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    assert bool(names) == (today - last > timedelta(days=days))


def test_tables_without_a_setting_are_kept_for_ever() -> None:
    assert expired(partitions_of(["candles_2001_01"]), {"trades": 1}, date(2024, 3, 1)) == []
