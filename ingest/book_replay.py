"""Order books rebuilt from a recording as a reader of md.depth rebuilds them, and what the venue's checksums say of them.

A checksum is compared with the book after each message that has one, unless the book waits for a snapshot. One that differs
leaves the book in GAP (see `market.book`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from market.book import Book
from market.book_rules import BookRules
from market.decimals import format_decimal
from market.depth import BookState, Depth, DepthKind
from schemas.records import Record


@dataclass(slots=True)
class _Replayed:
    """The book of an instrument. `last` is the message before, `before` the state it left."""

    book: Book = field(default_factory=lambda: Book(BookRules()))
    messages: int = 0
    snapshots: int = 0
    compared: int = 0
    matched: int = 0
    missed: int = 0
    crossed: int = 0
    state: BookState = BookState.SYNCING
    last: Depth | None = None

    def take(self, depth: Depth) -> None:
        if not self._is_told_again(depth):
            self._count(depth)
        self.state, self.last = depth.state, depth
        if depth.state is BookState.LIVE:
            self.book.apply(depth)
            self.crossed += self.book.is_crossed

    def _count(self, depth: Depth) -> None:
        is_snapshot = depth.kind is DepthKind.SNAPSHOT
        self.messages += 1
        self.snapshots += is_snapshot
        if not is_snapshot and self.state is not BookState.LIVE:
            return
        is_live = depth.state is BookState.LIVE
        if depth.checksum is not None:
            self.compared += 1
            self.matched += is_live
        self.missed += not is_live

    def _is_told_again(self, depth: Depth) -> bool:
        """Whether this is the whole book as it is told once a minute, behind the venue's message."""
        last = self.last
        return (
            depth.kind is DepthKind.SNAPSHOT
            and last is not None
            and last.kind is DepthKind.DELTA
            and last.state is BookState.LIVE
            and (last.received_at, last.last_sequence, last.checksum)
            == (depth.received_at, depth.last_sequence, depth.checksum)
        )


class BookFold:
    """The books of every instrument in a stream of records."""

    def __init__(self) -> None:
        self._books: dict[str, _Replayed] = {}

    def take(self, record: Record) -> None:
        """Take a message about a book in; other records change nothing."""
        if isinstance(record, Depth):
            self._books.setdefault(record.instrument, _Replayed()).take(record)

    def books(self) -> list[dict[str, Any]]:
        """What became of each book, by instrument, as what JSON can hold.

        `missed` counts the messages after which the book could not be trusted any more: one was missed before, or the checksum
        differed.
        """
        return [_plain(instrument, self._books[instrument]) for instrument in sorted(self._books)]

    def summary(self) -> str:
        """The counts of all books for the operator."""
        books = self._books.values()
        live = sum(one.state is BookState.LIVE for one in books)
        compared, matched = sum(one.compared for one in books), sum(one.matched for one in books)
        messages, missed = sum(one.messages for one in books), sum(one.missed for one in books)
        return (
            f"books {len(books)} ({live} live at the end); messages {messages}, missed {missed}; "
            f"checksums compared {compared}, matched {matched}"
        )


def _plain(instrument: str, one: _Replayed) -> dict[str, Any]:
    bid, ask = one.book.bids.top, one.book.asks.top
    return {
        "instrument": instrument,
        "state": one.state.value,
        "messages": one.messages,
        "snapshots": one.snapshots,
        "missed": one.missed,
        "checksums_compared": one.compared,
        "checksums_matched": one.matched,
        "crossed": one.crossed,
        "bids": len(one.book.bids),
        "asks": len(one.book.asks),
        "bid": None if bid is None else format_decimal(bid.price),
        "bid_size": None if bid is None else format_decimal(bid.size),
        "ask": None if ask is None else format_decimal(ask.price),
        "ask_size": None if ask is None else format_decimal(ask.size),
    }
