"""What the commands about positions do: fills and corrections, fees, funding, dividends and splits.

Each takes a portfolio and gives the changed one. Raises CommandRefused, or DataValidationError naming the field at fault.
"""

from __future__ import annotations

from typing import TypeVar

from market.decimals import AMOUNT_PRECISION, ONE
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.portfolio import Balance, Portfolio
from market.portfolio_checks import (
    LARGEST_TRACES,
    check_amount,
    check_balance,
    check_beginnings,
    check_currency,
    check_held,
    check_traces,
    size_of_traces,
)
from market.portfolio_commands import (
    ApplyDividend,
    ApplyFill,
    ApplyFunding,
    ApplySplit,
    ChargeFee,
    ClosePosition,
    RegisterPosition,
    RemovePosition,
    UpdatePosition,
    check_name,
)
from market.portfolio_reply import CommandRefused, Reason
from market.position import Position, Settlement, hold, split, split_beginnings, trade
from market.quality import check_count, check_figure, check_id, check_positive, check_time
from market.traces import Trace, lately, left_behind

Remembering = TypeVar("Remembering", Position, Trace)

MOST_CANDIDATES = 20
"""Positions named where several fit."""


def register(portfolio: Portfolio, command: RegisterPosition, at: int) -> Portfolio:
    """Bring a position in."""
    if command.position_id in portfolio.positions:
        raise CommandRefused(Reason.POSITION_EXISTS, f"there is a position {command.position_id} already", field="position_id")
    if command.quantity == 0:
        raise DataValidationError("zero", "quantity: is zero", field="quantity")
    position = _new(command.position_id, command.instrument, command.currency, command.multiplier, command.settlement)
    return _held(portfolio, position, command.quantity, command.cost, at)


def update(portfolio: Portfolio, command: UpdatePosition, at: int) -> Portfolio:
    """Correct a position."""
    return _held(portfolio, _position(portfolio, command.position_id), command.quantity, command.cost, at)


def fill(portfolio: Portfolio, command: ApplyFill, at: int) -> Portfolio:
    """Book an execution."""
    check_instrument(command.instrument)
    if command.quantity == 0:
        raise DataValidationError("zero", "quantity: is zero", field="quantity")
    if command.trade_id is not None:
        check_id(command.trade_id, field="trade_id")
    if command.executed_at is not None:
        check_time(command.executed_at, field="executed_at")
    position_id = filled_position(portfolio, command)
    position = portfolio.positions.get(position_id)
    position = _opened_by(command, position_id) if position is None else _fits(position, command)
    traded = _traded(portfolio, position, command.quantity, command.price, at)
    return _charged(traded, command.fee, command.fee_currency or position.currency, position_id)


def filled_position(portfolio: Portfolio, command: ApplyFill) -> str:
    """The position that a fill goes to. Where it names none, an open one in the instrument goes before flat ones.

    Raises CommandRefused where several fit equally.
    """
    if command.position_id is not None:
        return command.position_id
    there = sorted(key for key, position in portfolio.positions.items() if position.instrument == command.instrument)
    found = [key for key in there if portfolio.positions[key].quantity] or there
    if len(found) > 1:
        raise CommandRefused(
            Reason.AMBIGUOUS_POSITION,
            f"{len(found)} positions are in {command.instrument}: say which",
            field="position_id",
            candidates=tuple(found[:MOST_CANDIDATES]),
        )
    return found[0] if found else command.instrument


def close(portfolio: Portfolio, command: ClosePosition, at: int) -> Portfolio:
    """Book an execution that closes a position."""
    position = _position(portfolio, command.position_id)
    if not position.quantity:
        raise CommandRefused(Reason.POSITION_FLAT, f"nothing of {command.position_id} is open", field="position_id")
    closed = _traded(portfolio, position, -position.quantity, command.price, at)
    return _charged(closed, command.fee, command.fee_currency or position.currency, command.position_id)


def remove(portfolio: Portfolio, command: RemovePosition, at: int) -> Portfolio:
    """Let a flat position go; what it brought of late is left behind, within bounds."""
    position = _position(portfolio, command.position_id)
    if position.quantity:
        message = f"{command.position_id} is open: close it, or correct it to nothing"
        raise CommandRefused(Reason.POSITION_OPEN, message, field="position_id")
    kept = {key: position for key, position in portfolio.positions.items() if key != command.position_id}
    traces = check_traces(lately(left_behind(portfolio.traces, position), at))
    if size_of_traces(traces) > LARGEST_TRACES:
        raise CommandRefused(
            Reason.TOO_LARGE,
            f"more of the positions removed of late than {len(portfolio.traces)} cannot be remembered for the day's profit: "
            f"remove {command.position_id} later",
            field="position_id",
        )
    return portfolio._replace(positions=kept, traces=traces)


def charge(portfolio: Portfolio, command: ChargeFee) -> Portfolio:
    """Book a fee."""
    check_amount(command.amount, field="amount")
    return _charged(portfolio, command.amount, check_currency(command.currency), command.position_id)


def fund(portfolio: Portfolio, command: ApplyFunding) -> Portfolio:
    """Book funding."""
    position = _position(portfolio, command.position_id)
    amount = check_amount(command.amount, field="amount")
    funded = _put(portfolio, position._replace(funding=position.funding + amount))
    return moved(funded, position.currency, cash=amount, funding=amount)


def distribute(portfolio: Portfolio, command: ApplyDividend) -> Portfolio:
    """Book a dividend."""
    position = _position(portfolio, command.position_id)
    amount = check_amount(command.amount, field="amount")
    paid = _put(portfolio, position._replace(dividends=position.dividends + amount))
    return moved(paid, position.currency, cash=amount, dividends=amount)


def split_all(portfolio: Portfolio, command: ApplySplit, at: int) -> Portfolio:
    """Split an instrument; a price that was put in the place of the market's is none of the new units and ends."""
    new, old = (check_count(getattr(command, name), field=name) for name in ("new", "old"))
    if new == old:
        raise DataValidationError("inconsistent", f"new: {new} for {old} is no split", field="new")
    found = [one for one in portfolio.positions.values() if one.instrument == command.instrument and one.quantity]
    if not found:
        raise CommandRefused(Reason.UNKNOWN_POSITION, f"no position in {command.instrument:.80} is open", field="instrument")
    for position in found:
        after = split(position, new, old, at)
        if not after.quantity or not all(lot.quantity for lot in after.lots):
            message = f"new: of {position.position_id} a split of {new} for {old} would leave nothing"
            raise DataValidationError("inconsistent", message, field="new")
        check_beginnings(after.beginnings)
        portfolio = _put(portfolio, after)
    positions = {key: _split_before(one, command, new, old) for key, one in portfolio.positions.items()}
    traces = tuple(_split_before(one, command, new, old) for one in portfolio.traces)
    overrides = {key: override for key, override in portfolio.overrides.items() if key != command.instrument}
    return portfolio._replace(positions=positions, overrides=overrides, traces=traces)


def _split_before(held: Remembering, command: ApplySplit, new: int, old: int) -> Remembering:
    """A flat position or a trace with what was held before split; the open ones are already."""
    if held.instrument != command.instrument or (isinstance(held, Position) and held.quantity):
        return held
    beginnings = split_beginnings(held.beginnings, new, old)
    check_beginnings(beginnings)
    return held._replace(beginnings=beginnings)


def moved(portfolio: Portfolio, currency: str, **amounts: int) -> Portfolio:
    """The portfolio with amounts added to fields of a currency's balance. Raises DataValidationError (`too_large`)."""
    before = portfolio.balances.get(currency, Balance())
    after = before._replace(**{name: getattr(before, name) + amount for name, amount in amounts.items()})
    return portfolio._replace(balances={**portfolio.balances, currency: check_balance(after)})


def _position(portfolio: Portfolio, position_id: str) -> Position:
    found = portfolio.positions.get(position_id)
    if found is None:
        raise CommandRefused(Reason.UNKNOWN_POSITION, f"there is no position {position_id!r:.80}", field="position_id")
    return found


def _put(portfolio: Portfolio, position: Position) -> Portfolio:
    """The portfolio with a position changed by the command that makes its next version."""
    position = check_held(position._replace(version=portfolio.version + 1))
    return portfolio._replace(positions={**portfolio.positions, position.position_id: position})


def _new(position_id: str, instrument: str, currency: str, multiplier: int, settlement: Settlement) -> Position:
    return Position(
        position_id=check_name(position_id, field="position_id"),
        instrument=check_instrument(instrument),
        currency=check_currency(currency),
        multiplier=check_positive(multiplier, field="multiplier"),
        settlement=settlement,
        **dict.fromkeys(("quantity", "cost", "realised_pnl", "fees", "funding", "dividends"), 0),
        lots=(),
        opened_at=0,
        updated_at=0,
        version=0,
        beginnings=(),
        known_since=0,
    )


def _opened_by(command: ApplyFill, position_id: str) -> Position:
    if command.currency is None:
        raise DataValidationError("missing", f"currency: is needed for a new position {position_id:.80}", field="currency")
    multiplier = ONE if command.multiplier is None else command.multiplier
    return _new(position_id, command.instrument, command.currency, multiplier, command.settlement or Settlement.CASH)


def _fits(position: Position, command: ApplyFill) -> Position:
    """The position, where the fill says nothing else of it than it is."""
    for name in ("instrument", "currency", "multiplier", "settlement"):
        said = getattr(command, name)
        if said is not None and said != (own := getattr(position, name)):
            message = f"{name}: {said!s:.80} is not the {own!s:.80} of {position.position_id}"
            raise DataValidationError("inconsistent", message, field=name)
    return position


def _held(portfolio: Portfolio, position: Position, quantity: int, cost: int, at: int) -> Portfolio:
    check_figure(quantity, field="quantity")
    check_figure(cost, field="cost", precision=AMOUNT_PRECISION)
    if quantity * cost < 0 or (quantity == 0 and cost):
        raise DataValidationError("inconsistent", f"cost: must have the sign of the quantity {quantity}", field="cost")
    held = _put(portfolio, hold(position, quantity, cost, portfolio.policy.accounting, at))
    transferred = cost - position.cost if position.settlement is Settlement.CASH else 0
    return moved(held, position.currency, transferred=transferred)


def _traded(portfolio: Portfolio, position: Position, quantity: int, price: int, at: int) -> Portfolio:
    check_figure(quantity, field="quantity")
    check_positive(price, field="price")
    after, done = trade(position, quantity, price, portfolio.policy.accounting, at)
    cash = -done.amount if position.settlement is Settlement.CASH else done.realised
    return moved(_put(portfolio, after), position.currency, cash=cash, realised_pnl=done.realised)


def _charged(portfolio: Portfolio, fee: int, currency: str, position_id: str | None) -> Portfolio:
    """The portfolio with a fee paid; a position counts it where it is in its own currency."""
    if not fee:
        return portfolio
    check_currency(currency, field="fee_currency")
    if position_id is not None and (position := _position(portfolio, position_id)).currency == currency:
        portfolio = _put(portfolio, position._replace(fees=position.fees + fee))
    return moved(portfolio, currency, cash=-fee, fees=fee)
