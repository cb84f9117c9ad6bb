"""A live feed that listens to a server of these tests, and all that it gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Self

from ingest import feeds
from ingest.connection import ConnectionOptions
from ingest.feed import ListeningVenue, Subscription
from ingest.live import LiveFeed
from market.book import Book
from market.book_rules import BookRules
from market.dead_letter import DeadLetter
from market.decimals import format_decimal
from market.depth import BookState, Depth
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, Trade
from runtime.retry import Backoff
from schemas.records import Record
from tests.exchange.exchange import WITHIN
from tests.exchange.server import LocalServer

FAST = ConnectionOptions(Backoff(0.05, 0.2), heartbeat_seconds=5, stale_after_seconds=30, proxy=None)


class Listener:
    """`records` are all so far, in order."""

    def __init__(
        self,
        venue: str,
        exchange: LocalServer,
        subscriptions: Iterable[Subscription],
        options: ConnectionOptions = FAST,
        **more: Any,
    ) -> None:
        speaker = feeds.load(venue)
        assert isinstance(speaker, ListeningVenue)
        self.subscriptions = list(subscriptions)
        self.feed = LiveFeed("test", speaker, base_url=exchange.url, rest_url=exchange.rest_url, options=options, **more)
        self.records: list[Record] = []
        self._others: dict[LiveFeed, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self.feed.subscribe(self.subscriptions)
        await self.feed.connect()
        self._task = asyncio.create_task(self._listen(self.feed))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for feed in (self.feed, *self._others):
            await feed.disconnect()
        await asyncio.gather(self._task, *self._others.values())

    def also(self, other: LiveFeed) -> None:
        """Take what another feed gives as well."""
        self._others[other] = asyncio.create_task(self._listen(other))

    async def _listen(self, feed: LiveFeed) -> None:
        async for record in feed:
            self.records.append(record)

    async def until(self, condition: Callable[[], object], within: float = WITHIN) -> None:
        """Wait until it holds; the feed's own failure is raised."""
        async with asyncio.timeout(within):
            while not condition():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    def trades(self) -> list[Trade]:
        return [record for record in self.records if isinstance(record, Trade)]

    def ids(self) -> list[str]:
        return [trade.trade_id for trade in self.trades()]

    def gaps(self) -> list[GapMark]:
        """Gaps but those at the beginning."""
        return [record for record in self.records if isinstance(record, GapMark) and record.begin is not None]

    def refused(self) -> list[DeadLetter]:
        return [record for record in self.records if isinstance(record, DeadLetter)]

    def states(self, stream: Subscription) -> list[FeedState]:
        return [
            record.state
            for record in self.records
            if isinstance(record, FeedStatus) and (record.instrument, record.channel) == stream
        ]

    def depths(self, instrument: str) -> list[Depth]:
        return [record for record in self.records if isinstance(record, Depth) and record.instrument == instrument]

    def book_state(self, instrument: str) -> BookState | None:
        """The state that the last message about a book told."""
        depths = self.depths(instrument)
        return depths[-1].state if depths else None

    def best(self, instrument: str, number: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """The best levels of the book as a reader of the topic rebuilds it: from LIVE messages alone."""
        book = Book(BookRules())
        for depth in self.depths(instrument):
            if depth.state is BookState.LIVE:
                book.apply(depth)
        bids, asks = (
            [(Decimal(format_decimal(level.price)), Decimal(format_decimal(level.size))) for level in side.best(number)]
            for side in (book.bids, book.asks)
        )
        return bids, asks
