"""One line's life over a WebSocket: connect, subscribe, receive, and the same again after each loss, without end.

The only module of ingest that knows the WebSocket library. What happens is told to the feed's session, and the records that
follow from it are put out; nothing is decided here about data. Silence is measured by market data: pings, replies and
heartbeats do not count as life.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, InvalidURI, WebSocketException

from ingest.breaker import Breaker
from ingest.clock import Clock
from ingest.feed import ConnectionStatus, ListeningVenue, Recorder, Route, StreamRequest, Subscription
from ingest.outlet import Outlet
from ingest.seconds import seconds_of
from ingest.session import Session
from ingest.silent_streams import SilentStreams
from market.errors import WebSocketError
from market.feed_status import FeedState
from runtime.logs import get_logger
from runtime.retry import Backoff
from schemas.records import Record

log = get_logger(__name__)

_OPEN_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0
_RENEWED_BEFORE = (1_800.0, 3_600.0)
"""Seconds before the venue's cut, by chance between them, so that lines opened together are not renewed together."""
_LARGEST_FRAME = 16 << 20
_SUBSCRIBED = ConnectionStatus.SUBSCRIBED  # looked up by name, an enum's member costs as much as a call


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to connect. `proxy` True takes the one that the environment names, None none."""

    backoff: Backoff = field(default_factory=Backoff)
    heartbeat_seconds: float = 30.0
    stale_after_seconds: float = 60.0
    stream_stale_seconds: float | None = 60.0
    proxy: str | Literal[True] | None = True


class Unconnectable(WebSocketError):
    """An address or proxy can never work."""

    exit_code = 2


class Connection:
    """One line. The outlet is the feed's."""

    def __init__(
        self,
        name: str,
        venue: ListeningVenue,
        route: Route,
        session: Session,
        *,
        options: ConnectionOptions,
        clock: Clock,
        outlet: Outlet,
        recorder: Recorder | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = name
        self.route = route
        self.status = ConnectionStatus.DISCONNECTED
        self.subscriptions: dict[Subscription, None] = {}
        self._venue = venue
        self._session = session
        self._options = options
        self._clock = clock
        self._outlet = outlet
        self._recorder = recorder
        self._breaker = breaker or Breaker()
        self.silent_streams = SilentStreams(name, session, self._begin_anew)
        self._beginning: asyncio.Task[None] | None = None
        self._never = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._limit: asyncio.Timeout | None = None
        self._next: tuple[ClientConnection, set[Subscription]] | None = None
        self._turn = asyncio.Lock()
        self._request_id = 1
        self._waited_until = 0
        self._is_waiting = False
        self._attempt = 0
        self._was_open = False
        self.stopping_because = "stopped"

    async def run(self) -> None:
        """Keep the line up until cancelled. Raises Unconnectable when it can never work: a wrong address or proxy."""
        self.status = ConnectionStatus.CONNECTING
        while True:
            await self._outlet.room()  # else the states of a line that cannot be kept would pile up while nobody takes them
            self._connecting(self.subscriptions)
            reason, least_delay = "", 0.0  # none where the line is stopped on purpose
            try:
                await self._breaker.admit(self.name)
                reason, least_delay = await self._connection()
            except BaseException:
                self._breaker.left(self.name)
                raise
            finally:
                self._lost(reason or self.stopping_because)
            delay = max(least_delay, self._options.backoff.delay(self._attempt))
            self._attempt += 1
            self.status = ConnectionStatus.RECONNECTING
            log.warning("connection lost", line=self.name, reason=reason, retry_in_seconds=round(delay, 3))
            await self._clock.pause(delay, self._never)

    async def add(self, subscriptions: Iterable[Subscription]) -> None:
        """Subscribe to more, at once where the line is open."""
        new = [subscription for subscription in subscriptions if subscription not in self.subscriptions]
        self.subscriptions.update(dict.fromkeys(new))
        if self._socket is not None:
            self._connecting(new)
            await self._ask(self._socket, new)

    async def subscribe_again(self, subscription: Subscription) -> None:
        """Have the venue begin a stream anew, with a snapshot of its book."""
        if self._socket is not None and subscription in self.subscriptions:
            await self._ask(self._socket, [subscription], subscribe=False)
            await self._ask(self._socket, [subscription])

    def _begin_anew(self, subscriptions: Collection[Subscription]) -> None:
        async def begin() -> None:
            for subscription in subscriptions:
                await self.subscribe_again(subscription)

        if self._is_idle:
            self._beginning = asyncio.create_task(begin(), name=f"{self.name} begins streams anew")

    def _ask_apart(self, socket: ClientConnection) -> None:
        """Ask one by one for streams that were refused together: the venue has most of them, as a rule."""

        async def ask(subscriptions: Collection[Subscription]) -> None:
            for subscription in subscriptions:
                if subscription in self.subscriptions:
                    await self._ask(socket, [subscription])

        if self._is_idle and (refused := self._session.refused_together(self.name)):
            log.warning("a request for several streams was refused", line=self.name, streams=len(refused))
            self._beginning = asyncio.create_task(ask(refused), name=f"{self.name} asks for streams one by one")

    @property
    def _is_idle(self) -> bool:
        return self._beginning is None or self._beginning.done()

    async def remove(self, subscriptions: Iterable[Subscription], because: str) -> None:
        """Unsubscribe from these."""
        gone = [subscription for subscription in subscriptions if subscription in self.subscriptions]
        for subscription in gone:
            del self.subscriptions[subscription]
        self._outlet.put(self._session.unsubscribed(self.name, gone, self._clock.now(), because))
        if self._socket is not None:
            await self._ask(self._socket, gone, subscribe=False)

    def check_silence(self, now: int) -> None:
        """Give the connection up when market data has been missing for too long; not while we ourselves do not read."""
        if self._limit is None or self._is_waiting or not self.subscriptions:
            return
        silence = min(self._session.silence(self.name, now), now - self._waited_until)
        if silence < self._options.stale_after_seconds * 1e6:
            return
        reason = f"no market data for {silence / 1e6:.0f} s"
        self._outlet.put(self._session.lost(self.name, now, reason, state=FeedState.STALE))
        self.status = ConnectionStatus.STALE
        self._limit.reschedule(asyncio.get_running_loop().time())
        self._limit = None

    def check_streams(self, now: int) -> list[Record]:
        """What is to be told of streams that are silent while others tell; none are while we ourselves do not read.

        Those that were refused together are asked for one by one.
        """
        if self._limit is None:
            return self.silent_streams.rest(now)
        if self._is_waiting:
            self._session.excuse(self.name, now)
            self.silent_streams.excuse(now)
            return []
        if self._socket is not None:
            self._ask_apart(self._socket)
        return self.silent_streams.look(now)

    # one connection

    async def _connection(self) -> tuple[str, float]:
        """Open, use and lose one connection; why it ended, and how long the venue wants to be left alone (seconds)."""
        try:
            async with self._dial() as socket:
                return await self._use(socket), 0.0
        except (InvalidURI, InvalidProxy, ImportError) as error:
            self.status = ConnectionStatus.FAILED
            raise Unconnectable(f"{self.name}: cannot connect to {self.route.url}: {error}") from error
        except InvalidStatus as error:
            answer = error.response
            self._breaker.failed()
            return f"refused with HTTP status {answer.status_code}", seconds_of(answer.headers.get("Retry-After"))
        except (OSError, TimeoutError, WebSocketException) as error:
            self._breaker.failed()
            return f"{type(error).__name__}: {error}", 0.0

    async def _use(self, socket: ClientConnection) -> str:
        self._breaker.succeeded()
        now = self._clock.now()
        self._session.counts.reconnects += self._was_open
        self._was_open = True
        self.status = ConnectionStatus.CONNECTED
        if self._recorder is not None:
            self._recorder.opened(now, self.name, self.route.url, self.route.market)
        self._outlet.put(self._session.restored(self.name, now))
        self._socket, asked = socket, set[Subscription]()
        try:
            async with asyncio.timeout(None) as self._limit:
                while True:
                    self._socket, self._next = socket, None
                    wanted = [subscription for subscription in self.subscriptions if subscription not in asked]
                    async with self._beside(self._greet(socket, wanted)), self._beside(self._renew(socket)):
                        await self._receive(socket)
                    socket, asked = self._next or (socket, asked)
        except TimeoutError:
            return "given up because no market data came"
        except ConnectionClosed as error:
            return f"closed: {error}"
        finally:
            self._socket = self._limit = None
            if self._beginning is not None:
                self._beginning.cancel()
            await socket.close()

    async def _receive(self, socket: ClientConnection) -> None:
        """Receive until another connection has taken the place of this one. Raises ConnectionClosed when it is lost."""
        try:
            while True:
                self.take(await socket.recv(decode=False))
                if not self._outlet.has_room:
                    await self.room()
        except ConnectionClosed:
            if self._next is None:
                raise

    def take(self, frame: bytes) -> int:
        """Take a frame in; at what time. Before the next one there must be `room`."""
        now = self._clock.now()
        if self._recorder is not None:
            self._recorder.frame(now, self.name, frame)
        self._outlet.put(self._session.received(self.name, frame, now))
        if self.status is not _SUBSCRIBED and self._session.heard_at(self.name) == now:
            self._attempt = 0  # the venue works
            self.status = _SUBSCRIBED
        return now

    async def room(self) -> None:
        """Wait until there is room for what more frames say."""
        self._is_waiting = True
        if await self._outlet.room():
            self._waited_until = self._clock.now()
        self._is_waiting = False

    async def _renew(self, old: ClientConnection) -> None:
        """Open another connection before the venue cuts this one, and close this one once data comes on the other.

        Meanwhile both are read: what both tell is told once, by its number.
        """
        life = self._venue.limits.life_seconds
        if life is None:
            return
        await self._clock.sleep(life - random.uniform(*_RENEWED_BEFORE))  # noqa: S311  # no secret
        for attempt in count():
            try:
                await self._open_next()
                break
            except (OSError, TimeoutError, WebSocketException) as error:
                log.warning("connection not renewed", line=self.name, reason=f"{type(error).__name__}: {error}")
                await self._clock.sleep(self._options.backoff.delay(attempt))
        log.info("connection renewed", line=self.name)
        await old.close()

    async def _open_next(self) -> None:
        new, asked = await self._dial(), list(self.subscriptions)
        try:
            await self._ask(new, asked)
            while self.take(await new.recv(decode=False)) != self._session.heard_at(self.name):
                await self.room()
            self._next = new, set(asked)
        finally:
            if self._next is None:
                new.transport.abort()

    def _dial(self) -> connect:
        return connect(
            self.route.url,
            proxy=self._options.proxy,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            ping_interval=self._options.heartbeat_seconds,
            ping_timeout=self._options.heartbeat_seconds,
            max_size=_LARGEST_FRAME,
        )

    @asynccontextmanager
    async def _beside(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Do something else until it is done, or the body is."""
        task = asyncio.create_task(work, name=f"{self.name} sends")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _greet(self, socket: ClientConnection, subscriptions: Sequence[Subscription]) -> None:
        """Subscribe, then keep up the venue's heartbeat."""
        await self._ask(socket, subscriptions)
        beat = self._venue.heartbeat
        while beat is not None:
            await self._clock.sleep(beat.seconds)
            await self._send(socket, beat.message)

    async def _ask(self, socket: ClientConnection, subscriptions: Sequence[Subscription], *, subscribe: bool = True) -> None:
        if not subscriptions:
            return
        first, messages = self._request_id, None if subscribe else self._session.unsubscriptions(self.name, subscriptions)
        if messages is None:
            requests = self._venue.requests(subscriptions, first, self._clock.now(), subscribe=subscribe)
        else:
            requests = [StreamRequest(message) for message in messages]
        self._request_id += len(requests)
        for number, request in enumerate(requests, first):
            await self._send(socket, request.message, number, request.streams if subscribe else ())

    async def _send(
        self, socket: ClientConnection, message: str, number: int = 0, streams: Sequence[Subscription] = ()
    ) -> None:
        """Send one message at a time, no faster than the venue allows; `streams` are those that it asks for."""
        async with self._turn:
            self._session.asked(self.name, number, streams)
            with suppress(ConnectionClosed):  # the receiving side sees it as well, and connects again
                await socket.send(message)
            await self._clock.sleep(self._venue.limits.message_seconds)

    def _connecting(self, subscriptions: Iterable[Subscription]) -> None:
        reason = f"connecting to {self.route.url}"
        self._outlet.put(self._session.connecting(self.name, subscriptions, self._clock.now(), reason))

    def _lost(self, reason: str) -> None:
        now = self._clock.now()
        if self._recorder is not None:
            self._recorder.closed(now, self.name, reason)
        self._outlet.put(self._session.lost(self.name, now, reason))
