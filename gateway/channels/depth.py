"""DEPTH: the best levels of an order book at each change; who falls behind gets the latest only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode
from gateway.requests import Request
from market.book_top import BookTop
from market.decimals import format_decimal
from market.depth import Level
from schemas.topics import BOOKS


class _Latest:
    """The last book of an instrument."""

    def __init__(self) -> None:
        self.arrival: Arrival | None = None


class Channel:
    """Tops of books by instrument. One that tells of an earlier message of the venue than the one before is not told."""

    data_type = "DEPTH"
    message_type = "depth_data"
    delivery = "latest"
    records = (BookTop,)
    topics = (BOOKS,)
    fields = BookTop._fields

    def __init__(self, options: ChannelOptions) -> None:
        self._books: LatestStore[str, _Latest] = LatestStore("books", options.capacity)

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have a book."""
        return Grant(Room(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the book; None for one that was told before."""
        top: BookTop = arrival.record
        latest = self._books.entry(top.instrument, _Latest)
        if latest.arrival is not None and _place(top) <= _place(latest.arrival.record):
            return None
        latest.arrival = arrival
        return Room(self.data_type, top.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The book after this record."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The book as it stands, if there is one."""
        latest = self._books.look_up(grant.room.instrument)
        if latest is None or latest.arrival is None:
            return []
        return [self._message(latest.arrival, now, {"snapshot": True})]

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        room = Room(self.data_type, arrival.record.instrument)
        payload = encode(self.message_type, now, describe(arrival.record), metadata | arrival.source.metadata())
        return Message(room, room, arrival.source, payload)


def _place(top: BookTop) -> tuple[int, int]:
    """Order of books: by receive time first, since a topic that was made anew counts its offsets from zero."""
    return top.received_at, top.source_offset


def describe(top: BookTop) -> dict[str, Any]:
    """A book as messages carry it: levels as [price, size], best first."""
    figures = {name: getattr(top, name) for name in ("spread", "imbalance", "microprice")}
    return top._asdict() | {
        "state": top.state.value,
        "bids": _levels(top.bids),
        "asks": _levels(top.asks),
        **{name: None if value is None else format_decimal(value) for name, value in figures.items()},
    }


def _levels(levels: Iterable[Level]) -> list[list[str]]:
    return [[format_decimal(level.price), format_decimal(level.size)] for level in levels]
