"""The sources of rates that the settings name."""

from __future__ import annotations

from fractions import Fraction

from market.fx import CONFIGURED, FxQuote
from market.instrument import code_of
from processors.valuing.rates import RateSources
from runtime.errors import ConfigurationError, Problem
from runtime.settings import ValuationSettings


def rate_sources(settings: ValuationSettings) -> RateSources:
    """Where rates come from. Raises ConfigurationError for an instrument that is no pair of currencies."""
    pairs = {instrument: _pair(instrument) for instrument in settings.rate_instruments}
    stated = [
        FxQuote(one.base, one.quote, Fraction(one.rate), round(one.as_of.timestamp() * 1e6), CONFIGURED)
        for one in settings.stated_rates
    ]
    return RateSources(pairs, stated, round(settings.rate_stale_after_seconds * 1e6))


def _pair(instrument: str) -> tuple[str, str]:
    base, _, quote = code_of(instrument).partition("-")
    if not base or not quote or "-" in quote or base == quote:
        raise ConfigurationError(
            Problem(
                "processors.valuation.rate_instruments",
                "must be instruments that quote one currency in another, such as binance:BTC-USDT",
                instrument,
            )
        )
    return base, quote
