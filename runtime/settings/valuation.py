"""Settings of how portfolios are valued."""

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field

from runtime.settings.base import Names, Seconds, Section, Text

__all__ = ["StatedRateSettings", "ValuationSettings"]


class StatedRateSettings(Section):
    """A rate that no feed gives. Where it is used a valuation says so, and as of when it is."""

    base: Text
    """Currency of which one unit is priced."""
    quote: Text
    """Currency it is priced in."""
    rate: Annotated[Decimal, Field(gt=0)]
    """Price of one unit of base."""
    as_of: AwareDatetime
    """When that was so, such as 2026-01-31T12:00:00Z."""


class ValuationSettings(Section):
    """The agent that values portfolios."""

    rate_instruments: Names = ()
    """Instruments whose prices are rates between currencies, such as binance:BTC-USDT, the preferred ones first."""
    stated_rates: tuple[StatedRateSettings, ...] = ()
    """Rates that no feed gives; any instrument is preferred to them."""
    rate_stale_after_seconds: Seconds = 60.0
    """Age of an instrument's price, counted while its market is open, beyond which what is converted by it is stale."""
    lines_seconds: Annotated[float, Field(ge=0)] = 1.0
    """At most one line of a position in that time. Totals have the period of their portfolio's policy."""
    snapshot_seconds: Seconds = 60.0
    """After so much time all of a portfolio is told though nothing changed."""
