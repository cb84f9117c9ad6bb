"""Typed JSON decoding with the errors of the domain: every way a frame can fail gets one stable reason word."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from market.errors import DataValidationError

_T = TypeVar("_T")

_MISSING = re.compile(r"missing required field `(\w+)`")
_PATH = re.compile(r"at `\$\.?(.*)`\Z")


def decode(decoder: msgspec.json.Decoder[_T], frame: bytes) -> _T:
    """Decode a frame.

    Raises DataValidationError: `malformed_json`, `missing_field` or `wrong_type`; the latter two name the field by its path.
    """
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise _mismatch(str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DataValidationError("malformed_json", f"the frame is no JSON: {error}") from None


def _mismatch(text: str) -> DataValidationError:
    at = _PATH.search(text)
    path = at[1] if at else ""
    missing = _MISSING.search(text)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return DataValidationError("missing_field", f"{field}: the frame does not have it", field=field)
    return DataValidationError("wrong_type", f"{path or 'the frame'}: {text}", field=path or None)
