"""Trades out of snapshots with the day's volume: sizes add up, days begin anew, corrections are said."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, ONE, parse_decimal
from market.errors import DataValidationError
from market.snapshot_trades import DayTotal, Outcome, Snapshot, SnapshotTrades, Step
from market.trade import Trade, check_trade
from tests.ingest_parts import ALL_DATA
from tests.venue_data import NO_WHOLE

SHANGHAI = timezone(timedelta(hours=8))
OFFSET = 8 * 3_600_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND
OPENING = 1_785_980_100_000_000
"""2026-08-06 09:35 in Shanghai."""
TODAY = (OPENING + OFFSET) // DAY
CN = ALL_DATA / "cn"


def snapshot(volume: int, *, price: int = 10, at: int = OPENING, amount: int | None = None) -> Snapshot:
    money = volume * price if amount is None else amount
    return Snapshot(price * ONE, volume * ONE, money * ONE * ONE, at, at + SECOND)


def series(total: DayTotal | None = None) -> SnapshotTrades:
    return SnapshotTrades("sse:600519", OFFSET, total)


def trades_of(snapshots: Sequence[Snapshot], made: SnapshotTrades) -> list[Trade]:
    steps = [made.apply(one) for one in snapshots]
    return [step.trade for step in steps if step.trade is not None]


@st.composite
def days(draw: st.DrawFn) -> list[list[Snapshot]]:
    """Snapshots of a few days, in each of which the volume never falls."""
    found = []
    for day in range(draw(st.integers(1, 4))):
        rises = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=12))
        volume, amount, one_day = 0, 0, []
        for number, rise in enumerate(rises):
            price = draw(st.integers(1, 2000))
            volume, amount = volume + rise, amount + rise * price
            one_day.append(snapshot(volume, price=price, amount=amount, at=OPENING + day * DAY + number * 3 * SECOND))
        found.append(one_day)
    return found


@given(days())
def test_sizes_of_a_day_add_up_to_its_volume_and_amounts_to_its_amount(found: list[list[Snapshot]]) -> None:
    made = series(DayTotal(TODAY - 1))
    for one_day in found:
        steps = [made.apply(one) for one in one_day]
        assert sum(step.trade.size for step in steps if step.trade is not None) == one_day[-1].volume
        assert sum(step.amount or 0 for step in steps) == one_day[-1].amount
        for step in steps:
            assert (step.outcome is Outcome.TRADED) == (step.trade is not None)
            if step.trade is not None:
                check_trade(step.trade)


@given(days(), st.data())
def test_missed_snapshots_change_no_total(found: list[list[Snapshot]], data: st.DataObject) -> None:
    for one_day in found:
        seen = [one for one in one_day[:-1] if data.draw(st.booleans())] + one_day[-1:]
        whole = trades_of(one_day, series(DayTotal(TODAY - 1)))
        fewer = trades_of(seen, series(DayTotal(TODAY - 1)))
        assert sum(trade.size for trade in fewer) == sum(trade.size for trade in whole)
        assert {trade.trade_id for trade in fewer} <= {trade.trade_id for trade in whole}


@given(days())
def test_the_same_snapshots_give_the_same_trades_with_ids_of_their_own(found: list[list[Snapshot]]) -> None:
    snapshots = [one for one_day in found for one in one_day]
    trades = trades_of(snapshots, series(DayTotal(TODAY - 1)))
    twice = trades_of([one for one in snapshots for _ in range(2)], series(DayTotal(TODAY - 1)))
    assert trades == twice
    assert len({trade.trade_id for trade in trades}) == len(trades)
    assert sorted(trades, key=lambda trade: (trade.event_time, trade.sequence)) == trades


@given(days())
def test_series_goes_on_from_what_was_kept(found: list[list[Snapshot]]) -> None:
    snapshots = [one for one_day in found for one in one_day]
    whole, cut, kept = trades_of(snapshots, series()), list[Trade](), None
    for one in snapshots:
        made = series(kept)
        cut += trades_of([one], made)
        kept = made.total
    assert cut == whole


def test_trade_has_the_last_price_and_the_time_of_the_later_snapshot() -> None:
    made = series(DayTotal(TODAY))
    made.apply(snapshot(100, price=10))
    step = made.apply(snapshot(250, price=11, amount=2600, at=OPENING + SECOND))
    assert step.amount == 1600 * ONE * ONE
    assert step.trade == Trade(
        "sse:600519",
        f"{TODAY}:250",
        250,
        11 * ONE,
        150 * ONE,
        None,
        OPENING + SECOND,
        OPENING + 2 * SECOND,
        f"{TODAY}:250",
        f"{TODAY}:250",
    )


def test_first_snapshot_of_a_feed_gives_no_trade() -> None:
    made = series()
    assert made.apply(snapshot(100)) == Step(Outcome.FIRST)
    assert made.apply(snapshot(100)) == Step(Outcome.UNCHANGED)


def test_new_day_begins_at_zero() -> None:
    made = series()
    made.apply(snapshot(100))
    trade = made.apply(snapshot(30, at=OPENING + DAY)).trade
    assert trade is not None
    assert (trade.size, trade.trade_id) == (30 * ONE, f"{TODAY + 1}:30")


def test_day_that_the_caller_names_is_taken() -> None:
    made = series()
    made.apply(snapshot(100), day=20260806)
    trade = made.apply(snapshot(120, at=OPENING + DAY), day=20260806).trade  # a night session
    assert trade is not None
    assert (trade.size, trade.trade_id) == (20 * ONE, "20260806:120")


def test_day_changes_at_midnight_of_the_venue() -> None:
    midnight = TODAY * DAY - OFFSET
    made = series()
    made.apply(snapshot(100, at=midnight - 1))
    assert made.total is not None
    assert made.total.day == TODAY - 1
    made.apply(snapshot(0, price=0, at=midnight))
    assert made.total == DayTotal(TODAY, 0, 0, midnight)


def test_volume_that_falls_within_a_day_is_an_error_and_tells_nothing_twice() -> None:
    made = series(DayTotal(TODAY))
    made.apply(snapshot(100))
    with pytest.raises(DataValidationError, match="volume: 90 is below the 100") as caught:
        made.apply(snapshot(90, at=OPENING + SECOND))
    assert (caught.value.reason, caught.value.field) == ("volume_fell", "volume")
    trade = made.apply(snapshot(110, at=OPENING + 2 * SECOND)).trade
    assert trade is not None
    assert trade.size == 10 * ONE


def test_amount_that_falls_within_a_day_is_an_error() -> None:
    made = series(DayTotal(TODAY))
    made.apply(snapshot(100, amount=1000))
    with pytest.raises(DataValidationError) as caught:
        made.apply(snapshot(110, amount=999, at=OPENING + SECOND))
    assert caught.value.reason == "amount_fell"


def test_amount_that_is_not_told_is_not_made_up() -> None:
    made = series(DayTotal(TODAY))
    step = made.apply(snapshot(100)._replace(amount=None))
    assert (step.outcome, step.amount) == (Outcome.TRADED, None)
    assert made.apply(snapshot(110)).amount is None


@pytest.mark.parametrize("older", [snapshot(90, at=OPENING - SECOND), snapshot(500, at=OPENING - DAY)])
def test_snapshot_made_before_the_last_one_is_old(older: Snapshot) -> None:
    made = series(DayTotal(TODAY))
    made.apply(snapshot(100))
    assert made.apply(older) == Step(Outcome.OLD)
    assert made.total == DayTotal(TODAY, 100 * ONE, 1000 * ONE * ONE, OPENING)


def test_snapshot_whose_day_nobody_knows_is_an_error() -> None:
    with pytest.raises(DataValidationError) as caught:
        series().apply(snapshot(100)._replace(exchange_time=None))
    assert (caught.value.reason, caught.value.field) == ("missing_field", "exchange_time")


def test_volume_without_a_price_is_an_error() -> None:
    with pytest.raises(DataValidationError) as caught:
        series(DayTotal(TODAY)).apply(snapshot(100, price=0, amount=1))
    assert (caught.value.reason, caught.value.field) == ("not_positive", "price")


def micros(text: str, layout: str) -> int:
    return int(datetime.strptime(text, layout).replace(tzinfo=SHANGHAI).timestamp()) * SECOND


def told(path: Path, price: str, volume: str, amount: str, at: int) -> Snapshot:
    money = parse_decimal(amount, field="amount", scale=AMOUNT_SCALE, precision=AMOUNT_PRECISION)
    return Snapshot(parse_decimal(price, field=path.name), parse_decimal(volume, field=path.name), money, at, at + SECOND)


def sina(name: str) -> list[Snapshot]:
    """Price, volume in shares and amount in CNY of each line that says something."""
    path, found = CN / "sina" / name, []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.partition('"')[2].rpartition('"')[0].split(",")
        if len(fields) > 31:
            found.append(told(path, fields[3], fields[8], fields[9], micros(" ".join(fields[30:32]), "%Y-%m-%d %H:%M:%S")))
    return found


def tencent(name: str) -> Snapshot:
    """Field 35 has price, volume in hands of 100 and amount in CNY."""
    path = CN / "tencent" / name
    fields = path.read_text(encoding="utf-8").split("~")
    price, hands, amount = fields[35].split("/")
    return told(path, price, f"{hands}00", amount, micros(fields[30], "%Y%m%d%H%M%S"))


@pytest.mark.skipif(not CN.is_dir(), reason=NO_WHOLE)
def test_recorded_answers_of_sina_and_tencent_become_their_days_volume() -> None:
    (fund,) = sina("hq_sz162411_20190312.txt")
    for one, shares, price in (
        (fund, 133_819_867, "0.491"),
        (tencent("qt_sh600519_20260806_104333.txt"), 1_113_100, "1301.50"),
        (tencent("qt_sh510300_20260807_161452.txt"), 943_535_600, "4.751"),
    ):
        assert one.exchange_time is not None
        day = (one.exchange_time + OFFSET) // DAY
        step = series(DayTotal(day)).apply(one)
        assert step.trade is not None
        assert (step.trade.size, step.trade.price) == (shares * ONE, parse_decimal(price, field="price"))
        assert step.trade.trade_id == f"{day}:{shares}"
        assert step.amount == one.amount
        assert check_trade(step.trade)
        assert series(DayTotal(day - 1, shares * 2 * ONE)).apply(one) == step  # whatever the day before had


@pytest.mark.skipif(not CN.is_dir(), reason=NO_WHOLE)
def test_recorded_answers_before_the_first_trade_of_a_day_give_none() -> None:
    answers = sina("hq_three_one_empty_20190408.txt")
    assert [(one.price, one.volume) for one in answers] == [(0, 0), (0, 0)]
    assert [series(DayTotal(0, 5 * ONE)).apply(one).outcome for one in answers] == [Outcome.UNCHANGED] * 2
