"""The order books of one feed: the messages of its depth channels become records that say whether the book can be trusted.

Who begins to read in the middle needs a snapshot before deltas are of use, so each book is told whole once a minute.

One channel tells of the book of an instrument. A snapshot that was asked for beside the streams belongs to that channel's
book; one that comes before the channel does is kept for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.feed import Subscription
from market.book import Book
from market.book_rules import BookRules
from market.depth import BookState, Depth, DepthKind

WHOLE_EVERY = 60_000_000
"""Microseconds of receive time after which a book is told whole again."""


@dataclass(slots=True)
class Followed:
    """The book of an instrument, with the stream and the line that tell of it; no line while that is down."""

    stream: Subscription
    line: str | None
    book: Book
    told_whole_at: int = 0


class Books:
    """The books by instrument."""

    def __init__(self) -> None:
        self._followed: dict[str, Followed] = {}
        self._early: dict[str, Depth] = {}

    def of(self, instrument: str) -> Followed | None:
        """The book of an instrument, None while no stream tells of it."""
        return self._followed.get(instrument)

    def unsynced(self) -> list[Followed]:
        """Books that need a snapshot: fetched where their rules say so, else by subscribing again."""
        return [followed for followed in self._followed.values() if followed.book.state is not BookState.LIVE]

    def attach(self, stream: Subscription, line: str, rules: BookRules) -> list[Depth]:
        """Let a stream tell of its instrument's book: begin it, or go on with it after the stream was down.

        What is to be told of a snapshot that was waiting for the stream.
        """
        followed = self._followed.get(stream.instrument)
        if followed is None or followed.stream != stream:
            followed = self._followed[stream.instrument] = Followed(stream, line, Book(rules))
        followed.line = line
        early = self._early.pop(stream.instrument, None)
        return [] if early is None else self._told(followed, early)

    def take(self, depth: Depth) -> list[Depth]:
        """Take a message of an attached stream in; what it is to be told as, nothing where it is old."""
        return self._told(self._followed[depth.instrument], depth)

    def take_fetched(self, depth: Depth) -> list[Depth]:
        """Take a snapshot in that was asked for; where no stream is attached it is kept for the stream."""
        followed = self._followed.get(depth.instrument)
        if followed is not None and followed.line is not None:
            return self._told(followed, depth)
        self._early[depth.instrument] = depth
        return []

    def lost(self, streams: Iterable[Subscription], line: str | None = None) -> None:
        """These streams are down, on this line or altogether.

        A book goes on where the venue's numbers would show what was missed; others begin anew.
        """
        for stream in streams:
            followed = self._followed.get(stream.instrument)
            if followed is None or followed.stream != stream or (line is not None and followed.line != line):
                continue
            if followed.book.rules.fetched:
                followed.line = None
            else:
                del self._followed[stream.instrument]

    def _told(self, followed: Followed, depth: Depth) -> list[Depth]:
        told = followed.book.apply(depth)
        if told is None:
            return []
        if told.kind is DepthKind.SNAPSHOT:
            followed.told_whole_at = told.received_at
        elif told.state is BookState.LIVE and told.received_at - followed.told_whole_at >= WHOLE_EVERY:
            followed.told_whole_at = told.received_at
            return [told, followed.book.whole(depth)]
        return [told]
