"""Brings the order books of a feed to LIVE, and back: by a snapshot asked for, or by subscribing anew.

Deltas that come while a snapshot is on its way are kept by the book; see `market.book`. A book that stays without a sound
snapshot is asked for again and again, at growing distances; one that lost its line waits for the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ingest.books import Followed
from ingest.clock import Clock
from ingest.feed import Subscription
from ingest.fetching import Fetcher
from ingest.rest import Unanswered
from ingest.rest_venue import FetchingVenue
from ingest.session import Session
from market.depth import BookState
from runtime.logs import get_logger
from runtime.retry import Backoff
from schemas.records import Record

log = get_logger(__name__)

_LOOK_SECONDS = 0.1
_AT_ONCE = 4
FETCHING = Backoff(initial_seconds=1.0, maximum_seconds=30.0)
SUBSCRIBING = Backoff(initial_seconds=5.0, maximum_seconds=60.0)  # the venue's snapshot needs time to come


class Resync:
    """Watches the books of a session. `subscribe_again` takes the name of a line and a stream of it."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        *,
        put: Callable[[Iterable[Record]], None],
        fetcher: Fetcher | None,
        subscribe_again: Callable[[str, Subscription], Awaitable[None]],
    ) -> None:
        self._session = session
        self._clock = clock
        self._put = put
        self._fetcher = fetcher
        self._subscribe_again = subscribe_again
        self._in_hand: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for followed in self._session.unsynced():
                    instrument = followed.stream.instrument
                    if followed.line is not None and instrument not in self._in_hand:
                        self._in_hand.add(instrument)
                        tasks.create_task(self._mend(followed), name=f"book of {instrument}")
                await self._clock.sleep(_LOOK_SECONDS)

    async def _mend(self, followed: Followed) -> None:
        """Ask until the book is LIVE, or nobody tells of it any longer."""
        is_fetched = followed.book.rules.fetched
        backoff, attempt = FETCHING if is_fetched else SUBSCRIBING, 0
        try:
            while self._is_needed(followed):
                await (self._fetch(followed) if is_fetched else self._subscribe(followed))
                if self._is_needed(followed):
                    await self._clock.sleep(backoff.delay(attempt))
                attempt += 1
        finally:
            self._in_hand.discard(followed.stream.instrument)

    def _is_needed(self, followed: Followed) -> bool:
        is_known = self._session.book_of(followed.stream.instrument) is followed
        return is_known and followed.line is not None and followed.book.state is not BookState.LIVE

    async def _subscribe(self, followed: Followed) -> None:
        if followed.line is not None:
            log.warning("subscribing again", stream=followed.stream, reason=followed.book.fault or "no snapshot came")
            await self._subscribe_again(followed.line, followed.stream)

    async def _fetch(self, followed: Followed) -> None:
        if self._fetcher is None or not isinstance(self._fetcher.venue, FetchingVenue):
            return
        async with self._turns:
            try:
                self._put(await self._fetcher.ask(self._fetcher.venue.book_request(followed.stream.instrument)))
            except Unanswered as error:
                log.warning("no order book", instrument=followed.stream.instrument, reason=str(error))
