"""The parts of portfolios and their commands as Avro reads and writes them, and as the domain knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market.beginnings import Beginning
from market.limits import Limit, LimitKind
from market.portfolio import Balance, Policy, Portfolio, PriceChoice, PriceOverride
from market.portfolio_commands import ApplyFill, CreatePortfolio, NewPrice, OverridePrices, RegisterPosition, SetPolicy
from market.portfolio_reply import PortfolioReply, Reason
from market.position import Accounting, Lot, Position, Settlement
from market.traces import Trace

Values = Mapping[str, Any]


def read_policy(values: Values) -> Policy:
    """A policy of its fields."""
    prices = tuple(map(PriceChoice, values["prices"]))
    limits = read_limits(values["limits"])
    return Policy(**{**values, "accounting": Accounting(values["accounting"]), "prices": prices, "limits": limits})


def plain_policy(policy: Policy) -> dict[str, Any]:
    """The fields of a policy."""
    return policy._asdict() | {"prices": list(policy.prices), "limits": plain_limits(policy.limits)}


def read_limits(values: Iterable[Values]) -> tuple[Limit, ...]:
    """Limits of their fields."""
    return tuple(Limit(**{**one, "kind": LimitKind(one["kind"])}) for one in values)


def plain_limits(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    """The fields of limits."""
    return [limit._asdict() for limit in limits]


def read_balances(values: Iterable[Values]) -> dict[str, Balance]:
    """Balances by currency."""
    return {one["currency"]: Balance(**{name: amount for name, amount in one.items() if name != "currency"}) for one in values}


def plain_balances(balances: Mapping[str, Balance]) -> list[dict[str, Any]]:
    """The fields of balances, each with its currency."""
    return [{"currency": currency} | balance._asdict() for currency, balance in balances.items()]


def read_positions(values: Iterable[Values]) -> dict[str, Position]:
    """Positions by their id."""
    return {one["position_id"]: _read_position(one) for one in values}


def _read_position(values: Values) -> Position:
    lots = tuple(Lot(**lot) for lot in values["lots"])
    beginnings = tuple(Beginning(**one) for one in values["beginnings"])
    settlement = Settlement(values["settlement"])
    return Position(**{**values, "settlement": settlement, "lots": lots, "beginnings": beginnings})


def plain_positions(positions: Mapping[str, Position]) -> list[dict[str, Any]]:
    """The fields of positions."""
    return [
        one._asdict()
        | {"lots": [lot._asdict() for lot in one.lots], "beginnings": [began._asdict() for began in one.beginnings]}
        for one in positions.values()
    ]


def read_traces(values: Iterable[Values]) -> tuple[Trace, ...]:
    """Traces of their fields."""
    return tuple(_read_trace(one) for one in values)


def _read_trace(values: Values) -> Trace:
    beginnings = tuple(Beginning(**one) for one in values["beginnings"])
    return Trace(**{**values, "settlement": Settlement(values["settlement"]), "beginnings": beginnings})


def plain_traces(traces: Iterable[Trace]) -> list[dict[str, Any]]:
    """The fields of traces."""
    return [one._asdict() | {"beginnings": [began._asdict() for began in one.beginnings]} for one in traces]


def read_overrides(values: Iterable[Values]) -> dict[str, PriceOverride]:
    """Overridden prices by instrument."""
    return {one["instrument"]: PriceOverride(**one) for one in values}


def plain_overrides(overrides: Mapping[str, PriceOverride]) -> list[dict[str, Any]]:
    """The fields of overridden prices."""
    return [one._asdict() for one in overrides.values()]


def _read_prices(values: Iterable[Values]) -> tuple[NewPrice, ...]:
    return tuple(NewPrice(**one) for one in values)


def _plain_prices(prices: Iterable[NewPrice]) -> list[dict[str, Any]]:
    return [one._asdict() for one in prices]


def _maybe_settlement(value: str | None) -> Settlement | None:
    return None if value is None else Settlement(value)


def _maybe_reason(value: str | None) -> Reason | None:
    return None if value is None else Reason(value)


READ: Mapping[type[Any], Mapping[str, Callable[[Any], Any]]] = {
    CreatePortfolio: {"policy": read_policy},
    SetPolicy: {"policy": read_policy},
    RegisterPosition: {"settlement": Settlement},
    ApplyFill: {"settlement": _maybe_settlement},
    OverridePrices: {"prices": _read_prices},
    PortfolioReply: {"reason": _maybe_reason, "candidates": tuple},
    Portfolio: {
        "policy": read_policy,
        "balances": read_balances,
        "positions": read_positions,
        "overrides": read_overrides,
        "traces": read_traces,
    },
}
"""As `schemas.records.READ_AS`."""

WRITTEN: Mapping[type[Any], Mapping[str, Callable[[Any], Any]]] = {
    CreatePortfolio: {"policy": plain_policy},
    SetPolicy: {"policy": plain_policy},
    OverridePrices: {"prices": _plain_prices},
    Portfolio: {
        "policy": plain_policy,
        "balances": plain_balances,
        "positions": plain_positions,
        "overrides": plain_overrides,
        "traces": plain_traces,
    },
}
"""As `schemas.records.WRITTEN_AS`."""
