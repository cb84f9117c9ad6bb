"""A feed of recorded frames that come as from a socket: taken in by a connection, out by its outlet. And what a run took."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.ingest.frames import INSTRUMENT
from ingest import feeds
from ingest.clock import SystemClock
from ingest.connection import Connection, ConnectionOptions
from ingest.feed import ConnectionStatus, Counts, ListeningVenue, Subscription
from ingest.outlet import Outlet, OutletFeed
from ingest.session import Session
from market.quality import MAX_CLOCK_SKEW

FRAMES_PER_TURN = 64
"""Of the event loop: as many as a read from a busy socket may hold."""

_LIMIT = 10_000


class RecordedFeed(OutletFeed):
    """See `ingest.feed.Feed`. The parts of a live feed, without the socket; all its frames there are come at once."""

    def __init__(self, frames: Iterable[bytes]) -> None:
        venue = feeds.load("binance")
        assert isinstance(venue, ListeningVenue)
        self.name, self.venue = "recorded", venue.name
        self.frames = 0
        self._frames = frames
        self._session = Session(venue.name, venue.heartbeats, once=True)
        self._outlet = Outlet(_LIMIT)
        self._clock = SystemClock()
        route = venue.route(Subscription(INSTRUMENT, "aggTrade"), None)
        self._session.add_line(self.name, venue.parser(route.market, {}, MAX_CLOCK_SKEW))
        self._connection = Connection(
            self.name,
            venue,
            route,
            self._session,
            options=ConnectionOptions(),
            clock=self._clock,
            outlet=self._outlet,
        )

    @property
    def counts(self) -> Counts:
        """What it has seen so far."""
        return self._session.counts

    async def connect(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._play())
        self._task.add_done_callback(lambda task: self._outlet.close(None if task.cancelled() else task.exception()))

    async def disconnect(self) -> None:
        """End, behind what was received."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._outlet.close()

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Not possible."""

    async def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Not possible."""

    def get_status(self) -> ConnectionStatus:
        """It is there."""
        return ConnectionStatus.SUBSCRIBED

    def get_subscribed_tickers(self) -> frozenset[str]:
        """The recorded one."""
        return frozenset([INSTRUMENT])

    async def _play(self) -> None:
        self._outlet.put(self._session.restored(self.name, self._clock.now()))
        take = self._connection.take
        for number, frame in enumerate(self._frames, start=1):
            take(frame)
            if not self._outlet.has_room:
                await self._connection.room()
            if number % FRAMES_PER_TURN == 0:
                self.frames = number
                await asyncio.sleep(0)
        self._outlet.put(self._session.lost(self.name, self._clock.now(), "the recording ends"))


def read_frames(path: Path) -> list[bytes]:
    """The frames of a file, one a line."""
    return path.read_bytes().splitlines()


def peak_rss_mb() -> float:
    """Peak of this program's memory; `getrusage` would tell that of the process it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1000


def figures_of(work: Callable[[], None], delivered: Callable[[], int]) -> None:
    """Do the work, and print what it took as JSON. What was prepared is not looked through for garbage meanwhile."""
    gc.collect()
    gc.freeze()
    began, cpu = time.perf_counter(), time.process_time()
    work()
    figures = {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - began,
        "delivered": delivered(),
        "failed": 0,
        "peak_rss_mb": peak_rss_mb(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
