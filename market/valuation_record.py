"""Valuations as they are published: totals of a portfolio and its lines, each figure rounded once, half-even at scale 24."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from market.decimals import AMOUNT_SCALE, divide_half_even
from market.errors import DataValidationError
from market.fx import FxGraph, FxRate
from market.instrument import check_instrument
from market.limits import Limit
from market.portfolio import Portfolio
from market.portfolio_totals import Rates, Totals
from market.quality import check_id, check_time, check_whole
from market.valuation import EXACT_SCALE, Line, LineState

_ROUND = int(10 ** (EXACT_SCALE - AMOUNT_SCALE))


class Stamp(NamedTuple):
    """When something was valued (microseconds), and which of two valuations is the later one: the higher of these pairs.

    `generation` is that of the group that shares the portfolios out, `sequence` rises within it.
    """

    generation: int
    sequence: int
    valued_at: int


class UsedRate(NamedTuple):
    """What one unit of a currency is in the base currency, half-even at scale 24; figures are computed with the exact rate."""

    currency: str
    rate: int
    as_of: int | None
    sources: tuple[str, ...]
    is_stale: bool


class Valuation(NamedTuple):
    """A portfolio's figures in its base currency at scale 24; None is unknown, never zero.

    Exposures and `unrealised_pnl` are of the positions that have a value, which `coverage_percent` (scale 12) tells; `left_out`
    names the others. `position_version` is that of the portfolio, `board` has the next offset of each partition of the prices.
    `replies_offset` is the next one of the portfolio's partition of replies: what was asked for by those before is in it.
    `as_of` is the time of the latest record that was known, `day_end_at` when the portfolio's day ends that it lies in
    (microseconds).
    """

    portfolio_id: str
    base_currency: str
    position_version: int
    net_exposure: int | None
    gross_exposure: int | None
    unrealised_pnl: int | None
    realised_pnl: int | None
    income: int | None
    cash: int | None
    equity: int | None
    day_pnl: int | None
    day_price_effect: int | None
    day_fx_effect: int | None
    lines: int
    valued: int
    stale: int
    coverage_percent: int
    oldest_price_at: int | None
    left_out: tuple[str, ...]
    without_rate: tuple[str, ...]
    rates: tuple[UsedRate, ...]
    board: tuple[int, ...]
    generation: int
    sequence: int
    valued_at: int
    replies_offset: int | None = None
    as_of: int | None = None
    day_end_at: int | None = None
    limits: tuple[Limit, ...] = ()


class ValuationLine(NamedTuple):
    """A position valued. Amounts at scale 24: `cost`, `value`, `unrealised_pnl` in its currency, the `base_` ones converted."""

    portfolio_id: str
    position_id: str
    position_version: int
    instrument: str
    currency: str
    quantity: int
    multiplier: int
    cost: int
    state: LineState
    reason: str
    price: int | None
    price_choice: str | None
    price_source: str | None
    price_at: int | None
    reference_price: int | None
    reference_kind: str | None
    rate: UsedRate | None
    value: int | None
    unrealised_pnl: int | None
    base_value: int | None
    base_unrealised_pnl: int | None
    generation: int
    sequence: int
    valued_at: int


def valuation_of(portfolio: Portfolio, totals: Totals, rates: Rates, board: tuple[int, ...], stamp: Stamp) -> Valuation:
    """The record of a portfolio's totals."""
    effects = totals.price_effect, totals.fx_effect
    return Valuation(
        portfolio_id=portfolio.portfolio_id,
        base_currency=portfolio.base_currency,
        position_version=portfolio.version,
        net_exposure=totals.rounded(totals.net),
        gross_exposure=totals.rounded(totals.gross),
        unrealised_pnl=totals.rounded(totals.unrealised),
        realised_pnl=totals.rounded(totals.realised),
        income=totals.rounded(totals.income),
        cash=totals.rounded(totals.cash),
        equity=totals.rounded(totals.equity),
        day_pnl=None if effects[0] is None or effects[1] is None else totals.rounded(effects[0] + effects[1]),
        day_price_effect=totals.rounded(effects[0]),
        day_fx_effect=totals.rounded(effects[1]),
        lines=totals.lines,
        valued=totals.valued,
        stale=totals.stale,
        coverage_percent=totals.coverage_percent,
        oldest_price_at=totals.oldest,
        left_out=totals.left_out,
        without_rate=totals.without_rate,
        rates=used_rates(portfolio.base_currency, currencies_of(portfolio), rates.now),
        board=board,
        generation=stamp.generation,
        sequence=stamp.sequence,
        valued_at=stamp.valued_at,
        limits=portfolio.policy.limits,
    )


def currencies_of(portfolio: Portfolio) -> tuple[str, ...]:
    """Currencies of a portfolio's balances and positions, in their order."""
    return tuple(dict.fromkeys((*portfolio.balances, *(position.currency for position in portfolio.positions.values()))))


def used_rates(base: str, currencies: Iterable[str], graph: FxGraph) -> tuple[UsedRate, ...]:
    """The rates of these currencies in a base currency, but for its own."""
    found = ((currency, graph.rate(currency, base)) for currency in currencies)
    return tuple(_used(currency, rate) for currency, rate in found if rate is not None and rate.sources)


def line_of(portfolio: Portfolio, line: Line, stamp: Stamp) -> ValuationLine:
    """The record of a line."""
    position, price, part = line.position, line.mark.price, line.part
    reference = line.mark.reference if position.quantity else None
    return ValuationLine(
        portfolio_id=portfolio.portfolio_id,
        position_id=position.position_id,
        position_version=portfolio.version,
        instrument=position.instrument,
        currency=position.currency,
        quantity=position.quantity,
        multiplier=position.multiplier,
        cost=position.cost,
        state=line.state,
        reason=line.reason,
        price=price and price.price,
        price_choice=price and price.choice,
        price_source=price and price.source,
        price_at=price and price.time,
        reference_price=reference and reference.price,
        reference_kind=reference and reference.kind,
        rate=None if line.rate is None else _used(position.currency, line.rate),
        value=None if part is None else divide_half_even(part.value, _ROUND),
        unrealised_pnl=None if part is None else divide_half_even(part.value - part.cost, _ROUND),
        base_value=None if part is None else line.rounded(part.value),
        base_unrealised_pnl=None if part is None else line.rounded(part.value - part.cost),
        generation=stamp.generation,
        sequence=stamp.sequence,
        valued_at=stamp.valued_at,
    )


def _used(currency: str, rate: FxRate) -> UsedRate:
    value = divide_half_even(rate.rate.numerator * 10**AMOUNT_SCALE, rate.rate.denominator)
    return UsedRate(currency, value, rate.as_of, rate.sources, rate.is_stale)


def check_valuation(record: Valuation | ValuationLine) -> Valuation | ValuationLine:
    """Return a record unchanged that says of whom, as of when and by what order it is. Raises DataValidationError."""
    check_id(record.portfolio_id, field="portfolio_id")
    for name in ("generation", "sequence", "position_version"):
        check_whole(getattr(record, name), field=name)
    check_time(record.valued_at, field="valued_at")
    if isinstance(record, ValuationLine):
        check_id(record.position_id, field="position_id")
        check_instrument(record.instrument)
        times = {"price_at": record.price_at, "rate.as_of": None if record.rate is None else record.rate.as_of}
    else:
        if not 0 <= record.valued <= record.lines:
            raise DataValidationError("inconsistent", f"valued: {record.valued} of {record.lines} lines", field="valued")
        times = {name: getattr(record, name) for name in ("oldest_price_at", "as_of", "day_end_at")}
        times |= {f"rates.{rate.currency}.as_of": rate.as_of for rate in record.rates}
    for name, time in times.items():
        if time is not None:
            check_time(time, field=name)
    return record
