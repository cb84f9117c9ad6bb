"""What a portfolio and its parts can be: currency, policy, figures, size, and the sum that its balances always are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from market.beginnings import Beginning
from market.day_end import check_zone
from market.decimals import AMOUNT_PRECISION
from market.errors import DataValidationError
from market.interval import DAY
from market.limits import LimitKind, check_limits
from market.portfolio import Balance, Policy, Portfolio
from market.portfolio_commands import check_name
from market.position import Position, Settlement
from market.quality import check_figure, check_not_negative, check_time, check_whole
from market.traces import Trace

LARGEST = 1_000_000
"""Bytes that a portfolio may have as one record; below what its topics take by more than the frame around it needs."""

LARGEST_TRACES = LARGEST // 4
"""Bytes of them that what removed positions leave behind may take."""

_CURRENCY = re.compile(r"[A-Z0-9]{1,16}", re.ASCII)
_AMOUNTS = ("cost", "realised_pnl", "fees", "funding", "dividends")

# Bytes of Avro at most, without texts: of a decimal one for its length and 21 for 50 digits, 16 for 38; of a long 10.
_AMOUNT, _PRICE, _LONG = 22, 17, 10
_LOT = _PRICE + _AMOUNT + _LONG
_BEGINNING = _PRICE + _AMOUNT + _LONG
_POSITION = 2 * _PRICE + 5 * _AMOUNT + 4 * _LONG + 3 * _LONG
_TRACE = _PRICE + _AMOUNT + 4 * _LONG
_BALANCE = 7 * _AMOUNT
_OVERRIDE = _PRICE + 2 * _LONG
_LIMITS = len(LimitKind) * (2 * _AMOUNT + _LONG)
_PORTFOLIO = 43 * _LONG + _LIMITS


def check_currency(text: str, *, field: str = "currency") -> str:
    """Return a currency code such as USDT unchanged. Raises DataValidationError (`bad_currency`)."""
    if not _CURRENCY.fullmatch(text):
        raise DataValidationError("bad_currency", f"{field}: {text!r:.80} is not a currency such as USDT", field=field)
    return text


def check_policy(policy: Policy) -> Policy:
    """Return a policy unchanged that a portfolio can have. Raises DataValidationError."""
    if not policy.prices or len(set(policy.prices)) < len(policy.prices):
        raise DataValidationError("inconsistent", "policy.prices: at least one, and each once", field="policy.prices")
    for name in ("stale_after", "valuation_period"):
        value = check_whole(getattr(policy, name), field=f"policy.{name}")
        check_not_negative(value, field=f"policy.{name}")
    if check_not_negative(policy.day_ends, field="policy.day_ends") >= DAY:
        raise DataValidationError("too_large", "policy.day_ends: is not within a day", field="policy.day_ends")
    check_zone(policy.day_zone, field="policy.day_zone")
    check_limits(policy.limits, field="policy.limits")
    return policy


def check_amount(value: int, *, field: str) -> int:
    """Return an amount that is not zero unchanged. Raises DataValidationError."""
    if value == 0:
        raise DataValidationError("zero", f"{field}: is zero", field=field)
    return check_figure(value, field=field, precision=AMOUNT_PRECISION)


def check_held(position: Position) -> Position:
    """Return a position unchanged whose figures fit. Raises DataValidationError."""
    check_figure(position.quantity, field="quantity")
    for name in _AMOUNTS:
        check_figure(getattr(position, name), field=name, precision=AMOUNT_PRECISION)
    check_figure(position.paid, field="cost", precision=AMOUNT_PRECISION)  # kept of the beginnings of its days
    return position


def check_beginnings(beginnings: Iterable[Beginning]) -> None:
    """Raise DataValidationError unless all figures fit that are remembered: those of several positions, or split ones."""
    for one in beginnings:
        check_figure(one.quantity, field="quantity")
        check_figure(one.paid, field="cost", precision=AMOUNT_PRECISION)


def check_traces(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    """Return traces unchanged whose figures fit. Raises DataValidationError."""
    for trace in traces:
        check_figure(trace.paid, field="cost", precision=AMOUNT_PRECISION)
        check_beginnings(trace.beginnings)
    return traces


def check_balance(balance: Balance) -> Balance:
    """Return a balance unchanged whose amounts fit. Raises DataValidationError."""
    for name, value in balance._asdict().items():
        check_figure(value, field=name, precision=AMOUNT_PRECISION)
    return balance


def check_portfolio(portfolio: Portfolio) -> Portfolio:
    """Return a portfolio unchanged whose parts fit each other and whose money comes from somewhere.

    Raises DataValidationError.
    """
    check_name(portfolio.portfolio_id, field="portfolio_id")
    check_currency(portfolio.base_currency, field="base_currency")
    check_policy(portfolio.policy)
    for name in ("created_at", "updated_at"):
        check_time(getattr(portfolio, name), field=name)
    for position in portfolio.positions.values():
        _check_lots(position)
    for currency, excess in unaccounted(portfolio).items():
        if excess:
            field = f"balances.{currency}.cash"
            raise DataValidationError("inconsistent", f"{field}: {excess} more than what it comes from", field=field)
    return portfolio


def _check_lots(position: Position) -> None:
    lots = position.lots
    if lots and (sum(lot.quantity for lot in lots), sum(lot.cost for lot in lots)) != (position.quantity, position.cost):
        field = f"positions.{position.position_id}.lots"
        raise DataValidationError("inconsistent", f"{field}: they do not sum up to the position", field=field)


def unaccounted(portfolio: Portfolio) -> Counter[str]:
    """By currency, how much its cash and cost are above what they came from (`market.portfolio`): zero each, if all is well."""
    excess = Counter[str]()
    for currency, balance in portfolio.balances.items():
        came = balance.deposited + balance.transferred + balance.realised_pnl + balance.funding + balance.dividends
        excess[currency] += balance.cash - came + balance.fees
    for position in portfolio.positions.values():
        if position.settlement is Settlement.CASH:
            excess[position.currency] += position.cost
    return excess


def size_of(portfolio: Portfolio) -> int:
    """Bytes that a portfolio takes as a record, at most."""
    positions = portfolio.positions.values()
    size = _PORTFOLIO + _text(
        portfolio.portfolio_id, portfolio.base_currency, portfolio.source_topic, portfolio.policy.day_zone
    )
    size += sum(_BALANCE + _text(currency) for currency in portfolio.balances)
    size += sum(_BEGINNING * len(one.beginnings) for one in positions)
    size += sum(_POSITION + _LOT * len(one.lots) + _text(one.position_id, one.instrument, one.currency) for one in positions)
    size += size_of_traces(portfolio.traces)
    overrides = portfolio.overrides.values()
    return size + sum(_OVERRIDE + _text(one.instrument, one.actor, one.role, one.reason) for one in overrides)


def size_of_traces(traces: Iterable[Trace]) -> int:
    """Bytes that traces take in a record, at most."""
    return sum(_TRACE + _BEGINNING * len(one.beginnings) + _text(one.instrument, one.currency) for one in traces)


def _text(*texts: str) -> int:
    return sum(_LONG + len(text.encode()) for text in texts)
