"""The tops of one instrument's book, told from the messages of `md.depth` at a bounded rate.

The feed that wrote the messages judged them by the venue's rules, and their state is trusted: a LIVE snapshot is the whole
book, a LIVE delta what to change in it, anything else says that the book cannot be trusted. Which messages are told depends on
nothing but their kinds, states and receive times, so that a replay tells the same ones:

- at once when the state changes;
- in LIVE, the first message of each period of receive time (periods begin at multiples of their length), whether or not the
  best levels changed. What comes after it in a period is told with the first message of a later one, never by a clock.

A book is SYNCING until its first LIVE snapshot. In SYNCING and GAP its top has the levels, sequence and exchange time of the
last LIVE message, none if there was none yet: stale ones, dated by their sequence and time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from market.book_top import LEVELS, BookTop, Side, top_of
from market.depth import BookState, Depth, DepthKind, Level


class FollowedSide(Side, Protocol):
    """One side of a book that messages change; `market.book_side.BookSide` is one."""

    def replace(self, levels: Iterable[Level]) -> None:
        """Hold these levels and no others."""

    def put(self, level: Level) -> None:
        """Set the size at a price; size 0 removes it."""


@dataclass(slots=True)
class BookHead:
    """What is remembered of a book besides its levels; plain data.

    `sequence` and `exchange_time` are those of the last message in the levels; `told_state` and `told_at` (its receive time)
    are of the last top told.
    """

    applied_offset: int = -1
    state: BookState = BookState.SYNCING
    sequence: int | None = None
    exchange_time: int | None = None
    told_state: BookState | None = None
    told_at: int = 0


@dataclass(frozen=True, slots=True)
class TopRules:
    """How many levels of each side are told, and the period of which one top is (microseconds)."""

    levels: int = LEVELS
    period: int = 100_000


SideT = TypeVar("SideT", bound=FollowedSide)


class BookTops(Generic[SideT]):
    """Applies the messages of one instrument and gives the tops to tell.

    `settled` is the offset up to which the levels may be ahead of the messages: some of them are already as a message up to
    there left them. Sizes are absolute, so the levels are exact once `settled` is applied. No top is given before: all were.
    """

    def __init__(
        self,
        instrument: str,
        head: BookHead,
        bids: SideT,
        asks: SideT,
        *,
        source: tuple[str, int],
        rules: TopRules,
        settled: int = -1,
    ) -> None:
        self.instrument = instrument
        self.head = head
        self.bids = bids
        self.asks = asks
        self._source = source
        self._rules = rules
        self._settled = settled

    @property
    def state(self) -> BookState:
        """Whether the book can be trusted."""
        return self.head.state

    @property
    def last_sequence(self) -> int | None:
        """The venue's number of the last change in the levels."""
        return self.head.sequence

    @property
    def exchange_time(self) -> int | None:
        """The venue's time of the last change in the levels."""
        return self.head.exchange_time

    @property
    def reflected_offset(self) -> int:
        """Offset of the last message that any level reflects."""
        return max(self.head.applied_offset, self._settled)

    def apply(self, depth: Depth, offset: int) -> BookTop | None:
        """Take in one message at `offset`; at or below the last applied offset nothing happens."""
        head = self.head
        if offset <= head.applied_offset:
            return None
        head.applied_offset = offset
        if depth.state is not BookState.LIVE:
            head.state = depth.state
        elif depth.kind is DepthKind.SNAPSHOT:
            self.bids.replace(depth.bids)
            self.asks.replace(depth.asks)
            self._advance(depth)
        elif head.state is BookState.LIVE:
            for side, levels in ((self.bids, depth.bids), (self.asks, depth.asks)):
                for level in levels:
                    side.put(level)
            self._advance(depth)
        return self._tell(depth, offset) if self._is_due(depth.received_at) else None

    def miss(self, offset: int) -> None:
        """A message at `offset`, or some up to there, cannot be taken in: a LIVE book is in GAP until its next snapshot.

        That is told with the next message.
        """
        head = self.head
        if offset > head.applied_offset:
            head.applied_offset = offset
            if head.state is BookState.LIVE:
                head.state = BookState.GAP

    def _advance(self, depth: Depth) -> None:
        head = self.head
        head.state, head.sequence, head.exchange_time = BookState.LIVE, depth.last_sequence, depth.exchange_time

    def _is_due(self, received_at: int) -> bool:
        head, period = self.head, self._rules.period
        if head.state is not head.told_state:
            return True
        return head.state is BookState.LIVE and received_at // period != head.told_at // period

    def _tell(self, depth: Depth, offset: int) -> BookTop | None:
        head = self.head
        head.told_state, head.told_at = head.state, depth.received_at
        if offset <= self._settled:
            return None
        source = *self._source, offset
        return top_of(self, instrument=self.instrument, received_at=depth.received_at, source=source, levels=self._rules.levels)
