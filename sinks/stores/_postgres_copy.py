"""Values as PostgreSQL's COPY text: exact, straight from unscaled integers and microseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from market.decimals import SCALE, format_decimal

NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000


class Row(NamedTuple):
    """A line for a table. `version` orders the rows of one key; `month` is year × 12 + month - 1 of a partitioned table."""

    table: str
    key: tuple[str | int | None, ...]
    version: tuple[int, ...]
    month: int | None
    line: str


def line(*values: str) -> str:
    """A line of COPY text of values that are such text."""
    return "\t".join(values) + "\n"


def escape(text: str) -> str:
    """A text as COPY reads it."""
    return text if text.isalnum() else text.translate(_ESCAPES)  # most are plain ids, and asking is ten times as fast


def text_or_null(text: str | None) -> str:
    """A text as COPY reads it, or null."""
    return NULL if text is None else escape(text)


def figure_or_null(unscaled: int | None, scale: int = SCALE) -> str:
    """A decimal to its last digit, or null."""
    return NULL if unscaled is None else format_decimal(unscaled, scale)


def whole_or_null(value: int | None) -> str:
    """An integer, or null."""
    return NULL if value is None else str(value)


def flag(value: bool) -> str:
    """A boolean."""
    return "t" if value else "f"


def time_text(micros: int) -> str:
    """An instant as PostgreSQL reads it, to the microsecond."""
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{_second_text(seconds)}.{fraction:06d}+00"


def time_or_null(micros: int | None) -> str:
    """An instant, or null."""
    return NULL if micros is None else time_text(micros)


def month_of(micros: int) -> int:
    """The month an instant lies in, counted as year × 12 + month - 1, UTC."""
    return _month_of_day(micros // _DAY)


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=1024)
def _month_of_day(day: int) -> int:
    date = _EPOCH + timedelta(days=day)
    return date.year * 12 + date.month - 1
