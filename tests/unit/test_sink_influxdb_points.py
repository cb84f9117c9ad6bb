"""Points are kept apart, find their places again, and give way to higher versions alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.feed_status import FeedState, FeedStatus
from sinks.stores._influxdb_lines import Row, row_of
from sinks.stores._influxdb_points import SLOTS, Full, Slots, Versions


def tick(sequence: int, identity: object = None, *, time: int = 1, series: str = "trades,instrument=a") -> Row:
    return Row("trades", series, time, "price=1.0", sequence, sequence if identity is None else identity)


def candle(*version: int, time: int = 1) -> Row:
    return Row("candles", "candles,instrument=a", time, f"revision={version[0]}i", version=version)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**19)), max_size=200, unique=True), st.data())
def test_no_two_records_share_a_point_and_each_finds_its_own_again(given_: list[tuple[int, int]], data: st.DataObject) -> None:
    rows = [tick(sequence * data.draw(st.sampled_from([1, 1000])), sequence, time=time) for time, sequence in given_]
    slots = Slots()
    first = [slots.take(row) for row in rows]
    assert all(0 <= slot < SLOTS for slot in first)
    assert len({(row.time, slot) for row, slot in zip(rows, first, strict=True)}) == len(rows)
    again = data.draw(st.permutations(list(range(len(rows)))))
    assert [slots.take(rows[index]) for index in again] == [first[index] for index in again]
    assert [Slots().take(row) for row in rows[:1]] == first[:1]
    fresh = Slots()
    assert [fresh.take(row) for row in rows] == first


def test_record_takes_the_last_digits_of_its_sequence() -> None:
    assert Slots().take(tick(123_456_789)) == 789


def test_states_of_one_microsecond_keep_apart_on_both_sides_of_a_restart() -> None:
    one = FeedStatus("binance", "trade", "binance:BTC-USDT", FeedState.DOWN, "no data", 1)
    rows = [row_of(one), row_of(one._replace(state=FeedState.LIVE, reason="data is coming in"))]
    assert len({Slots().take(row) for row in rows if row is not None}) == 2


def test_full_microsecond_is_told() -> None:
    slots = Slots()
    assert sorted(slots.take(tick(0, number)) for number in range(SLOTS)) == list(range(SLOTS))
    with pytest.raises(Full, match="trades,instrument=a has 1000 points in the microsecond 1 already"):
        slots.take(tick(0, SLOTS))
    assert slots.take(tick(0, SLOTS, time=2)) == 0
    assert slots.take(tick(0, SLOTS, series="trades,instrument=b")) == 0


def test_late_records_do_not_lose_each_other() -> None:
    slots = Slots(memory=2)
    for time in (5, 6, 7, 8):
        slots.take(tick(0, time=time))
    assert slots.take(tick(0, "a", time=1)) != slots.take(tick(0, "b", time=1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=40), st.data())
def test_highest_version_is_what_stays_however_it_comes(given_: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """A model of InfluxDB, where the last one written stays, and of a worker that forgets at any time and asks again."""
    rows = [candle(revision, offset, time=time) for time, revision, offset in given_]
    stored: dict[int, tuple[int, ...]] = {}
    versions = Versions()
    while rows:
        size = data.draw(st.integers(1, len(rows)))
        batch, rows = rows[:size], rows[size:]
        if data.draw(st.booleans()):
            versions.forget()
        for series, time in versions.unknown(batch):
            versions.note((series, time), stored.get(time, ()))
        for row in versions.newest(batch):
            assert row.version is not None
            stored[row.time] = row.version
            versions.note((row.series, row.time), row.version)
    highest: dict[int, tuple[int, ...]] = {}
    for time, *version in given_:
        highest[time] = max(highest.get(time, ()), tuple(version))
    assert stored == highest


def test_last_of_equal_versions_stays() -> None:
    versions = Versions()
    first, last = candle(1, 5), candle(1, 5)._replace(fields="revision=1i,close=2.0")
    assert versions.newest([first, last]) == [last]
    versions.note((last.series, last.time), (1, 5))
    assert versions.newest([first]) == [first]
    assert versions.newest([candle(0, 9)]) == []


def test_only_so_many_versions_are_remembered() -> None:
    versions = Versions(memory=2)
    for time in range(4):
        versions.note(("candles,instrument=a", time), (1, 1))
    versions.shrink()
    assert versions.unknown([candle(1, 1, time=time) for time in range(4)]) == {
        ("candles,instrument=a", 0),
        ("candles,instrument=a", 1),
    }
