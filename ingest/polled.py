"""A feed that asks instead of listening: round after round, while the markets of its instruments are open.

Instruments of one trading calendar are a line of the feed: it is open from the first auction of a session until a minute after
the last one, so that what is told late is heard and candles close; those without a calendar are one that never closes. Of an
answer that repeats an earlier one nothing is told. What the answer lacks is asked for once more, without the rest; what is
missing then is told to be DOWN. Answers that stop changing while the market is open are of no use, whatever they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from ingest.capture import Capture
from ingest.clock import Clock
from ingest.connection import ConnectionOptions
from ingest.feed import ConnectionStatus, Counts, PolledVenue, Source, Subscription
from ingest.outlet import Outlet, OutletFeed
from ingest.rest import Unanswered
from ingest.session import UNSUBSCRIBED, Session
from market.errors import SubscriptionError
from market.feed_status import FeedState, FeedStatus
from market.quality import MAX_CLOCK_SKEW
from market.session import TradingCalendar
from runtime.logs import get_logger

log = get_logger(__name__)

CalendarOf = Callable[[str], TradingCalendar | None]
"""The trading calendar of an instrument; None where its market never closes."""

_AFTER_CLOSE = 60_000_000
_TICK_SECONDS = 1.0
_ALWAYS = "always"
_CLOSED = "the market is closed"


def is_open(calendar: TradingCalendar | None, now: int) -> bool:
    """Whether there is something to ask for: also where the calendar has ended and says nothing of today."""
    if calendar is None or not calendar.covers(now):
        return True
    return calendar.day_at(now) is not None or calendar.day_at(now - _AFTER_CLOSE) is not None


_WORST_FIRST = (
    ConnectionStatus.RECONNECTING,
    ConnectionStatus.STALE,
    ConnectionStatus.CONNECTING,
    ConnectionStatus.SUBSCRIBED,
)


class PolledFeed(OutletFeed):
    """See `ingest.feed.Feed`."""

    stands_in = False

    def __init__(
        self,
        name: str,
        venue: PolledVenue,
        source: Source,
        *,
        clock: Clock,
        calendar_of: CalendarOf,
        options: ConnectionOptions,
        capture: Capture | None = None,
        max_clock_skew: int = MAX_CLOCK_SKEW,
        buffer_size: int = 10_000,
    ) -> None:
        """Of `options` the delays between attempts count, and after how many seconds without a change answers are stale."""
        self.name = name
        self.venue = venue.name
        self.session = Session(venue.name, venue.heartbeats, once=True)
        self._speaker = venue
        self._source = source
        self._clock = clock
        self._calendar_of = calendar_of
        self._options = options
        self._capture = capture
        self._max_clock_skew = max_clock_skew
        self._outlet = Outlet(buffer_size)
        self._lines: dict[str, _Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_connected = False
        self._stopped_because: str | None = None

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self.session.counts

    async def connect(self) -> None:
        """See `ingest.feed.Feed.connect`."""
        self._is_connected = True
        self._start("ticker", self._tick())
        for line in self._lines.values() if self._stopped_because is None else ():
            self._start(line.name, line.run())

    async def disconnect(self) -> None:
        """See `ingest.feed.Feed.disconnect`."""
        self._is_connected = False
        await self._cancel(list(self._tasks))
        await self._source.close()
        self._outlet.close()
        if self._capture is not None:
            self._capture.close()

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Feed.subscribe`."""
        there = self.subscriptions()
        new = [subscription for subscription in subscriptions if subscription not in there]
        self._speaker.check([*sorted(there), *new])
        for stream in new:
            calendar = self._calendar_of(stream.instrument)
            name = f"{self.name}-{calendar.name if calendar else _ALWAYS}"
            if name not in self._lines:
                self._add_line(name, calendar)
            self._lines[name].add(stream)

    async def unsubscribe(self, subscriptions: Iterable[Subscription], because: str = UNSUBSCRIBED) -> None:
        """See `ingest.feed.Feed.unsubscribe`. The reason is told of every stream."""
        gone = set(subscriptions)
        for line in self._lines.values():
            mine = [stream for stream in line.streams if stream in gone]
            if mine:
                line.remove(mine)
                self._outlet.put(self.session.unsubscribed(line.name, mine, self._clock.now(), because))

    def subscriptions(self) -> set[Subscription]:
        """What is subscribed to."""
        return {stream for line in self._lines.values() for stream in line.streams}

    def get_status(self) -> ConnectionStatus:
        """See `ingest.feed.Feed.get_status`; STOPPED while all its markets are closed."""
        if not self._is_connected:
            return ConnectionStatus.DISCONNECTED
        if self._stopped_because is not None:
            return ConnectionStatus.STOPPED
        found = {line.status for line in self._lines.values() if line.streams}
        return next((status for status in _WORST_FIRST if status in found), ConnectionStatus.STOPPED)

    def get_subscribed_tickers(self) -> frozenset[str]:
        """See `ingest.feed.Feed.get_subscribed_tickers`."""
        return frozenset(stream.instrument for stream in self.subscriptions())

    # starting and stopping

    def start(self) -> None:
        """Ask again after `stop`."""
        if self._stopped_because is None:
            return
        self._stopped_because = None
        for line in self._lines.values() if self._is_connected else ():
            self._start(line.name, line.run())

    async def stop(self, reason: str) -> None:
        """Ask no more until `start`. The reason is told of every stream."""
        if self._stopped_because is not None:
            return
        self._stopped_because = reason
        await self._cancel(list(self._lines))
        for line in self._lines.values():
            line.rest()
            self._outlet.put(self.session.stopped(line.name, line.streams, self._clock.now(), reason))
            self._outlet.put(self.session.lost(line.name, self._clock.now(), reason))

    def allow(self) -> None:
        """It stands in for no feed."""

    async def forbid(self, reason: str) -> None:
        """It stands in for no feed."""

    def answer(self, streams: Iterable[Subscription], state: FeedState, because: str) -> None:
        """Tell of a command about streams."""
        now = self._clock.now()
        self._outlet.put(FeedStatus(self.venue, stream.channel, stream.instrument, state, because, now) for stream in streams)

    # lines

    def _add_line(self, name: str, calendar: TradingCalendar | None) -> None:
        market = next(iter(self._speaker.markets))
        self.session.add_line(name, self._speaker.parser(market, {}, self._max_clock_skew))
        self._lines[name] = _Line(
            name,
            calendar,
            self._speaker,
            self._source,
            self.session,
            clock=self._clock,
            options=self._options,
            outlet=self._outlet,
            capture=self._capture,
        )
        if self._is_connected and self._stopped_because is None:
            self._start(name, self._lines[name].run())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            if self._outlet.has_room:
                self._outlet.put(self.session.tick(self._clock.now()))
            if self._capture is not None:
                self._capture.flush()

    # tasks

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._outlet.close(task.exception())

    async def _cancel(self, names: Sequence[str]) -> None:
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Line:
    """The streams of one calendar."""

    def __init__(
        self,
        name: str,
        calendar: TradingCalendar | None,
        venue: PolledVenue,
        source: Source,
        session: Session,
        *,
        clock: Clock,
        options: ConnectionOptions,
        outlet: Outlet,
        capture: Capture | None,
    ) -> None:
        self.name = name
        self.streams: dict[Subscription, None] = {}
        self.status = ConnectionStatus.CONNECTING
        self._calendar = calendar
        self._venue = venue
        self._source = source
        self._session = session
        self._clock = clock
        self._options = options
        self._outlet = outlet
        self._capture = capture
        self._failures = 0
        self._address: str | None = None
        self._changed_at = 0
        self._frames: dict[tuple[str, str], bytes] = {}
        self._absent: set[Subscription] = set()
        self._refused: set[Subscription] = set()

    def add(self, stream: Subscription) -> None:
        self.streams[stream] = None
        self._session.unmute([stream])
        self.forget([stream])

    def remove(self, streams: Sequence[Subscription]) -> None:
        for stream in streams:
            del self.streams[stream]
        self.forget(streams)

    def forget(self, streams: Iterable[Subscription]) -> None:
        for stream in streams:
            self._frames.pop((stream.channel, stream.instrument), None)
            self._absent.discard(stream)
            self._refused.discard(stream)

    def rest(self) -> None:
        """Nothing is asked any more; what comes after that is told whatever it is."""
        self.status = ConnectionStatus.STOPPED
        self.forget(list(self.streams))
        self._failures = 0

    async def run(self) -> None:
        """Ask on until cancelled."""
        self.status = ConnectionStatus.CONNECTING
        while True:
            if not is_open(self._calendar, self._clock.now()):
                self._close()
            elif self.streams:
                if self.status is not ConnectionStatus.SUBSCRIBED:
                    self._begin()
                await self._round()
            await self._clock.sleep(self._delay())

    def _delay(self) -> float:
        if self.status is ConnectionStatus.RECONNECTING:
            return self._options.backoff.delay(self._failures - 1)
        return self._source.seconds

    def _close(self) -> None:
        if self.status is not ConnectionStatus.STOPPED:
            self._outlet.put(self._session.lost(self.name, self._clock.now(), _CLOSED, state=FeedState.STALE))
            self._tell(self.streams, FeedState.STALE, _CLOSED)
            self.rest()

    def _begin(self) -> None:
        now = self._clock.now()
        if self.status is not ConnectionStatus.STALE:
            self._changed_at = now
        if self.status in (ConnectionStatus.CONNECTING, ConnectionStatus.STOPPED):
            self.status = ConnectionStatus.CONNECTING
            self._outlet.put(self._session.connecting(self.name, self.streams, now, "asking"))

    async def _round(self) -> None:
        failures, answers = [], 0
        for batch in self._source.batches([stream for stream in self.streams if stream not in self._refused]):
            await self._outlet.room()
            try:
                await self._ask(batch)
                answers += 1
            except Unanswered as error:
                failures.append(str(error))
                self._lacking(batch, f"there was no answer: {error}")
            except SubscriptionError as error:
                self._refused.update(batch)
                self._tell(batch, FeedState.DOWN, f"refused: {error}")
        if failures and not answers:
            self._lost("; ".join(dict.fromkeys(failures)))
        else:
            self._failures = 0
            self._check_changes()

    async def _ask(self, batch: Sequence[Subscription]) -> None:
        answered = await self._source.ask(batch)
        told = self._take(answered.frames, answered.address, batch)
        lacking = [stream for stream in batch if stream.instrument not in told]
        asked_again = [stream for stream in lacking if stream not in self._absent]
        if asked_again and len(lacking) < len(batch):  # a source that is pressed hard leaves rows out
            answered = await self._source.ask(asked_again)
            again = self._take(answered.frames, answered.address, asked_again)
            lacking = [stream for stream in lacking if stream.instrument not in again]
        self._absent.difference_update(batch)
        self._lacking(lacking, "the source's answer does not have it")

    def _take(self, frames: Sequence[bytes], address: str, batch: Sequence[Subscription]) -> set[str]:
        """Tell what is new in the frames; the instruments that they are of."""
        now = self._clock.now()
        wanted = {stream.instrument for stream in batch if stream in self.streams}
        told: set[str] = set()
        self._heard(address, now)
        for frame in frames:
            instrument = self._venue.instrument_of(frame)
            if instrument is not None:
                told.add(instrument)
                if instrument not in wanted or self._frames.get((batch[0].channel, instrument)) == frame:
                    continue
                self._frames[batch[0].channel, instrument] = frame
                self._changed_at = now
            if self._capture is not None:
                self._capture.frame(now, self.name, frame)
            self._outlet.put(self._session.received(self.name, frame, now))
        return told

    def _heard(self, address: str, now: int) -> None:
        if self.status is not ConnectionStatus.SUBSCRIBED and self.status is not ConnectionStatus.STALE:
            self._outlet.put(self._session.restored(self.name, now))
            self.status = ConnectionStatus.SUBSCRIBED
        if self._address == address:
            return
        if self._address is not None:
            log.warning("another address answers", feed=self._venue.name, address=address, before=self._address)
            reason = f"{address} answers, {self._address} did not"
            self._outlet.put(self._session.switched(self.streams, FeedState.LIVE, reason, address, now))
        self._address = address
        if self._capture is not None:
            self._capture.opened(now, self.name, address, next(iter(self._venue.markets)))

    def _lost(self, reason: str) -> None:
        self._failures += 1
        self._session.counts.reconnects += 1
        if self.status is not ConnectionStatus.RECONNECTING:
            log.warning("no answer", feed=self._venue.name, line=self.name, reason=reason)
            self._outlet.put(self._session.lost(self.name, self._clock.now(), reason))
            self._tell(self.streams, FeedState.DOWN, reason)
            self.forget(list(self.streams))
            if self._capture is not None:
                self._capture.closed(self._clock.now(), self.name, reason)
        self.status = ConnectionStatus.RECONNECTING

    def _lacking(self, streams: Iterable[Subscription], reason: str) -> None:
        lacking = [stream for stream in streams if stream in self.streams]
        self._absent.update(lacking)
        for stream in lacking:
            self._frames.pop((stream.channel, stream.instrument), None)
        self._tell(lacking, FeedState.DOWN, reason)

    def _tell(self, streams: Iterable[Subscription], state: FeedState, reason: str) -> None:
        now = self._clock.now()
        for stream in list(streams):
            self._outlet.put(self._session.tell(self.name, stream, state, reason, now))

    def _check_changes(self) -> None:
        """Answers that do not change any more while the market is open come from a cache that nobody fills."""
        now = self._clock.now()
        since = self._changed_at
        if self._calendar is not None:
            session = self._calendar.session_at(now) if self._calendar.covers(now) else None
            since = now if session is None else max(since, session.open)
        seconds = (now - since) / 1e6
        if seconds <= self._options.stale_after_seconds:
            if self.status is ConnectionStatus.STALE:
                self.status = ConnectionStatus.SUBSCRIBED
            return
        self._source.distrust()
        if self.status is not ConnectionStatus.STALE:
            reason = f"nothing has changed for {seconds:.0f} s while the market is open"
            self._outlet.put(self._session.lost(self.name, now, reason, state=FeedState.STALE))
            self.status = ConnectionStatus.STALE
