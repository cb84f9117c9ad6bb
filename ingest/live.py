"""A feed that listens to a venue: its connections, one for each address and number of streams, and their common outlet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, Self
from urllib.parse import urlsplit

from ingest.breaker import Breaker
from ingest.capture import Capture
from ingest.clock import Clock, SystemClock
from ingest.connection import Connection, ConnectionOptions
from ingest.feed import ConnectionStatus, Counts, FetchingVenue, HealingVenue, ListeningVenue, Route, Subscription
from ingest.fetching import Fetcher
from ingest.healing import Healing
from ingest.quota import Allowances
from ingest.rest import RestClient
from ingest.resync import Resync
from ingest.session import Session
from market.quality import MAX_CLOCK_SKEW
from schemas.records import Record

_WORST_FIRST = (
    ConnectionStatus.FAILED,
    ConnectionStatus.RECONNECTING,
    ConnectionStatus.STALE,
    ConnectionStatus.CONNECTING,
    ConnectionStatus.CONNECTED,
    ConnectionStatus.SUBSCRIBED,
)
_TICK_SECONDS = 1.0


class _Outlet:
    """Records on their way out, bounded: who puts waits for room when `limit` is reached."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: deque[Record] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._closed = False
        self.failure: BaseException | None = None

    def put(self, records: Iterable[Record]) -> None:
        self._records.extend(records)
        self._filled.set()

    @property
    def has_room(self) -> bool:
        return len(self._records) < self._limit

    async def room(self) -> bool:
        """Wait until there is room; whether waiting was needed."""
        if self.has_room:
            return False
        while not self.has_room:
            self._drained.clear()
            await self._drained.wait()
        return True

    def close(self, failure: BaseException | None = None) -> None:
        self.failure = self.failure or failure
        self._closed = True
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[Record]:
        while True:
            while self._records:
                yield self._records.popleft()
                if len(self._records) * 2 < self._limit:
                    self._drained.set()
            if self.failure is not None:
                raise self.failure
            if self._closed:
                return
            self._filled.clear()
            await self._filled.wait()


class LiveFeed:
    """See `ingest.feed.Feed`."""

    def __init__(
        self,
        name: str,
        venue: ListeningVenue,
        *,
        base_url: str | None = None,
        rest_url: str | None = None,
        allowances: Allowances | None = None,
        options: ConnectionOptions | None = None,
        capture: Capture | None = None,
        clock: Clock | None = None,
        max_clock_skew: int = MAX_CLOCK_SKEW,
        buffer_size: int = 10_000,
    ) -> None:
        """`buffer_size`: records received and not yet iterated; when it is reached, nothing more is read from the venue.

        `base_url` and `rest_url` stand in for the venue's public addresses; `allowances` are shared by the feeds of a process.
        """
        self.name = name
        self._venue = venue
        self._base_url = base_url
        self._options = options or ConnectionOptions()
        self._capture = capture
        self._clock = clock or SystemClock()
        self._max_clock_skew = max_clock_skew
        self._session = Session(venue.name, venue.heartbeats, once=True)
        self._outlet = _Outlet(buffer_size)
        self._connections: list[Connection] = []
        self._listings: dict[str, dict[str, str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._is_connected = False
        self._fetcher = self._fetcher_of(venue, rest_url, allowances or Allowances())

    @property
    def venue(self) -> str:
        """See `ingest.feed.Feed.venue`."""
        return self._session.venue

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self._session.counts

    async def connect(self) -> None:
        """See `ingest.feed.Feed.connect`."""
        self._is_connected = True
        self._start("ticker", self._tick())
        resync = Resync(
            self._session,
            self._clock,
            put=self._outlet.put,
            fetcher=self._fetcher,
            subscribe_again=self._subscribe_again,
        )
        self._start("resync", resync.run())
        if self._fetcher is not None and isinstance(self._venue, HealingVenue):
            healing = Healing(self._session, self._clock, self._venue, self._fetcher, put=self._outlet.put)
            self._start("healing", healing.run())
        for connection in self._connections:
            self._start(connection.name, connection.run())

    async def disconnect(self) -> None:
        """See `ingest.feed.Feed.disconnect`."""
        self._is_connected = False
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fetcher is not None:
            await self._fetcher.close()
        for connection in self._connections:
            connection.status = ConnectionStatus.DISCONNECTED
        self._outlet.close()
        if self._capture is not None:
            self._capture.close()

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Feed.subscribe`."""
        new = [subscription for subscription in subscriptions if subscription not in self._subscriptions()]
        self._venue.check([*self._subscriptions(), *new])
        for route, streams in self._by_route(new).items():
            for connection, part in self._with_room(route, streams):
                await connection.add(part)

    async def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Feed.unsubscribe`."""
        gone = set(subscriptions)
        for connection in self._connections:
            mine = [subscription for subscription in connection.subscriptions if subscription in gone]
            if mine:
                await connection.remove(mine)

    def get_status(self) -> ConnectionStatus:
        """See `ingest.feed.Feed.get_status`."""
        found = {connection.status for connection in self._connections if connection.subscriptions}
        return next((status for status in _WORST_FIRST if status in found), ConnectionStatus.DISCONNECTED)

    def get_subscribed_tickers(self) -> frozenset[str]:
        """See `ingest.feed.Feed.get_subscribed_tickers`."""
        return frozenset(subscription.instrument for subscription in self._subscriptions())

    def __aiter__(self) -> AsyncIterator[Record]:
        return aiter(self._outlet)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.disconnect()

    # connections

    def _subscriptions(self) -> dict[Subscription, None]:
        return {subscription: None for connection in self._connections for subscription in connection.subscriptions}

    def _by_route(self, subscriptions: Iterable[Subscription]) -> dict[Route, list[Subscription]]:
        routes: dict[Route, list[Subscription]] = {}
        for subscription in subscriptions:
            route = self._venue.route(subscription, self._base_url)
            routes.setdefault(route, []).append(subscription)
            symbol = self._venue.symbol_of(subscription.instrument)
            self._listings.setdefault(route.market, {})[symbol] = subscription.instrument
        return routes

    def _with_room(self, route: Route, streams: list[Subscription]) -> list[tuple[Connection, list[Subscription]]]:
        """Connections of a route with the streams each of them takes; new ones where those there are full."""
        most = self._venue.limits.streams
        parts = []
        for connection in self._connections:
            if connection.route == route and streams:
                room = max(0, most - len(connection.subscriptions))
                parts.append((connection, streams[:room]))
                streams = streams[room:]
        while streams:
            parts.append((self._new_connection(route), streams[:most]))
            streams = streams[most:]
        return parts

    def _new_connection(self, route: Route) -> Connection:
        name = f"{self.name}-{len(self._connections) + 1}"
        self._session.add_line(name, self._venue.parser(route.market, self._listings, self._max_clock_skew))
        connection = Connection(
            name,
            self._venue,
            route,
            self._session,
            options=self._options,
            clock=self._clock,
            put=self._outlet.put,
            room=self._outlet.room,
            recorder=self._capture,
            breaker=self._breakers.setdefault(urlsplit(route.url).netloc, Breaker()),
        )
        self._connections.append(connection)
        if self._is_connected:
            self._start(name, connection.run())
        return connection

    async def _subscribe_again(self, line: str, stream: Subscription) -> None:
        for connection in self._connections:
            if connection.name == line:
                await connection.subscribe_again(stream)

    def _fetcher_of(self, venue: ListeningVenue, rest_url: str | None, allowances: Allowances) -> Fetcher | None:
        if not isinstance(venue, FetchingVenue):
            return None
        proxy = self._options.proxy if isinstance(self._options.proxy, str) else None
        rest = RestClient(venue, self._clock, allowances, base_url=rest_url, proxy=proxy)
        return Fetcher(
            venue,
            rest,
            self._session,
            self._clock,
            listings=self._listings,
            max_clock_skew=self._max_clock_skew,
            recorder=self._capture,
        )

    # tasks

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._outlet.close(task.exception())

    async def _tick(self) -> None:
        never = asyncio.Event()
        while True:
            await self._clock.pause(_TICK_SECONDS, never)
            now = self._clock.now()
            if self._outlet.has_room:
                self._outlet.put(self._session.tick(now))
            for connection in self._connections:
                connection.check_silence(now)
            if self._capture is not None:
                self._capture.flush()
