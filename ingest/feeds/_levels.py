"""Levels of order books as venues write them: rows of price and size as text, exact, with or without the text beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from market.decimals import parse_decimal, parse_positive
from market.depth import Level
from market.errors import DataValidationError

Row = Sequence[str]
"""Price, size, and whatever the venue adds."""


def levels_of(rows: Iterable[Row], field: str, text_of: Callable[[str, str], str] | None = None) -> tuple[Level, ...]:
    """Levels in the venue's order; `text_of` price and size is what its checksum reads.

    Raises DataValidationError naming `field`: a row too short, a price not above zero, a size below zero, no decimal.
    """
    found = []
    for row in rows:
        if len(row) < 2:
            raise DataValidationError("missing_field", f"{field}: a level needs a price and a size", field=field)
        price, size = row[0], row[1]
        text = None if text_of is None else text_of(price, size)
        found.append(Level(parse_positive(price, field=field), _size(size, field), text))
    return tuple(found)


def _size(text: str, field: str) -> int:
    size = parse_decimal(text, field=field)
    if size < 0:
        raise DataValidationError("negative", f"{field}: {text!r:.80} is below zero", field=field)
    return size
