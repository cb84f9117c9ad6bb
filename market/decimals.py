"""Exact decimals as unscaled integers: the value is `unscaled / 10**scale`.

Prices and sizes have scale 12 and at most 38 digits, amounts (price × size) scale 24 and at most 50 digits, ratios scale 12.
Prices, sizes and amounts are never rounded on the way in: a text with more digits than the scale holds is refused. A ratio
that a venue worked out (a funding rate) is rounded half-even, as ours are.
"""

from __future__ import annotations

import re
from functools import lru_cache

from market.errors import DataValidationError
from market.remembered import Remembered

SCALE = 12
PRECISION = 38
AMOUNT_SCALE = 24
AMOUNT_PRECISION = 50

ONE = 10**SCALE
_DECIMAL = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?\Z", re.ASCII)
_LONGEST_TEXT = 128
_POWERS_OF_TEN: list[int] = [10**exponent for exponent in range(PRECISION)]


@lru_cache(maxsize=256)
def _power_of_ten(exponent: int) -> int:
    return int(10**exponent)


def parse_decimal(text: str, *, field: str, scale: int = SCALE, precision: int = PRECISION) -> int:
    """Read decimal text ("61685.99000000", "1e-7") as an unscaled integer.

    Raises DataValidationError naming `field` when the text is no finite decimal (`not_a_decimal`), has more fractional
    digits than `scale` (`too_precise`) or more digits than `precision` (`too_large`).
    """
    if isinstance(text, str):
        is_price = scale == SCALE and precision == PRECISION
        plain = PLAIN_PRICES[text] if is_price else plain_decimal(text, scale, precision)
        if plain is not None:
            return plain
    match = _DECIMAL.match(text) if isinstance(text, str) and len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise DataValidationError("not_a_decimal", f"{field}: {text!r:.80} is not a decimal number", field=field)
    sign, whole, fraction, exponent = match.groups(default="")
    digits = int(whole + fraction)
    shift = scale - len(fraction) + int(exponent or 0)
    if shift >= 0:
        unscaled = digits * _power_of_ten(shift)
    else:
        unscaled, lost = divmod(digits, _power_of_ten(-shift))
        if lost:
            raise DataValidationError("too_precise", f"{field}: {text!r:.80} has more than {scale} decimal places", field=field)
    if unscaled >= _power_of_ten(precision):
        raise DataValidationError("too_large", f"{field}: {text!r:.80} has more than {precision} digits", field=field)
    return -unscaled if sign == "-" else unscaled


def plain_decimal(text: str, scale: int = SCALE, precision: int = PRECISION) -> int | None:
    """What `parse_decimal` makes of most texts, digits with a point or without, sooner; None of any other."""
    whole, _, fraction = text.partition(".")
    digits, places = whole + fraction, len(fraction)
    if digits.isdecimal() and digits.isascii() and whole and places <= scale and len(whole) + scale <= precision:
        return int(digits) * _POWERS_OF_TEN[scale - places]
    return None


PLAIN_PRICES = Remembered(plain_decimal, 4096)
"""By text what `plain_decimal` makes of prices and sizes.

The same prices come again and again, and are found soonest by their text alone.
"""


def parse_ratio(text: str, *, field: str) -> int:
    """Like `parse_decimal`, for ratios that a venue worked out: digits behind the twelfth place are rounded, half to even."""
    places = 2 * SCALE
    return divide_half_even(parse_decimal(text, field=field, scale=places, precision=PRECISION + SCALE), 10 ** (places - SCALE))


def parse_positive(text: str, *, field: str) -> int:
    """Like `parse_decimal`, for prices and trade sizes: zero and negative values are refused (`not_positive`)."""
    unscaled = parse_decimal(text, field=field)
    if unscaled <= 0:
        raise DataValidationError("not_positive", f"{field}: {text!r:.80} is not above zero", field=field)
    return unscaled


def format_decimal(unscaled: int, scale: int = SCALE) -> str:
    """Shortest exact text of an unscaled integer: no exponent, no trailing zeros."""
    sign = "-" if unscaled < 0 else ""
    whole, fraction = divmod(abs(unscaled), _power_of_ten(scale))
    if fraction == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:0{scale}d}".rstrip("0")


def divide_half_even(numerator: int, denominator: int) -> int:
    """Integer quotient rounded half to even, for derived ratios. Raises ZeroDivisionError."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if denominator < 0:
        twice, denominator = -twice, -denominator
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def ratio(numerator: int, denominator: int) -> int:
    """Numerator / denominator (same scale) as an unscaled ratio of scale 12, rounded half-even."""
    return divide_half_even(numerator * ONE, denominator)


def vwap(amount: int, volume: int) -> int:
    """Volume-weighted average price at scale 12, from an amount at scale 24 and a volume at scale 12, half-even."""
    return divide_half_even(amount, volume)


def fits(unscaled: int, precision: int = PRECISION) -> bool:
    """Whether an unscaled integer has at most `precision` digits."""
    limit = _power_of_ten(precision)
    return -limit < unscaled < limit
