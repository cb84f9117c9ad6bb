"""Figures that venues write as JSON numbers, taken as the text that the frame has: no binary fraction comes in between."""

from __future__ import annotations

import msgspec

from market.decimals import parse_decimal
from market.errors import DataValidationError

ABSENT = msgspec.Raw(b"")
"""Default of a field that a frame may leave out."""

_NULL = b"null"
_OPENINGS = b"-0123456789"


def number(raw: msgspec.Raw, field: str) -> str:
    """Text of a number. Raises DataValidationError: `missing_field` for null and nothing, `wrong_type` for anything else."""
    text = number_or_none(raw, field)
    if text is None:
        raise DataValidationError("missing_field", f"{field}: the frame does not have it", field=field)
    return text


def number_or_none(raw: msgspec.Raw, field: str) -> str | None:
    """Text of a number, None of null and of nothing. Raises DataValidationError (`wrong_type`)."""
    data = bytes(raw)
    if not data or data == _NULL:
        return None
    if data[0] not in _OPENINGS:
        raise DataValidationError("wrong_type", f"{field}: {data[:40]!r} is no number", field=field)
    return data.decode()


def exact_or_none(text: str | None, field: str) -> str | None:
    """The text of a figure that the venue adds up in binary fractions, None where a record cannot hold all its digits.

    Such a figure (a volume of 24 hours: 1.7023900800000002) is not rounded, and is no reason to refuse the prices beside it.
    """
    try:
        parse_decimal(text or "", field=field)
    except DataValidationError as error:
        if text and error.reason != "too_precise":
            raise
        return None
    return text
