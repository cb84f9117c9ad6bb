"""Typed JSON decoding with the errors of the domain: every way a frame can fail gets one stable reason word."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from market.errors import DataValidationError

_T = TypeVar("_T")

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What a decoder raises of a frame; validation errors are decode errors."""

_MISSING = re.compile(r"missing required field `(\w+)`")
_PATH = re.compile(r"at `\$\.?(.*)`\Z")


def decode(decoder: msgspec.json.Decoder[_T], frame: bytes) -> _T:
    """Decode a frame.

    Raises DataValidationError: `malformed_json`, `missing_field` or `wrong_type`; the latter two name the field by its path.
    """
    try:
        return decoder.decode(frame)
    except UNREADABLE as error:
        raise refusal(error) from None


def refusal(error: Exception) -> DataValidationError:
    """What `decode` raises of one of UNREADABLE, for those who call the decoder themselves."""
    if isinstance(error, msgspec.ValidationError):
        return _mismatch(str(error))
    return DataValidationError("malformed_json", f"the frame is no JSON: {error}")


def _mismatch(text: str) -> DataValidationError:
    at = _PATH.search(text)
    path = at[1] if at else ""
    missing = _MISSING.search(text)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return DataValidationError("missing_field", f"{field}: the frame does not have it", field=field)
    return DataValidationError("wrong_type", f"{path or 'the frame'}: {text}", field=path or None)
