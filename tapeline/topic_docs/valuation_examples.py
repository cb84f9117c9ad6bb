"""What the portfolio of the examples is worth at prices that were known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import cast

from market.fx import FxGraph, FxQuote
from market.limits import Limit, LimitKind
from market.portfolio import Portfolio
from market.portfolio_alert import Alert, Watched, see
from market.portfolio_totals import Rates, sum_lines
from market.position import Position
from market.price_choice import ChosenPrice, Reference
from market.valuation import Line, Mark, value_lines
from market.valuation_record import Stamp, Valuation, ValuationLine, line_of, valuation_of
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import VALUATIONS
from tapeline.topic_docs import portfolio_examples

_SECOND, _AMOUNT = 1_000_000, 10**24


def _portfolio() -> Portfolio:
    return cast("Portfolio", portfolio_examples.BY_KIND[Portfolio]())


@cache
def _rates() -> Rates:
    as_of = _portfolio().updated_at
    quotes = (
        FxQuote("USDT", "USD", Fraction(9998, 10_000), as_of, "kraken:USDT-USD"),
        FxQuote("USD", "CNY", Fraction(717, 100), as_of - 86_400 * _SECOND, "config"),
    )
    return Rates(FxGraph(quotes), FxGraph(quotes))


def _mark(position: Position) -> Mark:
    at = _portfolio().updated_at
    price = round(Fraction(position.cost, position.quantity) * Fraction(101, 100)) if position.quantity else 1
    return Mark(ChosenPrice(price, "MID", "bookTicker", at), Reference(price, at - 86_400 * _SECOND, "open_24h"))


@cache
def _lines() -> list[Line]:
    portfolio = _portfolio()
    return value_lines(portfolio, [_mark(position) for position in portfolio.positions.values()], _rates().now)


def _stamp() -> Stamp:
    at = _portfolio().updated_at + _SECOND
    return Stamp(3, at, at)


def _valuation() -> Valuation:
    totals = sum_lines(_portfolio(), _lines(), _rates())
    portfolio, stamp = _portfolio(), _stamp()
    as_of = stamp.valued_at - 2_000
    return valuation_of(portfolio, totals, _rates(), (1042, 998, 1710, 1344), stamp)._replace(
        replies_offset=16,
        as_of=as_of,
        day_end_at=portfolio.policy.day_end_after(as_of),
        limits=(Limit(LimitKind.GROSS_EXPOSURE, 40_000 * _AMOUNT, 38_000 * _AMOUNT),),
    )


def _line() -> ValuationLine:
    return line_of(_portfolio(), next(line for line in _lines() if line.position.quantity), _stamp())


def _alert() -> Alert:
    partition = partition_of("fund-1", 4)
    (alert,) = see(Watched(), _valuation(), (VALUATIONS.name, partition, 2043)).alerts
    return alert


BY_KIND: Mapping[type[Record], Callable[[], Record]] = {Valuation: _valuation, ValuationLine: _line, Alert: _alert}
"""How the example of each kind is had."""
