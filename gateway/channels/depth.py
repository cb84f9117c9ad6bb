"""DEPTH: the best levels of an order book at each change; who falls behind gets the latest only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.channels._latest_record import LatestRecordChannel
from market.book_top import BookTop
from market.decimals import format_decimal
from market.depth import Level
from schemas.topics import BOOKS


class Channel(LatestRecordChannel):
    """Tops of books by instrument. One that tells of an earlier message of the venue than the one before is not told."""

    data_type = "DEPTH"
    message_type = "depth_data"
    store = "books"
    records = (BookTop,)
    topics = (BOOKS,)
    fields = BookTop._fields

    def is_newer(self, record: BookTop, kept: BookTop) -> bool:
        """By receive time first, since a topic that was made anew counts its offsets from zero."""
        return (record.received_at, record.source_offset) > (kept.received_at, kept.source_offset)

    def describe(self, record: BookTop) -> dict[str, Any]:
        """A book as messages carry it: levels as [price, size], best first."""
        figures = {name: getattr(record, name) for name in ("spread", "imbalance", "microprice")}
        return record._asdict() | {
            "state": record.state.value,
            "bids": _levels(record.bids),
            "asks": _levels(record.asks),
            **{name: None if value is None else format_decimal(value) for name, value in figures.items()},
        }


def _levels(levels: Iterable[Level]) -> list[list[str]]:
    return [[format_decimal(level.price), format_decimal(level.size)] for level in levels]
