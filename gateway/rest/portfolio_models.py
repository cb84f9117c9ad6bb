"""What REST answers about portfolios look like. Figures are exact decimal text; null is what is not known, never zero."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.portfolios.orders import CreateForm, LimitForm, PolicyForm
from gateway.rest.models import ErrorDetail, Micros, Stamp
from market.limits import LimitKind

MOST_REVALUED = 500


class RevalueBody(BaseModel):
    """Portfolios to be valued anew."""

    model_config = ConfigDict(extra="forbid")

    portfolio_ids: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=MOST_REVALUED)


class CreateBody(CreateForm):
    """A portfolio to begin."""

    portfolio_id: str = Field(min_length=1, max_length=200)


class RateBody(BaseModel):
    """What one unit of a currency is in the base currency, and since when."""

    currency: str
    rate: str
    as_of: Micros | None
    sources: list[str]
    is_stale: bool


class LotBody(BaseModel):
    """A part of a position that one fill opened."""

    quantity: str
    cost: str
    opened_at: Micros


class PositionBody(BaseModel):
    """A position as it is held: `cost` is the total one, `version` that of the portfolio when it changed last."""

    position_id: str
    instrument: str
    currency: str
    multiplier: str
    settlement: str
    quantity: str
    cost: str
    average_price: str | None
    lots: list[LotBody]
    realised_pnl: str
    fees: str
    funding: str
    dividends: str
    opened_at: Micros
    updated_at: Micros
    version: int


class LineBody(BaseModel):
    """What a position is worth, by which price and rate. UNPRICED and NO_FX have no value, STALE has an old one."""

    portfolio_id: str
    position_id: str
    position_version: int
    instrument: str
    currency: str
    quantity: str
    multiplier: str
    cost: str
    state: str = Field(description="PRICED, STALE, UNPRICED or NO_FX.")
    reason: str = Field(description="Why it is not simply PRICED.")
    price: str | None
    price_choice: str | None
    price_source: str | None
    price_at: Micros | None
    reference_price: str | None
    reference_kind: str | None
    rate: RateBody | None
    value: str | None
    unrealised_pnl: str | None
    base_value: str | None
    base_unrealised_pnl: str | None
    generation: int | None
    sequence: int | None
    valued_at: Micros | None
    is_outdated: bool = Field(description="The position was changed since, and not valued anew yet.")


class PastTotalsBody(BaseModel):
    """What a portfolio was worth in its base currency: of the lines that had a value, which `coverage_percent` tells."""

    portfolio_id: str
    base_currency: str
    position_version: int
    net_exposure: str | None
    gross_exposure: str | None
    unrealised_pnl: str | None
    realised_pnl: str | None
    income: str | None
    cash: str | None
    equity: str | None
    day_pnl: str | None
    day_price_effect: str | None
    day_fx_effect: str | None
    lines: int
    valued: int
    stale: int
    coverage_percent: str
    oldest_price_at: Micros | None
    left_out: list[str] = Field(description="Positions without a value.")
    without_rate: list[str] = Field(description="Currencies of balances that have no rate.")
    rates: list[RateBody]
    generation: int
    sequence: int
    valued_at: Micros
    as_of: Micros | None = Field(description="Time of the latest record that was known.")
    day_end_at: Micros | None = Field(description="When the portfolio's day ends that this lies in.")


class TotalsBody(PastTotalsBody):
    """What a portfolio is worth in its base currency: of the lines that have a value, which `coverage_percent` tells."""

    board: list[int] = Field(description="Next offset of each partition of the prices it reflects.")
    replies_offset: int | None = Field(description="Next offset of the answers to commands it reflects, of its partition.")
    limits: list[LimitForm] = Field(description="What the figures are held against.")


class AlertBody(BaseModel):
    """A limit was breached, or is kept again: amounts in the base currency, of PRICE_AGE seconds."""

    portfolio_id: str
    kind: LimitKind
    is_breached: bool
    value: str | None = Field(description="Null where the limit was taken away while it was breached.")
    threshold: str
    clears_at: str
    base_currency: str
    position_version: int
    oldest_price_at: Micros | None
    as_of: Micros | None
    valued_at: Micros
    source_topic: str
    source_partition: int
    source_offset: int


class PortfolioPageMetadata(Stamp):
    """With whose past it is, and where the next page begins."""

    portfolio_id: str
    cursor: str | None = Field(description="Ask with it for the next page; null where nothing follows now.")


class RevaluedMetadata(Stamp):
    """With how it went: one error for each portfolio that was not valued, which names it."""

    errors: list[ErrorDetail]
    valued: int
    conflicts: int = Field(description="Of the errors those for a stale version.")
    elapsed_micros: int


class BalanceBody(BaseModel):
    """Cash of one currency, and what it came of."""

    cash: str
    deposited: str
    transferred: str
    realised_pnl: str
    fees: str
    funding: str
    dividends: str


class OverrideBody(BaseModel):
    """A price that somebody put in the place of the market's."""

    instrument: str
    price: str
    actor: str
    role: str
    reason: str
    set_at: Micros
    expires_at: Micros


class PortfolioBody(BaseModel):
    """All that is known of a portfolio; `totals` is null until it was valued."""

    portfolio_id: str
    base_currency: str | None
    version: int | None
    policy: PolicyForm | None
    balances: dict[str, BalanceBody]
    overrides: list[OverrideBody]
    positions: list[PositionBody]
    totals: TotalsBody | None
    lines: list[LineBody]


class HeldPositionBody(BaseModel):
    """A position and what it is worth."""

    portfolio_id: str
    version: int
    position: PositionBody
    line: LineBody


class ValuedMetadata(Stamp):
    """With how old the valuation is."""

    valuation_age_micros: int | None


class CommandBody(BaseModel):
    """A command that was accepted; `version` is the portfolio's after it."""

    portfolio_id: str
    command_id: str
    command: str
    version: int
    position_id: str | None
    decided_at: Micros
    instruments: list[str] = Field(description="Those whose price it has set or given back.")


class Percentiles(BaseModel):
    """Of the latest answers, by nearest rank."""

    p50: int | None
    p95: int | None
    p99: int | None


class RevaluationStatsBody(BaseModel):
    """How revaluations that were asked for here went since this gateway began, of the portfolios that may be seen."""

    valued: int
    failed: int = Field(description="Refused, or not answered or valued in time.")
    latency_micros: Percentiles = Field(description="From the request to the totals that it is in, being read here.")
    measured: int


class CommandStatsBody(BaseModel):
    """How commands went since this gateway began, of the portfolios that may be seen."""

    since: Micros
    accepted: int
    refused: dict[str, int] = Field(description="How many were refused, by reason.")
    conflicts: int = Field(description="Refused for a stale version.")
    repeated: int = Field(description="Answers that came again.")
    latency_micros: Percentiles = Field(description="From a command's append to its answer being read here.")
    measured: int


class ValuationStatsBody(BaseModel):
    """How well portfolios are valued, of those that may be seen."""

    portfolios: int
    valued: int
    incomplete: int = Field(description="Valued, but with lines that have no value.")
    oldest_age_micros: int | None
    newest_age_micros: int | None


class StatsBody(BaseModel):
    """Commands, revaluations and valuations."""

    commands: CommandStatsBody
    revaluations: RevaluationStatsBody
    valuations: ValuationStatsBody
