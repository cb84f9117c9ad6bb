"""Prices that somebody puts in the place of the market's, for one portfolio, in a role, for a reason and until a time."""

from __future__ import annotations

from market.errors import DataValidationError
from market.instrument import check_instrument
from market.portfolio import Portfolio, PriceOverride
from market.portfolio_commands import NewPrice, OverridePrice, OverridePrices
from market.quality import check_id, check_positive, check_time

MOST_PRICES = 500
"""Prices of one command."""


def override(portfolio: Portfolio, command: OverridePrice, at: int) -> Portfolio:
    """Override a price, or end that. Raises DataValidationError."""
    if command.price is not None:
        _check_terms(command, at)
    overrides = dict(portfolio.overrides)
    _put(overrides, NewPrice(command.instrument, command.price), command, at)
    return portfolio._replace(overrides=overrides)


def override_all(portfolio: Portfolio, command: OverridePrices, at: int) -> Portfolio:
    """Override several prices. Raises DataValidationError, which names the first one at fault as `prices.3.price`."""
    instruments = [each.instrument for each in command.prices]
    if not 1 <= len(instruments) <= MOST_PRICES or len(set(instruments)) < len(instruments):
        raise DataValidationError("inconsistent", f"prices: 1 to {MOST_PRICES}, each instrument once", field="prices")
    if any(each.price is not None for each in command.prices):
        _check_terms(command, at)
    overrides = dict(portfolio.overrides)
    for number, each in enumerate(command.prices):
        try:
            _put(overrides, each, command, at)
        except DataValidationError as error:
            place = f"prices.{number}"
            raise DataValidationError(error.reason, f"{place}: {error}", field=f"{place}.{error.field}") from error
    return portfolio._replace(overrides=overrides)


def _check_terms(command: OverridePrice | OverridePrices, at: int) -> None:
    for name in ("actor", "role", "reason"):
        check_id(getattr(command, name), field=name)
    if command.expires_at is None or check_time(command.expires_at, field="expires_at") <= at:
        raise DataValidationError("bad_time", "expires_at: must be a time to come", field="expires_at")


def _put(overrides: dict[str, PriceOverride], new: NewPrice, command: OverridePrice | OverridePrices, at: int) -> None:
    instrument = check_instrument(new.instrument)
    if new.price is None or command.expires_at is None:
        if overrides.pop(instrument, None) is None:
            raise DataValidationError("missing", f"instrument: no price of {instrument} is overridden", field="instrument")
        return
    price = check_positive(new.price, field="price")
    terms = command.actor, command.role, command.reason, at, command.expires_at
    overrides[instrument] = PriceOverride(instrument, price, *terms)
