"""Positions against a model of fractions: what was paid, what is open, what was earned."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.position import Accounting, Lot, Position, Settlement, account_by, amount_of, hold, split, trade

AMOUNT = 10**24
BOTH = pytest.mark.parametrize("accounting", Accounting)


class Fill(NamedTuple):
    quantity: int
    price: int


def flat(multiplier: int = ONE) -> Position:
    return Position(
        "p", "binance:BTC-USDT", "USDT", multiplier, Settlement.CASH, 0, 0, (), 0, 0, 0, 0, opened_at=0, updated_at=0, version=0
    )


def filled(fills: Sequence[Fill], accounting: Accounting, multiplier: int = ONE) -> Position:
    position = flat(multiplier)
    for at, fill in enumerate(fills, start=1):
        position, _ = trade(position, fill.quantity, fill.price, accounting, at)
    return position


def of(quantity: int, price: int) -> Fill:
    return Fill(quantity * ONE, price * ONE)


def signed() -> st.SearchStrategy[int]:
    return st.one_of(st.integers(-50, 50).map(lambda n: n * ONE), st.integers(-(10**14), 10**14)).filter(bool)


fills = st.lists(st.builds(Fill, signed(), st.integers(1, 10**17)), max_size=25)
multipliers = st.sampled_from([ONE, ONE // 100, 300 * ONE, 7])


class Model:
    """A position in fractions, with the one rounding there is: of relieved cost, at scale 18."""

    def __init__(self, accounting: Accounting, multiplier: int) -> None:
        self.accounting = accounting
        self.multiplier = Fraction(multiplier, ONE)
        self.lots: list[list[Fraction]] = []  # quantity and cost; one at most by average
        self.realised = self.paid = Fraction(0)

    def fill(self, quantity: Fraction, price: Fraction) -> None:
        amount = quantity * price * self.multiplier
        self.paid += rounded(amount, 24)
        left = quantity
        while left and self.lots and self.lots[0][0] * left < 0:
            lot = self.lots[0]
            part = min(abs(lot[0]), abs(left)) * (1 if lot[0] > 0 else -1)
            relieved = lot[1] if part == lot[0] else rounded(lot[1] * part / lot[0], 18)
            lot[0] -= part
            lot[1] -= relieved
            self.realised += part * price * self.multiplier - relieved
            left += part
            if not lot[0]:
                self.lots.pop(0)
        if left:
            self.lots.append([left, left * price * self.multiplier])
            if self.accounting is Accounting.AVERAGE:
                self.lots = [[sum((lot[0] for lot in self.lots), Fraction()), sum((lot[1] for lot in self.lots), Fraction())]]

    @property
    def quantity(self) -> Fraction:
        return sum((lot[0] for lot in self.lots), Fraction())

    @property
    def cost(self) -> Fraction:
        return sum((lot[1] for lot in self.lots), Fraction())


def rounded(value: Fraction, places: int) -> Fraction:
    """Half to even, as Python's own `round` does with fractions."""
    return Fraction(round(value * 10**places), 10**places)


@BOTH
@given(fills=fills)
def test_quantity_cost_and_realised_profit_equal_the_model_in_fractions(accounting: Accounting, fills: list[Fill]) -> None:
    position, model = flat(), Model(accounting, ONE)
    for at, fill in enumerate(fills, start=1):
        position, _ = trade(position, fill.quantity, fill.price, accounting, at)
        model.fill(Fraction(fill.quantity, ONE), Fraction(fill.price, ONE))
        assert (Fraction(position.quantity, ONE), Fraction(position.cost, AMOUNT)) == (model.quantity, model.cost)
        assert Fraction(position.realised_pnl, AMOUNT) == model.realised
        assert [(Fraction(lot.quantity, ONE), Fraction(lot.cost, AMOUNT)) for lot in position.lots] == [
            tuple(lot) for lot in (model.lots if accounting is Accounting.FIFO else ())
        ]


@BOTH
@given(fills=fills, multiplier=multipliers, price=st.integers(1, 10**17))
def test_realised_and_unrealised_profit_are_the_cash_that_moved_and_the_value_that_is_open(
    accounting: Accounting, fills: list[Fill], multiplier: int, price: int
) -> None:
    position, cash = flat(multiplier), 0
    for at, fill in enumerate(fills, start=1):
        position, traded = trade(position, fill.quantity, fill.price, accounting, at)
        cash -= traded.amount
    value = amount_of(price, position.quantity, multiplier)
    assert position.realised_pnl + (value - position.cost) == cash + value


@given(fills=fills, multiplier=multipliers)
def test_both_ways_of_accounting_hold_the_same_and_agree_once_all_is_closed(fills: list[Fill], multiplier: int) -> None:
    held = sum(fill.quantity for fill in fills)
    closing = [*fills, Fill(-held, 3 * ONE)] if held else fills
    average, fifo = (filled(closing, accounting, multiplier) for accounting in Accounting)
    assert (average.quantity, average.cost, average.lots) == (fifo.quantity, fifo.cost, fifo.lots) == (0, 0, ())
    assert average.realised_pnl == fifo.realised_pnl


@given(fills=fills)
def test_lots_are_of_one_sign_and_sum_up_to_the_position(fills: list[Fill]) -> None:
    position = filled(fills, Accounting.FIFO)
    assert sum(lot.quantity for lot in position.lots) == position.quantity
    assert sum(lot.cost for lot in position.lots) == position.cost
    assert all(lot.quantity * position.quantity > 0 for lot in position.lots)


def test_average_cost_of_the_textbook() -> None:
    position = filled([of(100, 10), of(100, 20), of(-50, 30)], Accounting.AVERAGE)
    assert (position.quantity, position.cost) == (150 * ONE, 2250 * AMOUNT)
    assert (position.realised_pnl, position.average_price) == (750 * AMOUNT, 15 * ONE)


def test_first_in_first_out_of_the_textbook() -> None:
    position = filled([of(100, 10), of(100, 20), of(-150, 30)], Accounting.FIFO)
    assert (position.quantity, position.cost, position.realised_pnl) == (50 * ONE, 1000 * AMOUNT, 2500 * AMOUNT)
    assert position.lots == (Lot(50 * ONE, 1000 * AMOUNT, 2),)


@BOTH
def test_fill_beyond_zero_closes_at_its_price_and_opens_the_other_way(accounting: Accounting) -> None:
    position = filled([of(5, 100), of(-8, 110)], accounting)
    assert (position.quantity, position.cost, position.realised_pnl) == (-3 * ONE, -330 * AMOUNT, 50 * AMOUNT)
    assert (position.opened_at, position.average_price) == (2, 110 * ONE)


@BOTH
def test_short_earns_when_the_price_falls(accounting: Accounting) -> None:
    position = filled([of(-4, 100), of(4, 90)], accounting)
    assert (position.quantity, position.cost, position.realised_pnl) == (0, 0, 40 * AMOUNT)
    assert position.average_price is None


def test_relieved_cost_is_rounded_half_even_and_the_rest_stays() -> None:
    third = trade(hold(flat(), 3, 1_000_000, Accounting.AVERAGE, 1), -1, ONE, Accounting.AVERAGE, 2)[0]
    assert (third.cost, third.quantity) == (1_000_000, 2), "a third of 1e-18 rounds to nothing"
    half = trade(hold(flat(), 2, 3_000_000, Accounting.AVERAGE, 1), -1, ONE, Accounting.AVERAGE, 2)[0]
    assert half.cost == 1_000_000, "1.5 rounds to the even 2"


def test_multiplier_counts_in_cost_and_profit() -> None:
    position = filled([of(2, 3000), of(-1, 3100)], Accounting.AVERAGE, multiplier=300 * ONE)
    assert (position.cost, position.realised_pnl) == (900_000 * AMOUNT, 30_000 * AMOUNT)
    assert position.average_price == 3000 * ONE


@given(
    fills=fills.filter(lambda fills: sum(fill.quantity for fill in fills) != 0),
    new=st.integers(1, 1000),
    old=st.integers(1, 1000),
)
def test_split_keeps_the_cost_and_the_sums(fills: list[Fill], new: int, old: int) -> None:
    before = filled(fills, Accounting.FIFO)
    after = split(before, new, old, 99)
    exact = Fraction(before.quantity * new, old)
    assert after.cost == before.cost == sum(lot.cost for lot in after.lots)
    assert after.quantity == round(exact) == sum(lot.quantity for lot in after.lots)
    for one, other in zip(before.lots, after.lots, strict=True):
        assert abs(Fraction(one.quantity * new, old) - other.quantity) <= 1


@given(fills=fills)
def test_change_of_accounting_keeps_quantity_and_cost(fills: list[Fill]) -> None:
    position = filled(fills, Accounting.FIFO)
    average = account_by(position, Accounting.AVERAGE)
    assert average == position._replace(lots=())
    again = account_by(average, Accounting.FIFO)
    assert sum(lot.quantity for lot in again.lots) == position.quantity
    assert (len(again.lots), again._replace(lots=())) == (int(position.quantity != 0), average)
