"""A feed that plays recorded items: at their own speed, faster, or as fast as it goes; times as recorded or moved to now.

With times as recorded nothing depends on the clock, whatever the speed: the same items give the same records. The simulated
feed is a replay of items that are made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Self

from ingest.clock import Clock, SystemClock
from ingest.feed import ConnectionStatus, Counts, Subscription
from ingest.playback import Playback
from ingest.recorded import Frame, Item
from ingest.shift import Shift, shift_to
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)

_ITEMS_PER_TURN = 64  # of the event loop, when nothing waits
_LONG_PAUSE = 60.0


class ReplayFeed:
    """See `ingest.feed.Feed`. Subscribing and unsubscribing lets streams of the recording through or leaves them out."""

    def __init__(
        self,
        name: str,
        playback: Playback,
        items: Iterable[Item],
        *,
        speed: float | None = 1.0,
        lag: Callable[[int], int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`speed` None is as fast as it goes.

        `lag` moves times to now: it is asked at the first frame, with the time, for that of `ingest.shift.shift_to`. None
        leaves them as recorded.
        """
        self.name = name
        self.playback = playback
        self._items = items
        self._speed = speed
        self._lag = lag
        self._clock = clock or SystemClock()
        self._shift: Shift | None = None
        self._started: tuple[int, float] | None = None
        self._stop = asyncio.Event()
        self._status = ConnectionStatus.DISCONNECTED

    @property
    def venue(self) -> str:
        """See `ingest.feed.Feed.venue`."""
        return self.playback.session.venue

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self.playback.session.counts

    async def connect(self) -> None:
        """See `ingest.feed.Feed.connect`."""
        self._stop.clear()
        self._status = ConnectionStatus.CONNECTED

    async def disconnect(self) -> None:
        """See `ingest.feed.Feed.disconnect`."""
        self._stop.set()
        self._status = ConnectionStatus.DISCONNECTED

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Let streams through again."""
        self.playback.session.unmute(subscriptions)

    async def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Leave streams out from now on."""
        self.playback.session.mute(subscriptions)

    def get_status(self) -> ConnectionStatus:
        """See `ingest.feed.Feed.get_status`."""
        return self._status

    def get_subscribed_tickers(self) -> frozenset[str]:
        """Instruments met so far in the recording that are let through."""
        return self.playback.session.instruments()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.disconnect()

    async def __aiter__(self) -> AsyncIterator[Record]:
        """The records; what is left of the recording when the feed is disconnected is not played."""
        async for records in self.batches():
            for record in records:
                yield record

    async def batches(self) -> AsyncIterator[Sequence[Record]]:
        """See `ingest.feed.Feed.batches`: the records of each item."""
        for turn, item in enumerate(self._items):
            if isinstance(item, Frame):
                await self._wait_for(item.at)
                self._status = ConnectionStatus.SUBSCRIBED
            stopped = self._stop.is_set()
            records = self.playback.stopped(item.at) if stopped else self.playback.take(item)
            if self._shift is not None:
                records = [self._shift.apply(record, self._clock.now()) for record in records]
            if records:
                yield records
            if stopped:
                return
            if turn % _ITEMS_PER_TURN == 0:
                await asyncio.sleep(0)
        self._status = ConnectionStatus.DISCONNECTED

    async def _wait_for(self, at: int) -> None:
        if self._started is None:
            self._started = at, self._clock.monotonic()
            if self._lag is not None:
                now = self._clock.now()
                self._shift = shift_to(now, at, lag=self._lag(now))
            return
        if self._speed is None:
            return
        first, started = self._started
        delay = (at - first) / 1e6 / self._speed - (self._clock.monotonic() - started)
        if delay > _LONG_PAUSE:
            log.info("the recording pauses", feed=self.name, seconds=round(delay, 1))
        if delay > 0:
            await self._clock.pause(delay, self._stop)
