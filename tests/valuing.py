"""Portfolios, prices and rates for tests of valuation, short to call, and strategies of them."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from market.beginnings import Beginning
from market.decimals import ONE
from market.fx import FxGraph, FxQuote
from market.portfolio import Balance, Policy, Portfolio
from market.portfolio_totals import Rates
from market.position import Position, Settlement
from market.price_choice import ChosenPrice, Reference
from market.valuation import Mark
from tests.builders import START

AMOUNT = 10**24
CURRENCIES = ("USD", "USDT", "CNY", "JPY")


def make_position(
    position_id: str = "one",
    quantity: int = ONE,
    cost: int = 0,
    *,
    instrument: str = "binance:BTC-USDT",
    currency: str = "USD",
    multiplier: int = ONE,
    settlement: Settlement = Settlement.CASH,
    opened_at: int = START,
    updated_at: int = 0,
    realised_pnl: int = 0,
    before: Beginning | None = None,
) -> Position:
    """A position; quantity and multiplier at scale 12, cost at scale 24. `before` is all there was before it."""
    return Position(
        position_id,
        instrument,
        currency,
        multiplier,
        settlement,
        quantity,
        cost,
        *((), realised_pnl, 0, 0, 0),
        opened_at,
        max(opened_at, updated_at),
        1,
        *(((), None) if before is None else ((before,), 0)),
    )


def make_portfolio(*positions: Position, balances: dict[str, Balance] | None = None, policy: Policy | None = None) -> Portfolio:
    """A portfolio in USD."""
    held = {position.position_id: position for position in positions}
    return Portfolio("ours", "USD", 1, policy or Policy(), balances or {}, held, {}, START, START, "pf.commands", 0, 0)


def make_price(price: int, *, time: int = START, is_stale: bool = False) -> ChosenPrice:
    """A last price at scale 12."""
    return ChosenPrice(price, "LAST", "trades", time, is_stale)


def rates_of(now: dict[str, Fraction], then: dict[str, Fraction] | None = None) -> Rates:
    """What one of each currency is in USD, now and when the day began."""
    return Rates(graph_of(now), graph_of(now if then is None else then))


def graph_of(rates: dict[str, Fraction], *, stale: str = "") -> FxGraph:
    """What one of each currency is in USD."""
    return FxGraph(FxQuote(name, "USD", rate, START, f"x:{name}-USD", name == stale) for name, rate in rates.items())


prices = st.integers(1, 10**18) | st.integers(1, 10**38 - 1)
amounts = st.integers(-(10**40), 10**40)
positive_rates = st.fractions(min_value=Fraction(1, 10**9), max_value=10**6, max_denominator=10**12)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    """Rates of some of the currencies, each with or without one of the day's beginning, which may be of another source."""
    now = draw(st.dictionaries(st.sampled_from(CURRENCIES[1:]), positive_rates))
    then = {name: draw(positive_rates) for name in now if draw(st.booleans())}
    other = {name for name in then if draw(st.booleans())}
    began = (FxQuote(name, "USD", rate, START, f"{'y' if name in other else 'x'}:{name}-USD") for name, rate in then.items())
    return Rates(graph_of(now), FxGraph(began))


@st.composite
def positions(draw: st.DrawFn, position_id: str = "one") -> Position:
    """Long, short or flat, of any size."""
    quantity = draw(st.integers(-(10**15), 10**15) | st.integers(-(10**37), 10**37))
    return make_position(
        position_id,
        quantity,
        draw(amounts) if quantity else 0,
        currency=draw(st.sampled_from(CURRENCIES)),
        multiplier=draw(st.sampled_from((ONE, 100 * ONE, ONE // 1000, 3, 1))),
        settlement=draw(st.sampled_from(Settlement)),
        opened_at=draw(times),
        updated_at=draw(times),
        realised_pnl=draw(st.sampled_from((0, 0, 0, AMOUNT))),
        before=draw(st.none() | st.builds(Beginning, times, st.sampled_from((0, ONE, -3)), amounts)),
    )


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    """A price and a reference, or without one of them, or both."""
    price = draw(st.none() | st.builds(ChosenPrice, prices, st.just("LAST"), st.just("trades"), times, st.booleans()))
    return Mark(price, draw(st.none() | st.builds(Reference, prices, times, st.just("previous_close"))))


times = st.integers(START, START + 9)


@st.composite
def portfolios(draw: st.DrawFn) -> Portfolio:
    """A portfolio of a few positions and balances."""
    held = [draw(positions(f"p{number}")) for number in range(draw(st.integers(0, 6)))]
    balance = st.builds(Balance, amounts, amounts, amounts, amounts, amounts, amounts, amounts)
    return make_portfolio(*held, balances=draw(st.dictionaries(st.sampled_from(CURRENCIES), balance)))
