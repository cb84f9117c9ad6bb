"""Portfolios, totals and lines as answers and messages carry them: figures as exact decimal text, null for what is not known.

A position without a value has `value: null` and says by `state` and `reason` why; it is never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.portfolios.book import Held
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.limits import Limit
from market.portfolio import Balance, Portfolio
from market.portfolio_alert import Alert
from market.position import Position
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine

NOT_VALUED = "not valued yet"

_SCALES = {
    **dict.fromkeys(("quantity", "multiplier", "price", "reference_price", "coverage_percent", "average_price"), SCALE),
    **dict.fromkeys(("cost", "value", "unrealised_pnl", "base_value", "base_unrealised_pnl", "rate"), AMOUNT_SCALE),
    **dict.fromkeys(("net_exposure", "gross_exposure", "income", "equity"), AMOUNT_SCALE),
    **dict.fromkeys(("day_pnl", "day_price_effect", "day_fx_effect"), AMOUNT_SCALE),
    **dict.fromkeys(("threshold", "clears_at"), AMOUNT_SCALE),
    **dict.fromkeys(Balance._fields, AMOUNT_SCALE),
}

_REMEMBERED = frozenset({"beginnings", "known_since"})
"""What positions keep to tell a day's profit, and nobody else needs."""

_NOT_STORED = frozenset({"board", "replies_offset", "limits"})


def _figures(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with every figure as text."""
    return {
        name: format_decimal(value, _SCALES[name]) if name in _SCALES and isinstance(value, int) else value
        for name, value in values.items()
    }


def describe_totals(valuation: Valuation) -> dict[str, Any]:
    """What a portfolio is worth."""
    return _figures(valuation._asdict()) | {
        "rates": [_rate(rate) for rate in valuation.rates],
        "limits": describe_limits(valuation.limits),
    }


def describe_past_totals(valuation: Valuation) -> dict[str, Any]:
    """What a portfolio was worth, without what no store keeps of it."""
    return {name: value for name, value in describe_totals(valuation).items() if name not in _NOT_STORED}


def describe_alert(alert: Alert) -> dict[str, Any]:
    """A limit that was breached, or is kept again."""
    return _figures(alert._asdict()) | {"kind": alert.kind.value}


def describe_limits(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    """The limits that figures are held against."""
    return [_figures(limit._asdict()) | {"kind": limit.kind.value} for limit in limits]


def describe_line(line: ValuationLine, position: Position | None) -> dict[str, Any]:
    """What a position is worth; it `is_outdated` where the position was changed since."""
    return _figures(line._asdict()) | {
        "state": line.state.value,
        "rate": None if line.rate is None else _rate(line.rate),
        "is_outdated": position is not None and line.position_version < position.version,
    }


def describe_position(position: Position) -> dict[str, Any]:
    """A position as it is held: what it cost and brought."""
    held = {name: value for name, value in position._asdict().items() if name not in _REMEMBERED}
    return _figures(held | {"average_price": position.average_price}) | {
        "settlement": position.settlement.value,
        "lots": [_figures(lot._asdict()) for lot in position.lots],
    }


def describe_balances(portfolio: Portfolio) -> dict[str, Any]:
    """Cash and what it came of, by currency."""
    return {currency: _figures(balance._asdict()) for currency, balance in portfolio.balances.items()}


def describe_policy(portfolio: Portfolio) -> dict[str, Any]:
    """How a portfolio is kept and valued."""
    policy = portfolio.policy
    return policy._asdict() | {
        "accounting": policy.accounting.value,
        "prices": [price.value for price in policy.prices],
        "limits": describe_limits(policy.limits),
    }


def describe_overrides(portfolio: Portfolio) -> list[dict[str, Any]]:
    """The prices that somebody put in the place of the market's."""
    return [_figures(override._asdict()) for override in portfolio.overrides.values()]


def describe(portfolio_id: str, held: Held) -> dict[str, Any]:
    """All that is known of a portfolio. Every open position has a line: one that was not valued yet is UNPRICED."""
    portfolio, valuation = held.portfolio, held.valuation
    known: dict[str, Any] = {
        "base_currency": None,
        "version": None,
        "policy": None,
        "balances": {},
        "overrides": [],
        "positions": [],
    }
    if portfolio is not None:
        known = {
            "base_currency": portfolio.base_currency,
            "version": portfolio.version,
            "policy": describe_policy(portfolio),
            "balances": describe_balances(portfolio),
            "overrides": describe_overrides(portfolio),
            "positions": [describe_position(one) for one in portfolio.positions.values()],
        }
    lines = [describe_line(line, held.positions.get(name)) for name, line in held.lines.items()]
    lines += [not_valued(portfolio_id, one) for one in held.positions.values() if one.position_id not in held.lines]
    totals = None if valuation is None else describe_totals(valuation)
    return {"portfolio_id": portfolio_id, **known, "totals": totals, "lines": sorted(lines, key=_position_id)}


def not_valued(portfolio_id: str, position: Position) -> dict[str, Any]:
    """The line of a position that was not valued yet."""
    empty: dict[str, Any] = dict.fromkeys(ValuationLine._fields)
    own = {
        name: getattr(position, name) for name in ("position_id", "instrument", "currency", "quantity", "multiplier", "cost")
    }
    line = empty | own | {"portfolio_id": portfolio_id, "position_version": position.version}
    return _figures(line) | {"state": LineState.UNPRICED.value, "reason": NOT_VALUED, "is_outdated": False}


def _position_id(line: Mapping[str, Any]) -> str:
    return str(line["position_id"])


def _rate(rate: UsedRate) -> dict[str, Any]:
    return _figures(rate._asdict())
