"""Cursors: the key of the last row of a page, as text that a client hands back to get the next one. Pure.

A cursor holds what was asked too, so that one of another question, which would skip or repeat rows, is refused. It is no secret
and opens nothing: whoever changes it gets another page of what he may ask for anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from market.errors import DataValidationError

KeyValue = int | str
_LONGEST = 2_000
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What JSON can escape but no encoding has."""


def cursor_of(question: Sequence[KeyValue], key: Sequence[KeyValue]) -> str:
    """The cursor behind a row of an answer to a question."""
    text = json.dumps([list(question), list(key)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_of(cursor: str, question: Sequence[KeyValue], kinds: Sequence[type[KeyValue]]) -> list[KeyValue]:
    """The key in a cursor. Raises DataValidationError unless it is one of this question, with values of these kinds."""
    if len(cursor) > _LONGEST:
        raise _bad("is too long")
    try:
        found: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        asked, key = found
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise _bad("is none of ours") from error
    if not isinstance(key, list) or [type(value) for value in key] != list(kinds) or not all(map(_can_be_asked, key)):
        raise _bad("is none of ours")
    if asked != list(question):
        raise _bad("belongs to another question; ask the same one again, or none for the first page")
    return list(key)


def _can_be_asked(value: KeyValue) -> bool:
    """Whether a database has such values."""
    if isinstance(value, str):
        return "\0" not in value and not _SURROGATE.search(value)
    return -(1 << 63) <= value < 1 << 63


def _bad(why: str) -> DataValidationError:
    return DataValidationError("bad_cursor", f"cursor: {why}", field="cursor")
