"""Times between the domain, which has microseconds since 1970, and PostgreSQL. Pure and exact: no float on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(micros: int) -> datetime:
    """A time as the database takes it."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_of(text: str) -> int:
    """A time as the database writes it, with its offset from UTC."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
