"""BOOK: the whole order book, then what changes in it. Who missed something asks again, and gets the whole book anew.

Each message names the one before it (`previous_offset`, an offset of the topic, so the same on every replica): a delta that
does not follow the last message of a reader's book tells it that one was missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode, room_of
from gateway.requests import Request
from market.book_side import BookSide
from market.book_tops import BookHead, BookTops, TopRules
from market.decimals import format_decimal
from market.depth import BookState, Depth, DepthKind, Level
from schemas.topics import DEPTH


class _Change(NamedTuple):
    """What the last record is to those who have the book up to `previous_offset`."""

    kind: DepthKind
    bids: Sequence[Level]
    asks: Sequence[Level]
    previous_offset: int | None


class _Book:
    """The book of an instrument as the topic tells it; `last` is the record that changed it last."""

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.begin()

    def begin(self) -> None:
        """Know nothing of it."""
        source = DEPTH.name, 0
        sides = BookSide(is_bid=True), BookSide(is_bid=False)
        self.tops: BookTops[BookSide] = BookTops(self.instrument, BookHead(), *sides, source=source, rules=TopRules())
        self.last: Arrival | None = None
        self.change: _Change | None = None

    def is_overtaken_by(self, arrival: Arrival) -> bool:
        """Whether offsets count anew, since the topic was made anew."""
        last = self.last
        return (
            last is not None
            and arrival.source.offset <= last.source.offset
            and arrival.record.received_at > last.record.received_at
        )

    def take(self, arrival: Arrival) -> bool:
        """Bring the book up to a record; whether that tells anything."""
        depth: Depth = arrival.record
        last = self.last
        if last is not None and arrival.source.offset <= last.source.offset:
            return False
        before = self.tops.state
        self.tops.apply(depth, arrival.source.offset)
        self.last = arrival
        previous = None if last is None else last.source.offset
        if self.tops.state is not BookState.LIVE:
            self.change = _Change(DepthKind.DELTA, (), (), previous)
            return before is not self.tops.state
        self.change = _Change(depth.kind, depth.bids, depth.asks, previous)
        return True


class Channel:
    """Books by instrument: a snapshot first, then deltas. In any state but LIVE a book cannot be trusted, until a snapshot."""

    data_type = "BOOK"
    message_type = "book_data"
    delivery = "deltas"
    records = (Depth,)
    topics = (DEPTH,)
    fields = ("instrument", "kind", "state", "bids", "asks", "sequence", "exchange_time", "received_at", "previous_offset")

    def __init__(self, options: ChannelOptions) -> None:
        self._books: LatestStore[str, _Book] = LatestStore("whole_books", options.capacity)

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have a book."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Bring the book up to a record; None for one that tells nothing, while the book waits for its snapshot."""
        instrument = arrival.record.instrument
        book = self._books.entry(instrument, lambda: _Book(instrument))
        if book.is_overtaken_by(arrival):
            book.begin()
        return room_of(self.data_type, instrument) if book.take(arrival) else None

    def render(self, arrival: Arrival, now: int) -> Message:
        """What the record just taken changed."""
        book = self._books.entry(arrival.record.instrument, lambda: _Book(arrival.record.instrument))
        change = book.change or _Change(DepthKind.DELTA, (), (), None)
        return self._message(book, arrival, change, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The whole book as it is now, if there is one."""
        book = self._books.look_up(grant.room.instrument)
        if book is None or book.last is None:
            return []
        live = book.tops.state is BookState.LIVE
        whole = _Change(DepthKind.SNAPSHOT, tuple(book.tops.bids) if live else (), tuple(book.tops.asks) if live else (), None)
        return [self._message(book, book.last, whole, now, {"snapshot": True})]

    def _message(self, book: _Book, arrival: Arrival, change: _Change, now: int, metadata: dict[str, Any]) -> Message:
        room, source = room_of(self.data_type, book.instrument), arrival.source
        data = {
            "instrument": book.instrument,
            "kind": change.kind.value,
            "state": book.tops.state.value,
            "bids": _levels(change.bids),
            "asks": _levels(change.asks),
            "sequence": book.tops.last_sequence,
            "exchange_time": book.tops.exchange_time,
            "received_at": arrival.record.received_at,
            "previous_offset": change.previous_offset,
        }
        return Message(room, None, source, encode(self.message_type, now, data, metadata | source.metadata()))


def _levels(levels: Iterable[Level]) -> list[list[str]]:
    return [[format_decimal(level.price), format_decimal(level.size)] for level in levels]
