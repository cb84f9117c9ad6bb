"""A feed that listens to a venue: its connections, one for each address and number of streams, and their common outlet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from ingest.breaker import Breaker
from ingest.capture import Capture
from ingest.clock import Clock, SystemClock
from ingest.connection import Connection, ConnectionOptions
from ingest.defining import Defining
from ingest.feed import ConnectionStatus, Counts, ListeningVenue, Route, Subscription
from ingest.fetching import Fetcher
from ingest.healing import Healing
from ingest.outlet import Outlet, OutletFeed
from ingest.polling import Poller
from ingest.quota import Allowances
from ingest.refilling import Refilling
from ingest.rest import RestClient
from ingest.rest_venue import AskedVenue, DefiningVenue, HealingVenue, HistoricalVenue, PollableVenue, RetellingVenue
from ingest.resync import Resync
from ingest.session import UNSUBSCRIBED, Session
from ingest.silent_streams import LOOK_SECONDS
from ingest.standing_in import FailoverOptions, StandIn
from ingest.substitutes import Claim
from market.feed_status import FeedState, FeedStatus
from market.quality import MAX_CLOCK_SKEW

_WORST_FIRST = (
    ConnectionStatus.FAILED,
    ConnectionStatus.RECONNECTING,
    ConnectionStatus.STALE,
    ConnectionStatus.CONNECTING,
    ConnectionStatus.CONNECTED,
    ConnectionStatus.SUBSCRIBED,
)
_TICK_SECONDS = 1.0


class LiveFeed(OutletFeed):
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
        failover: FailoverOptions | None = None,
        session: Session | None = None,
        stands_in: bool = False,
        lines: int = 1,
        definition_seconds: float | None = None,
    ) -> None:
        """`buffer_size`: records received and not yet iterated; when it is reached, nothing more is read from the venue.

        `base_url` and `rest_url` stand in for the venue's public addresses; `allowances` are shared by the feeds of a process.
        With `failover`, streams are served otherwise while nothing comes: by REST, then by the feed given to `be_replaced_by`.
        A feed that `stands_in` connects only meanwhile. It shares the `session` of a feed of the same venue, which counts for
        it: then each trade is told once, whichever of them it comes by. Each stream is listened to on so many `lines`, and told
        once as well. With `definition_seconds` the venue is asked for its lists of instruments as often; not where `base_url`
        alone stands in for it, since nothing says who would answer then.
        """
        self.name = name
        self._venue = venue
        self._base_url = base_url
        self._options = options or ConnectionOptions()
        self._capture = capture
        self._clock = clock or SystemClock()
        self._max_clock_skew = max_clock_skew
        self._is_guest = session is not None
        self._session = session or Session(venue.name, venue.heartbeats, once=True, arbitrated=lines > 1)
        self._outlet = Outlet(buffer_size)
        self._connections: list[Connection] = []
        self._line_of: dict[str, int] = {}
        self._listings: dict[str, dict[str, str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._lines = lines
        self._is_connected = False
        self._is_running = not stands_in
        self.stands_in = stands_in
        self._needed_by: set[str] = set()
        self._is_forbidden = False
        self._failover = failover
        self._substitute: LiveFeed | None = None
        self._stand_ins: dict[str, StandIn] = {}
        allowances = allowances or Allowances()
        self._fetcher = self._fetcher_of(venue, rest_url, allowances)
        self._defining = self._defining_of(venue, rest_url, allowances, definition_seconds)

    @property
    def venue(self) -> str:
        """See `ingest.feed.Feed.venue`."""
        return self._session.venue

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return Counts() if self._is_guest else self._session.counts

    @property
    def session(self) -> Session:
        """What its lines are told to."""
        return self._session

    @property
    def heard_at(self) -> int | None:
        """When market data last came by any connection (microseconds), None if it never did."""
        return self._heard_at(self._connections)

    async def connect(self) -> None:
        """See `ingest.feed.Feed.connect`."""
        self._is_connected = True
        self._start("ticker", self._tick())
        if not self._is_guest:
            self._look_after_session()
        for connection in self._connections if self._is_running else ():
            self._begin(connection)

    def _look_after_session(self) -> None:
        resync = Resync(
            self._session,
            self._clock,
            put=self._outlet.put,
            fetcher=self._fetcher,
            subscribe_again=self.subscribe_again,
        )
        self._start("resync", resync.run())
        if self._defining is not None:
            self._start("instruments", self._defining.run())
        if self._fetcher is not None and isinstance(self._venue, HealingVenue):
            healing = Healing(self._session, self._clock, self._venue, self._fetcher, put=self._outlet.put)
            self._start("healing", healing.run())
        if self._fetcher is not None and isinstance(self._venue, HistoricalVenue | RetellingVenue):
            refilling = Refilling(self._session, self._clock, self._venue, self._fetcher, put=self._outlet.put)
            self._start("refilling", refilling.run())

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
        if self._defining is not None:
            await self._defining.close()
        for connection in self._connections:
            connection.status = ConnectionStatus.DISCONNECTED
        self._outlet.close()
        if self._capture is not None:
            self._capture.close()

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Feed.subscribe`."""
        new = [subscription for subscription in subscriptions if subscription not in self.subscriptions()]
        self._venue.check([*sorted(self.subscriptions()), *new])
        for route, streams in self._by_route(new).items():
            for line in range(self._lines):
                for connection, part in self._with_room(route, streams, line):
                    await connection.add(part)

    def subscriptions(self) -> set[Subscription]:
        """What is subscribed to."""
        return {subscription for connection in self._connections for subscription in connection.subscriptions}

    def answer(self, streams: Iterable[Subscription], state: FeedState, because: str) -> None:
        """Tell of a command about streams."""
        now = self._clock.now()
        self._outlet.put(FeedStatus(self.venue, stream.channel, stream.instrument, state, because, now) for stream in streams)

    async def unsubscribe(self, subscriptions: Iterable[Subscription], because: str = UNSUBSCRIBED) -> None:
        """See `ingest.feed.Feed.unsubscribe`. The reason is told of every stream."""
        gone = set(subscriptions)
        for connection in self._connections:
            mine = [subscription for subscription in connection.subscriptions if subscription in gone]
            if mine:
                await connection.remove(mine, because)

    def get_status(self) -> ConnectionStatus:
        """See `ingest.feed.Feed.get_status`."""
        if self._is_connected and not self._is_running:
            return ConnectionStatus.STOPPED
        found = {connection.status for connection in self._connections if connection.subscriptions}
        return next((status for status in _WORST_FIRST if status in found), ConnectionStatus.DISCONNECTED)

    def get_subscribed_tickers(self) -> frozenset[str]:
        """See `ingest.feed.Feed.get_subscribed_tickers`."""
        return frozenset(subscription.instrument for subscription in self.subscriptions())

    # starting and stopping

    def start(self) -> None:
        """Open the connections again after `stop`."""
        if self._is_running:
            return
        self._is_running = True
        for connection in self._connections if self._is_connected else ():
            self._begin(connection)

    async def stop(self, reason: str) -> None:
        """Close the connections until `start`; what is subscribed stays known. The reason is told of every stream."""
        if not self._is_running:
            return
        self._is_running = False
        names = [name for one in self._connections for name in (one.name, _rest_of(one.name), _silent_of(one.name))]
        for connection in self._connections:
            connection.stopping_because = reason
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stand_in in self._stand_ins.values():
            self._outlet.put(stand_in.rest(self._clock.now(), "the feed is stopped"))
        self._stand_ins.clear()
        for connection in self._connections:
            self._outlet.put(connection.silent_streams.rest(self._clock.now()))
        for connection in self._connections:  # a task that had not begun told nothing, but a process before this one may have
            self._outlet.put(self._session.stopped(connection.name, connection.subscriptions, self._clock.now(), reason))

    def stand_in(self, line: str, _reason: str) -> None:
        """See `ingest.substitutes.Substitute.stand_in`."""
        self._needed_by.add(line)
        if not self._is_forbidden:
            self.start()

    async def forbid(self, reason: str) -> None:
        """Have a feed that stands in do so no more, until `allow`."""
        self._is_forbidden = True
        await self.stop(reason)

    def allow(self) -> None:
        """Have it stand in again for those that need it."""
        self._is_forbidden = False
        if self._needed_by:
            self.start()

    async def stand_back(self, line: str, reason: str) -> None:
        """See `ingest.substitutes.Substitute.stand_back`."""
        self._needed_by.discard(line)
        if not self._needed_by:
            await self.stop(reason)

    def be_replaced_by(self, substitute: LiveFeed) -> None:
        """Have another feed stand in where REST does not help either; before `connect`."""
        self._substitute = substitute

    def _begin(self, connection: Connection) -> None:
        self._start(connection.name, connection.run())
        if self._failover is None:
            return
        poller = self._poller_of(connection, _rest_of(connection.name), lambda: connection.subscriptions)
        silent = connection.silent_streams
        silent.poller = self._poller_of(connection, _silent_of(connection.name), lambda: silent.streams)
        silent.backup = None if self._substitute is None else Claim(self._substitute, _silent_of(connection.name))
        silent.fresh_for = round(self._failover.fresh_seconds * 1e6)
        self._stand_ins[connection.name] = StandIn(
            connection.name,
            lambda: list(connection.subscriptions),
            self._session,
            heard=lambda: self._heard_at(self._beside(connection)),
            poller=poller,
            substitute=self._substitute,
            options=self._failover,
            now=self._clock.now(),
        )
        for each in (poller, silent.poller):
            if each is not None:
                self._start(each.line, each.run())

    def _beside(self, connection: Connection) -> list[Connection]:
        """Those that share streams with this one, and itself."""
        mine = connection.subscriptions.keys()
        return [other for other in self._connections if other is connection or mine & other.subscriptions.keys()]

    def _heard_at(self, connections: Iterable[Connection]) -> int | None:
        heard = (self._session.heard_at(connection.name) for connection in connections)
        return max((at for at in heard if at is not None), default=None)

    def _poller_of(self, connection: Connection, line: str, streams: Callable[[], Iterable[Subscription]]) -> Poller | None:
        venue = self._venue
        if self._failover is None or self._fetcher is None or not isinstance(venue, PollableVenue):
            return None
        self._session.add_line(line, self._venue.parser(connection.route.market, self._listings, self._max_clock_skew), "rest")
        return Poller(
            line,
            streams,
            venue,
            self._fetcher,
            self._clock,
            put=self._outlet.put,
            room=self._outlet.room,
            seconds=self._failover.poll_seconds,
        )

    # connections

    def _by_route(self, subscriptions: Iterable[Subscription]) -> dict[Route, list[Subscription]]:
        routes: dict[Route, list[Subscription]] = {}
        for subscription in subscriptions:
            route = self._venue.route(subscription, self._base_url)
            routes.setdefault(route, []).append(subscription)
            symbol = self._venue.symbol_of(subscription.instrument)
            self._listings.setdefault(route.market, {})[symbol] = subscription.instrument
        return routes

    def _with_room(self, route: Route, streams: list[Subscription], line: int) -> list[tuple[Connection, list[Subscription]]]:
        """Connections of a route with the streams each of them takes; new ones where those there are full.

        Of several lines each has connections of its own.
        """
        most = self._venue.limits.streams
        parts = []
        for connection in self._connections:
            if connection.route == route and self._line_of[connection.name] == line and streams:
                room = max(0, most - len(connection.subscriptions))
                parts.append((connection, streams[:room]))
                streams = streams[room:]
        while streams:
            connection = self._new_connection(route)
            self._line_of[connection.name] = line
            parts.append((connection, streams[:most]))
            streams = streams[most:]
        return parts

    def _new_connection(self, route: Route) -> Connection:
        name = f"{self.name}-{len(self._connections) + 1}"
        parser = self._venue.parser(route.market, self._listings, self._max_clock_skew)
        patience = self._options.stream_stale_seconds
        self._session.add_line(
            name,
            parser,
            self.name if self._is_guest else None,
            patience=None if patience is None else round(patience * 1e6),
        )
        connection = Connection(
            name,
            self._venue,
            route,
            self._session,
            options=self._options,
            clock=self._clock,
            outlet=self._outlet,
            recorder=self._capture,
            breaker=self._breakers.setdefault(urlsplit(route.url).netloc, Breaker()),
        )
        self._connections.append(connection)
        if self._is_connected and self._is_running:
            self._begin(connection)
        return connection

    async def subscribe_again(self, line: str, stream: Subscription) -> None:
        """Have the venue begin a stream of a line anew."""
        for connection in self._connections:
            if connection.name == line:
                await connection.subscribe_again(stream)
        if self._substitute is not None:
            await self._substitute.subscribe_again(line, stream)

    def _fetcher_of(self, venue: ListeningVenue, rest_url: str | None, allowances: Allowances) -> Fetcher | None:
        if not isinstance(venue, AskedVenue):
            return None
        return Fetcher(
            venue,
            self._rest_of(venue, rest_url, allowances),
            self._session,
            self._clock,
            listings=self._listings,
            max_clock_skew=self._max_clock_skew,
            recorder=self._capture,
        )

    def _defining_of(
        self, venue: ListeningVenue, rest_url: str | None, allowances: Allowances, seconds: float | None
    ) -> Defining | None:
        is_elsewhere = self._base_url is not None and rest_url is None
        if seconds is None or is_elsewhere or not isinstance(venue, DefiningVenue):
            return None
        return Defining(
            self._session,
            self._clock,
            venue,
            self._rest_of(venue, rest_url, allowances),
            markets=lambda: [connection.route.market for connection in self._connections],
            put=self._outlet.put,
            room=self._outlet.room,
            recorder=self._capture,
            seconds=seconds,
        )

    def _rest_of(self, venue: AskedVenue | DefiningVenue, rest_url: str | None, allowances: Allowances) -> RestClient:
        proxy = self._options.proxy if isinstance(self._options.proxy, str) else None
        return RestClient(venue, self._clock, allowances, base_url=rest_url, proxy=proxy)

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
        for tick in count(1):
            await self._clock.pause(_TICK_SECONDS, never)
            now = self._clock.now()
            has_room = self._outlet.has_room
            if has_room:
                self._outlet.put(self._session.tick(now))
            for connection in self._connections:
                connection.check_silence(now)
                if has_room and tick % LOOK_SECONDS == 0:
                    self._outlet.put(connection.check_streams(now))
            for stand_in in self._stand_ins.values():
                if has_room:
                    self._outlet.put(stand_in.check(now))
                else:
                    stand_in.excuse(now)
            if self._capture is not None:
                self._capture.flush()


def _rest_of(line: str) -> str:
    """Name of the line that asks by REST for the streams of this one."""
    return f"{line}-rest"


def _silent_of(line: str) -> str:
    """Name of the line that asks by REST for those streams of this one that are silent while others tell."""
    return f"{line}-silent"
