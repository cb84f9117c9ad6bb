"""Which price values a position, when it is stale, and what the day is measured from."""

from typing import Any

import pytest

from market.decimals import ONE
from market.interval import DAY, HOUR, MINUTE, QUARTER_HOUR
from market.portfolio import PriceChoice, PriceOverride
from market.price import PricePoint, PriceRecord
from market.price_choice import OVERRIDE, ChosenPrice, Freshness, choose_price, reference_price
from tests.builders import START
from tests.price_parts import SOURCE, make_price
from tests.sessions import a_share_calendar, micros_at

SECOND = 1_000_000
ALL = tuple(PriceChoice)
CALENDAR = a_share_calendar()
FRESH = Freshness(START, MINUTE)


def point(price: int, *, at: int = START) -> PricePoint:
    return PricePoint(price * ONE, None, SOURCE._replace(exchange_time=at, received_at=at))


def record(**points: PricePoint | None) -> PriceRecord:
    given: dict[str, Any] = {**dict.fromkeys(("bid", "ask", "last", "mark_price", "close", "previous_close")), **points}
    return make_price()._replace(**given)


def choose(found: PriceRecord | None, *choices: PriceChoice, is_long: bool = True, now: int = START) -> ChosenPrice | None:
    return choose_price(found, choices or ALL, Freshness(now, MINUTE), is_long=is_long)


@pytest.mark.parametrize(
    ("choice", "is_long", "price"),
    [
        (PriceChoice.MARK, True, 7),
        (PriceChoice.MID, True, 3),
        (PriceChoice.SIDE, True, 2),
        (PriceChoice.SIDE, False, 4),
        (PriceChoice.LAST, False, 5),
        (PriceChoice.CLOSE, True, 6),
    ],
)
def test_price_is_the_one_chosen(choice: PriceChoice, is_long: bool, price: int) -> None:
    found = record(bid=point(2), ask=point(4), last=point(5), close=point(6), mark_price=point(7))
    assert choose(found, choice, is_long=is_long) == ChosenPrice(price * ONE, choice.value, SOURCE.channel, START)


def test_next_choice_is_taken_where_one_is_missing() -> None:
    assert choose(record(bid=point(2), last=point(5)), PriceChoice.MID, PriceChoice.LAST) == ChosenPrice(
        5 * ONE, "LAST", SOURCE.channel, START
    )


def test_nothing_is_chosen_where_nothing_is_there() -> None:
    assert choose(None) is None
    assert choose(record()) is None
    assert choose(record(last=point(5)), PriceChoice.CLOSE) is None


def test_fresh_price_goes_before_a_stale_one_of_higher_choice() -> None:
    found = record(bid=point(2), ask=point(4), last=point(5, at=START + MINUTE))
    chosen = choose(found, PriceChoice.MID, PriceChoice.LAST, now=START + MINUTE + 1)
    assert chosen is not None
    assert (chosen.choice, chosen.is_stale) == ("LAST", False)


def test_first_choice_is_taken_where_all_are_stale_and_says_so() -> None:
    found = record(bid=point(2), ask=point(4), last=point(5, at=START + 1))
    chosen = choose(found, PriceChoice.MID, PriceChoice.LAST, now=START + HOUR)
    assert chosen is not None
    assert (chosen.choice, chosen.is_stale) == ("MID", True)


def test_time_of_a_venue_whose_clock_runs_ahead_is_that_of_receipt() -> None:
    ahead = point(5)._replace(source=SOURCE._replace(exchange_time=START + SECOND, received_at=START))
    chosen = choose(record(last=ahead), PriceChoice.LAST)
    assert chosen is not None
    assert chosen.time == START


def test_override_goes_before_all_until_it_expires() -> None:
    override = PriceOverride("binance:BTC-USDT", 42 * ONE, "ann", "risk", "bad feed", START, START + HOUR)
    found = record(last=point(5, at=START + HOUR))
    expected = ChosenPrice(42 * ONE, OVERRIDE, "ann", START)
    before = Freshness(START + HOUR - 1, MINUTE)
    assert choose_price(found, ALL, before, is_long=True, override=override) == expected
    assert choose_price(None, ALL, before, is_long=True, override=override) == expected
    after = choose_price(found, ALL, Freshness(START + HOUR, MINUTE), is_long=True, override=override)
    assert after is not None
    assert after.price == 5 * ONE


@pytest.mark.parametrize(("age", "is_stale"), [(0, False), (MINUTE, False), (MINUTE + 1, True), (-SECOND, False)])
def test_price_is_stale_beyond_its_age_where_the_market_never_closes(age: int, is_stale: bool) -> None:
    assert Freshness(START, MINUTE).is_stale(START - age) is is_stale


@pytest.mark.parametrize(
    ("priced", "now", "is_stale"),
    [
        ("2024-08-09 15:00", "2024-08-11 12:00", False),  # Friday's close on Sunday
        ("2024-08-09 15:00", "2024-08-12 09:30", False),
        ("2024-08-09 15:00", "2024-08-12 09:31", False),
        ("2024-08-09 15:00", "2024-08-12 09:32", True),  # two minutes into Monday
        ("2024-08-09 14:58", "2024-08-11 12:00", True),  # it missed the last two minutes
        ("2024-08-09 11:30", "2024-08-09 13:00", False),  # the midday break
        ("2024-08-09 11:00", "2024-08-09 11:02", True),
    ],
)
def test_age_is_counted_while_the_market_is_open(priced: str, now: str, is_stale: bool) -> None:
    assert Freshness(micros_at(now), MINUTE, CALENDAR).is_stale(micros_at(priced)) is is_stale


def test_calendar_that_has_ended_does_not_keep_a_price_fresh() -> None:
    close = micros_at("2024-08-12 15:00")
    assert Freshness(close + HOUR, MINUTE, CALENDAR).is_stale(close)


def test_day_is_measured_from_the_previous_close_since_the_trading_day_began() -> None:
    close = point(9, at=micros_at("2024-08-09 09:15"))
    found = reference_price(record(previous_close=close), micros_at("2024-08-11 12:00"), CALENDAR)
    assert found is not None
    assert (found.price, found.kind) == (9 * ONE, "previous_close")
    assert found.began_at == micros_at("2024-08-09 09:15")  # on Sunday still Friday's, with its auction


def test_day_of_a_market_that_never_closes_is_that_of_utc() -> None:
    found = reference_price(record(previous_close=point(9)), START + 5 * HOUR)
    assert found is not None
    assert found.began_at == START


def test_day_is_measured_from_24_hours_ago_where_there_is_no_close() -> None:
    found = reference_price(make_price()._replace(previous_close=None), START)
    assert found is not None
    assert (found.price, found.kind, found.began_at) == (90 * ONE, "open_24h", START - DAY - QUARTER_HOUR)


@pytest.mark.parametrize("told", ["2024-08-08 15:00", "2024-08-09 09:14"])
def test_close_that_was_told_before_the_day_began_is_that_of_an_earlier_session(told: str) -> None:
    found = record(previous_close=point(9, at=micros_at(told)))._replace(open_24h=None)
    assert reference_price(found, micros_at("2024-08-11 12:00"), CALENDAR) is None


def test_close_that_was_told_yesterday_gives_way_to_the_price_of_24_hours_ago() -> None:
    found = reference_price(make_price()._replace(previous_close=point(9, at=START - 1)), START)
    assert found is not None
    assert found.kind == "open_24h"


@pytest.mark.parametrize(("age", "is_known"), [(HOUR, True), (HOUR + 1, False), (3 * DAY, False)])
def test_figures_of_24_hours_that_are_too_old_are_no_reference(age: int, is_known: bool) -> None:
    silent = make_price()._replace(previous_close=None)
    assert (reference_price(silent, SOURCE.known_at + age) is not None) is is_known


def test_without_either_there_is_no_reference() -> None:
    assert reference_price(record()._replace(open_24h=None), START) is None
