"""Figures of the settings as computations have them."""

from __future__ import annotations

from decimal import Decimal

from market.decimals import parse_decimal
from market.errors import DataValidationError
from runtime.errors import ConfigurationError, Problem


def unscaled(value: Decimal, key: str) -> int:
    """A figure at scale 12; `key` is the setting's name. Raises ConfigurationError when it has more digits than that."""
    try:
        return parse_decimal(str(value), field=key)
    except DataValidationError as error:
        raise ConfigurationError(Problem(key, str(error).removeprefix(f"{key}: "))) from error
