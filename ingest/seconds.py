"""Seconds as servers write them."""

from __future__ import annotations


def seconds_of(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; 0 where there is none, or a date, which no venue is known to write."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdecimal() else 0.0
