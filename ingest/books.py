"""The order books of one feed: the messages of its depth channels become records that say whether the book can be trusted.

One channel tells of the book of an instrument. A snapshot that was asked for beside the streams belongs to that channel's
book; one that comes before the channel does is kept for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.feed import Subscription
from market.book import Book
from market.book_rules import BookRules
from market.depth import BookState, Depth


@dataclass(slots=True)
class Followed:
    """The book of an instrument, with the stream and the line that tell of it; no line while that is down."""

    stream: Subscription
    line: str | None
    book: Book


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

    def attach(self, stream: Subscription, line: str, rules: BookRules) -> Depth | None:
        """Let a stream tell of its instrument's book: begin it, or go on with it after the stream was down.

        What is to be told of a snapshot that was waiting for the stream, None where none was.
        """
        followed = self._followed.get(stream.instrument)
        if followed is None or followed.stream != stream:
            followed = self._followed[stream.instrument] = Followed(stream, line, Book(rules))
        followed.line = line
        early = self._early.pop(stream.instrument, None)
        return None if early is None else followed.book.apply(early)

    def take(self, depth: Depth) -> Depth | None:
        """Take a message of an attached stream in, as `market.book.Book.apply`."""
        return self._followed[depth.instrument].book.apply(depth)

    def take_fetched(self, depth: Depth) -> Depth | None:
        """Take a snapshot in that was asked for; where no stream is attached it is kept for the stream."""
        followed = self._followed.get(depth.instrument)
        if followed is not None and followed.line is not None:
            return followed.book.apply(depth)
        self._early[depth.instrument] = depth
        return None

    def lost(self, streams: Iterable[Subscription]) -> None:
        """These streams are down. A book goes on where the venue's numbers would show what was missed; others begin anew."""
        for stream in streams:
            followed = self._followed.get(stream.instrument)
            if followed is None or followed.stream != stream:
                continue
            if followed.book.rules.fetched:
                followed.line = None
            else:
                del self._followed[stream.instrument]
