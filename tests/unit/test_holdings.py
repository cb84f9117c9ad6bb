"""Values of many rows at once: the compiled code, the plain code and plain integers give the same."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decimals import ONE
from processors.holdings import compiled_arithmetic, plain
from processors.holdings.layout import Holdings, Row, Sum
from processors.holdings.protocol import NEVER, Arithmetic
from tests.builders import START

COLUMNS = 5
ARITHMETICS: dict[str, Arithmetic] = {"plain": plain} | ({"compiled": found} if (found := compiled_arithmetic()) else {})


class Model:
    """Rows and prices in dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[int, Sequence[Row]] = {}
        self.prices: dict[int, tuple[int, int, bool]] = {}

    def sum_of(self, group: int) -> Sum:
        priced = [(units, *self.prices[column]) for column, units in self.rows.get(group, ()) if column in self.prices]
        return Sum(
            sum(units * price for units, price, _, _ in priced),
            len(priced),
            sum(is_stale for _, _, _, is_stale in priced),
            min((time for _, _, time, _ in priced), default=NEVER),
        )


units = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda whole: whole * ONE),
    st.integers(-(2**62), 2**62).map(lambda narrow: narrow * ONE),
    st.integers(-(10**50), 10**50),
)
prices = st.none() | st.integers(1, 2**63) | st.integers(1, 10**38 - 1)
rows = st.lists(st.tuples(st.integers(1, COLUMNS), units), max_size=19)
steps = st.one_of(
    st.tuples(st.just("hold"), st.integers(0, 3), rows),
    st.tuples(st.just("price"), st.integers(1, COLUMNS), st.tuples(prices, st.integers(START, START + 9), st.booleans())),
    st.just(("check", 0, ())),
)


def with_columns(arithmetic: Arithmetic) -> Holdings:
    found = Holdings(arithmetic)
    for number in range(COLUMNS):
        assert found.add_column() == number + 1
    return found


@pytest.mark.parametrize("name", ARITHMETICS)
@settings(max_examples=300)
@given(st.lists(steps, max_size=30))
def test_sums_are_those_of_plain_integers_whatever_was_held_and_priced_before(name: str, found: list[tuple]) -> None:  # type: ignore[type-arg]
    holdings, model = with_columns(ARITHMETICS[name]), Model()
    for group in range(4):
        assert holdings.add_group() == group
    for step, number, argument in [*found, ("check", 0, ())]:
        if step == "hold":
            holdings.hold(number, argument)
            model.rows[number] = argument
        elif step == "price":
            price, time, is_stale = argument
            holdings.set_price(number, price, time, is_stale=is_stale)
            if price is None:
                model.prices.pop(number, None)
            else:
                model.prices[number] = argument
        else:
            holdings.revalue()
            assert [holdings.sum_of(group) for group in range(4)] == [model.sum_of(group) for group in range(4)]
            for column in range(1, COLUMNS + 1):
                holding = [group for group in range(4) if any(one == column for one, _ in model.rows.get(group, ()))]
                assert np.flatnonzero(holdings.groups_with([column])).tolist() == holding


@pytest.mark.parametrize("name", ARITHMETICS)
def test_groups_that_grow_and_shrink_for_long_take_no_more_room_than_they_need(name: str) -> None:
    holdings, model = with_columns(ARITHMETICS[name]), Model()
    holdings.set_price(1, ONE, START)
    model.prices[1] = (ONE, START, False)
    for _ in range(20):
        holdings.add_group()
    for number in range(2_000):
        model.rows[number % 20] = [(1, (number + place) * ONE) for place in range(number * 7 % 90)]
        holdings.hold(number % 20, model.rows[number % 20])
    holdings.revalue()
    assert [holdings.sum_of(group) for group in range(20)] == [model.sum_of(group) for group in range(20)]
    assert holdings.nbytes < 20 * 90 * 12 * 8


@pytest.mark.parametrize("name", ARITHMETICS)
def test_sum_that_does_not_fit_is_exact_nevertheless(name: str) -> None:
    holdings = with_columns(ARITHMETICS[name])
    group, price, units = holdings.add_group(), 10**38 - 1, (2**62 - 1) * ONE
    holdings.set_price(1, price, START)
    holdings.hold(group, [(1, units)] * 3)
    holdings.revalue()
    assert holdings.sum_of(group) == Sum(3 * price * units, 3, 0, START)


def test_group_of_too_many_rows_is_refused() -> None:
    holdings = with_columns(plain)
    with pytest.raises(ValueError, match="2097152 rows"):
        holdings.hold(holdings.add_group(), [(1, ONE)] * 2**21)


def test_nothing_is_told_before_it_was_weighed() -> None:
    with pytest.raises(ValueError, match="weighed"):
        Holdings(plain).sum_of(0)
