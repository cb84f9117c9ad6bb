"""Moves records from feeds to the publisher until told to stop, and shows the operator how it goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest.clock import Clock, SystemClock
from ingest.feed import ConnectionStatus, Feed
from ingest.outlet import BATCH
from ingest.publisher import CHECK, Health, Publisher, Undelivered
from market.composite import Composite
from market.quote import Quote
from runtime import metrics
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)

_POLL_SECONDS = 0.05
_REPORT_SECONDS = 1.0
_CUT_SECONDS = 1.0
_DRAIN_SECONDS = 3.0
FLUSH_SECONDS = 8.0
_WORKING = (ConnectionStatus.CONNECTED, ConnectionStatus.SUBSCRIBED)


async def run_feeds(
    feeds: Sequence[Feed],
    publisher: Publisher,
    stop: asyncio.Event,
    health: Health,
    *,
    flush_seconds: float = FLUSH_SECONDS,
    composites: Sequence[Composite] = (),
    clock: Clock | None = None,
) -> None:
    """Publish what the feeds give until all have ended or `stop` is set, then wait for the broker.

    `health` has the publisher's check and one named as each feed. Raises what a feed or the publisher raises, and
    Undelivered when not everything that was received reached the broker in time.
    """
    health.ready(CHECK)
    report = _Report(feeds, publisher, health)
    polling, reporting = asyncio.create_task(_poll(publisher)), asyncio.create_task(report.keep_updating())
    cutting = asyncio.create_task(_cut(composites, publisher, clock or SystemClock()))
    pumps = [asyncio.create_task(_pump(feed, publisher, composites), name=feed.name) for feed in feeds]
    try:
        await _until_done(pumps, (polling, reporting, cutting), stop)
    finally:
        for feed in feeds:
            await feed.disconnect()
        _, late = await asyncio.wait(pumps, timeout=_DRAIN_SECONDS)
        await _cancelled([*late, polling, cutting])  # flushing polls in a thread of its own: never both at once
        left = await _flushed(publisher, stop, flush_seconds)
        await _cancelled([reporting])
        report.update()
    faults = [task.exception() for task in (*pumps, polling, reporting, cutting) if not task.cancelled()]
    for fault in filter(None, faults):
        raise fault
    if late:
        raise Undelivered(f"what {', '.join(task.get_name() for task in late)} had received was not all handed to the broker")
    if left := left + publisher.counts.failed.total():
        raise Undelivered(f"{left} records were not delivered to the broker")


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _flushed(publisher: Publisher, stop: asyncio.Event, seconds: float) -> int:
    """Wait for the broker: as long as it takes, but only so many seconds once it is time to stop. How many are left."""
    while not stop.is_set() and not publisher.has_failed:
        if not await publisher.flush(1.0):
            return 0
    return await publisher.flush(seconds)


async def _until_done(
    pumps: Sequence[asyncio.Task[None]], background: Sequence[asyncio.Task[None]], stop: asyncio.Event
) -> None:
    """Return when all pumps have ended, something has failed, or it is time to stop."""
    stopping = asyncio.create_task(stop.wait())
    pending: set[asyncio.Task[None]] = set(pumps)
    try:
        while pending and not stop.is_set():
            done, _ = await asyncio.wait({stopping, *background, *pending}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            if any(task.exception() is not None for task in done - {stopping}):
                return
    finally:
        stopping.cancel()


async def _pump(feed: Feed, publisher: Publisher, composites: Sequence[Composite]) -> None:
    await feed.connect()
    number = 0
    async for records in feed.batches():
        await _publish(with_composites(records, composites) if composites else records, publisher)
        number += len(records)
        if number >= BATCH:
            number = 0
            await asyncio.sleep(0)


def with_composites(records: Iterable[Record], composites: Sequence[Composite]) -> list[Record]:
    """The records, each with what composites make of it behind it."""
    found: list[Record] = []
    for record in records:
        found.append(record)
        if isinstance(record, Quote):
            found += filter(None, (composite.take(record) for composite in composites))
    return found


async def _cut(composites: Sequence[Composite], publisher: Publisher, clock: Clock) -> None:
    """Leave venues out that fell silent, also where no feed tells anything any more."""
    while True:
        for composite in composites:
            if quote := composite.tell(clock.now()):
                await _publish([quote], publisher)
        await asyncio.sleep(_CUT_SECONDS)


async def _publish(records: Sequence[Record], publisher: Publisher) -> None:
    done = publisher.publish_all(records)
    while done < len(records):
        await publisher.room()
        done += publisher.publish_all(records[done:])


async def _poll(publisher: Publisher) -> None:
    while True:
        publisher.poll()
        await asyncio.sleep(_POLL_SECONDS)


class _Report:
    """What the operator is shown: metrics and readiness."""

    def __init__(self, feeds: Sequence[Feed], publisher: Publisher, health: Health) -> None:
        self._feeds = [_FeedReport(feed) for feed in feeds]
        self._published = _PublisherReport(publisher)
        self._health = health

    def update(self) -> None:
        for feed in self._feeds:
            feed.update(self._health)
        self._published.update()

    async def keep_updating(self) -> None:
        while True:
            self.update()
            await asyncio.sleep(_REPORT_SECONDS)


@dataclass(slots=True)
class _FeedReport:
    """Brings a feed's counts into the metrics, and its status into readiness."""

    feed: Feed
    received: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    reconnects: int = 0

    def update(self, health: Health) -> None:
        venue, counts, status = self.feed.venue, self.feed.counts, self.feed.get_status()
        for channel, number in _grown(self.received, counts.received).items():
            metrics.MESSAGES_RECEIVED.labels(venue, channel).inc(number)
        for reason, number in _grown(self.rejected, counts.rejected).items():
            metrics.DEAD_LETTERS.labels(venue, reason).inc(number)
        for name in sorted(counts.unknown.keys() - self.unknown):
            log.warning("messages of an unknown kind", feed=self.feed.name, kind=name)
            self.unknown.add(name)
        metrics.RECONNECTS.labels(self.feed.name).inc(counts.reconnects - self.reconnects)
        self.reconnects = counts.reconnects
        metrics.WEBSOCKET_CONNECTIONS.labels(self.feed.name).set(status in _WORKING)
        if status in (*_WORKING, ConnectionStatus.STOPPED):
            health.ready(self.feed.name)
        else:
            health.not_ready(self.feed.name, status.value)


@dataclass(slots=True)
class _PublisherReport:
    """Brings the publisher's counts into the metrics."""

    publisher: Publisher
    delivered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def update(self) -> None:
        counts = self.publisher.counts
        for topic, number in _grown(self.delivered, counts.delivered).items():
            metrics.RECORDS_OUT.labels(topic).inc(number)
        for reason, number in _grown(self.refused, counts.refused).items():
            metrics.DEAD_LETTERS.labels("ingest", reason).inc(number)
        for number in _grown(self.failed, counts.failed).values():
            metrics.ERRORS.labels("delivery").inc(number)


def _grown(before: Counter[str], now: Counter[str]) -> Counter[str]:
    """What was added since the last time; `before` is brought up to date."""
    grown = now - before
    before.update(grown)
    return grown
