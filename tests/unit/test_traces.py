"""What removed positions leave behind: the day's profit is that of all that was traded in it, added up as fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from market.beginnings import MOST
from market.decimals import ONE
from market.interval import DAY, HOUR, QUARTER_HOUR
from market.portfolio import Portfolio
from market.portfolio_answers import apply
from market.portfolio_checks import LARGEST, LARGEST_TRACES, size_of, size_of_traces
from market.portfolio_commands import (
    ApplyFill,
    ApplySplit,
    CreatePortfolio,
    RegisterPosition,
    RemovePosition,
    UpdatePosition,
)
from market.portfolio_reply import PortfolioReply, Reason
from market.portfolio_totals import Totals, sum_lines
from market.position import Accounting, Position, Settlement, trade
from market.price_choice import Reference
from market.traces import TRACES_KEPT, Trace, lately, left_behind
from market.valuation import Mark, began_with, value_line
from schemas.portfolio_encoding import encode_portfolio
from tests.builders import START
from tests.portfolio_parts import BTC, PERP, TOPIC, command, done
from tests.valuing import AMOUNT, make_position, make_price, rates_of

BEGIN = START - START % DAY
SIZES = {BTC: 2, PERP: 3}
PLACES = {"p1": (BTC, Settlement.CASH), "p2": (BTC, Settlement.CASH), "p3": (PERP, Settlement.MARGIN)}


def do(portfolio: Portfolio | None, one: Any, at: int) -> tuple[Portfolio, PortfolioReply]:
    after, reply = apply(portfolio, one, at, (TOPIC, 0, 0))
    assert after is not None
    return after, reply


def day_of(portfolio: Portfolio, prices: dict[str, int], references: dict[str, int], began_at: int) -> Totals:
    rates = rates_of({"USDT": Fraction(3, 7)})
    lines = []
    for position in (*portfolio.positions.values(), *(trace.flat for trace in portfolio.traces)):
        reference = Reference(references[position.instrument] * ONE, began_at, "previous_close")
        price = make_price(prices[position.instrument] * ONE) if position.quantity else None
        lines.append(value_line(position, Mark(price, reference), rates.now.rate("USDT", "USD")))
    return sum_lines(portfolio._replace(base_currency="USD"), lines, rates)


figures = st.fixed_dictionaries({BTC: st.integers(1, 900), PERP: st.integers(1, 900)})
fills = st.tuples(st.sampled_from(sorted(PLACES)), st.integers(-3, 3).filter(bool), st.integers(1, 900))
closings = st.tuples(st.sampled_from(sorted(PLACES)), st.none(), st.integers(1, 900))
steps = st.lists(st.tuples(st.integers(0, HOUR), fills | closings), min_size=8, max_size=30)


@settings(deadline=None)
@given(steps, figures, figures, st.integers(0, 12))
def test_days_profit_is_that_of_all_fills_whatever_was_removed(
    found: list[tuple[int, tuple[str, int | None, int]]], prices: dict[str, int], references: dict[str, int], quarters: int
) -> None:
    began_at, at = BEGIN + quarters * QUARTER_HOUR, BEGIN
    portfolio, _ = do(None, command(CreatePortfolio), at)
    held, began, paid = dict.fromkeys(PLACES, 0), dict.fromkeys(PLACES, 0), Fraction(0)
    for pause, (name, quantity, price) in found:
        at += pause
        instrument, settlement = PLACES[name]
        if quantity is None:  # close it, and let it go
            quantity = -held[name]
        fields = {
            "position_id": name,
            "instrument": instrument,
            "settlement": settlement,
            "multiplier": SIZES[instrument] * ONE,
        }
        if quantity:
            one = command(ApplyFill, quantity=quantity * ONE, price=price * ONE, **fields)
            portfolio, reply = do(portfolio, one, at)
            assert reply.accepted, reply.error
            held[name] += quantity
            paid += quantity * price * SIZES[instrument] if at >= began_at else 0
        if at < began_at:
            began = dict(held)
        if not held[name] and name in portfolio.positions:
            portfolio, reply = do(portfolio, command(RemovePosition, position_id=name), at)
            assert reply.accepted, reply.error
    value = Fraction(0)
    for name, (instrument, _) in PLACES.items():
        value += SIZES[instrument] * (prices[instrument] * held[name] - references[instrument] * began[name])
    totals = day_of(portfolio, prices, references, began_at)
    assert totals.price_effect is not None
    assert Fraction(totals.price_effect, totals.unit) == (value - paid) * Fraction(3, 7)
    assert len(portfolio.traces) <= len(SIZES)


changes = st.lists(st.tuples(st.integers(0, 2 * HOUR), st.integers(-3, 3).filter(bool), st.integers(1, 900)), max_size=60)


def flat_after(found: list[tuple[int, int, int]], at: int) -> Position:
    position = make_position(quantity=0, opened_at=0)._replace(known_since=0)
    for pause, quantity, price in [*found, (1, 1, 1)]:
        at += pause
        position, _ = trade(position, quantity * ONE, price * ONE, Accounting.AVERAGE, at)
    if position.quantity:
        position, _ = trade(position, -position.quantity, ONE, Accounting.AVERAGE, at + 1)
    return position


@given(changes, changes, st.integers(0, 100), st.integers(1, 900))
def test_trace_of_two_positions_is_what_both_brought(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]], quarters: int, price: int
) -> None:
    positions = flat_after(first, BEGIN), flat_after(second, BEGIN + HOUR)
    (trace,) = left_behind(left_behind((), positions[0]), positions[1])
    reference = Reference(price * ONE, BEGIN + quarters * QUARTER_HOUR, "previous_close")
    (began, came), *each = (began_with(one, reference) for one in (trace.flat, *positions))
    if all(one is not None for one, _ in each):
        assert began is not None
        assert began + came == sum((one or 0) + paid for one, paid in each)
    else:
        assert began is None
    assert len(trace.beginnings) <= MOST


def test_trace_is_forgotten_when_no_day_is_so_long() -> None:
    held = done(command(CreatePortfolio), command(RegisterPosition, 1))
    flat, _ = do(held, command(ApplyFill, 2, quantity=-2 * ONE), START)
    gone, _ = do(flat, command(RemovePosition, 3), START + 1)
    assert [(trace.instrument, trace.paid) for trace in gone.traces] == [(BTC, 0)]
    assert lately(gone.traces, START + TRACES_KEPT - 1) == gone.traces
    later, _ = do(gone, command(RegisterPosition, 4), START + TRACES_KEPT)
    assert later.traces == ()
    old, _ = do(flat, command(RemovePosition, 3), START + TRACES_KEPT)
    assert old.traces == ()


def test_split_counts_for_what_was_held_before_in_the_day_and_is_gone() -> None:
    held = done(command(CreatePortfolio), *(command(RegisterPosition, name, position_id=name) for name in ("p1", "p2", "p3")))
    at = BEGIN + 2 * DAY
    for name in ("p1", "p2"):
        held, _ = do(held, command(ApplyFill, name, position_id=name, quantity=-2 * ONE, price=120 * ONE), at + 1)
    held, _ = do(held, command(RemovePosition, position_id="p1"), at + 2)
    held, reply = do(held, command(ApplySplit, new=2, old=1), at + 3)
    assert reply.accepted
    totals = day_of(held, {BTC: 60}, {BTC: 50}, at)
    assert totals.rounded(totals.price_effect) == round(Fraction((2 * 40 + 4 * 10) * 3, 7) * AMOUNT)


def test_so_many_are_remembered_that_the_portfolio_can_still_be_traded() -> None:
    portfolio, refusals = done(command(CreatePortfolio)), list[PortfolioReply]()
    for number in range(2_000):
        name = f"sim:S{number:04}"
        where: dict[str, Any] = {"position_id": "p1", "instrument": name}
        for one in (
            command(ApplyFill, f"{number}-open", **where),
            command(ApplyFill, f"{number}-close", quantity=-ONE, **where),
            command(RemovePosition, f"{number}-gone", position_id="p1"),
        ):
            portfolio, reply = do(portfolio, one, START + number)
            if not reply.accepted:
                refusals.append(reply)
        if refusals:
            break
    (refusal,) = refusals
    assert (refusal.reason, refusal.field) == (Reason.TOO_LARGE, "position_id")
    assert "p1" in portfolio.positions
    assert size_of_traces(portfolio.traces) <= LARGEST_TRACES < size_of(portfolio) < LARGEST
    assert len(portfolio.traces) > 500
    later, reply = do(portfolio, command(RemovePosition, "later", position_id="p1"), START + TRACES_KEPT + 1_000)
    assert reply.accepted
    assert len(later.traces) < len(portfolio.traces)


def test_flat_position_of_a_trace_has_nothing_but_what_was_paid() -> None:
    trace = Trace(BTC, "USDT", ONE, Settlement.CASH, 7, START, (), START + 1)
    assert (trace.flat.paid, trace.flat.quantity, trace.flat.cost) == (7, 0, 0)
    began, came = began_with(trace.flat, Reference(ONE, START + 1, "open_24h"))
    assert (began, came) == (0, 0)
    assert began_with(trace.flat, Reference(ONE, START, "open_24h")) == (None, 0)


def test_figures_that_do_not_fit_together_are_refused_and_not_told() -> None:
    huge = 9 * 10**49
    held = done(
        command(CreatePortfolio),
        *(command(RegisterPosition, n, position_id=n, cost=huge, settlement=Settlement.MARGIN) for n in ("p1", "p2")),
    )
    for name in ("p1", "p2"):
        held, reply = do(held, command(UpdatePosition, position_id=name, quantity=0, cost=0), START + HOUR)
        assert reply.accepted, reply.error
    gone, reply = do(held, command(RemovePosition, position_id="p1"), START + HOUR + 1)
    assert reply.accepted, reply.error
    after, reply = do(gone, command(RemovePosition, position_id="p2"), START + HOUR + 2)
    assert (reply.accepted, reply.reason, after) == (False, Reason.INVALID_FIELD, gone)
    encode_portfolio(after)


def test_split_of_what_was_held_before_must_fit() -> None:
    held = done(command(CreatePortfolio), command(RegisterPosition, quantity=9 * 10**37, cost=1))
    held, _ = do(held, command(UpdatePosition, quantity=ONE, cost=1), START + HOUR)
    after, reply = do(held, command(ApplySplit), START + HOUR + 1)
    assert (reply.accepted, reply.reason, after) == (False, Reason.INVALID_FIELD, held)
