"""The parts of valuations as Avro reads and writes them, and as the domain knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market.limits import LimitKind
from market.portfolio_alert import Alert
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.portfolio_values import plain_limits, read_limits


def _read_rate(values: Mapping[str, Any] | None) -> UsedRate | None:
    return None if values is None else UsedRate(**{**values, "sources": tuple(values["sources"])})


def _plain_rate(rate: UsedRate | None) -> dict[str, Any] | None:
    return None if rate is None else rate._asdict() | {"sources": list(rate.sources)}


def _read_rates(values: Iterable[Mapping[str, Any]]) -> tuple[UsedRate | None, ...]:
    return tuple(map(_read_rate, values))


def _plain_rates(rates: Iterable[UsedRate]) -> list[dict[str, Any] | None]:
    return list(map(_plain_rate, rates))


_LISTS = ("left_out", "without_rate", "board")

READ: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Valuation: {**dict.fromkeys(_LISTS, tuple), "rates": _read_rates, "limits": read_limits},
    ValuationLine: {"state": LineState, "rate": _read_rate},
    Alert: {"kind": LimitKind},
}
"""Fields that are more than what Avro reads, and how they are made of it."""

WRITTEN: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Valuation: {**dict.fromkeys(_LISTS, list), "rates": _plain_rates, "limits": plain_limits},
    ValuationLine: {"rate": _plain_rate},
}
"""Fields that Avro does not write as they are, and what it writes of them."""
