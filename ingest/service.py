"""`tapeline ingest` and `tapeline replay` put together from the settings: the one place that makes their parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.backfill import Backfill, History, RetrievingVenue, TellingVenue, VenueHistory
from ingest.bookmarks import Range, own_bookmarks
from ingest.clock import SystemClock
from ingest.configured import configured_composites, configured_feeds
from ingest.control_topic import Commands
from ingest.controlling import Controlling
from ingest.feed import Asking, Feed, Subscription, Venue
from ingest.live import LiveFeed
from ingest.playback import Playback, skip
from ingest.polled import CalendarOf, PolledFeed
from ingest.publisher import CHECK, TOPIC_OF, Delivered, Publisher
from ingest.pump import FLUSH_SECONDS, run_feeds
from ingest.quota import Allowances
from ingest.recorded import Frame, RecordingError
from ingest.recordings import read_recordings
from ingest.replay import ReplayFeed
from ingest.rest import RestClient
from ingest.shift import lag_of_speed, lag_to_close_a_minute
from market.composite import Composite
from market.depth import Depth
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, producer_options, registry_options, tail_options
from runtime.logs import get_logger
from runtime.memory import spare_the_collector
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.contract import open_contract
from schemas.depth_encoding import encode_depth
from schemas.tick_encoding import write_ticks
from schemas.topics import CONTROL

log = get_logger(__name__)


async def run(
    settings: Settings,
    stop: asyncio.Event,
    *,
    capture: Path | None = None,
    calendar_of: CalendarOf = lambda _instrument: None,
) -> None:
    """Publish the configured feeds until `stop` is set. `calendar_of` as in `ingest.configured`.

    Raises RuntimeFault or MarketDataError when the settings are wrong, when a server cannot be reached at the start, or when
    publishing has broken down.
    """
    feeds = await configured_feeds(settings.ingest, capture=capture, calendar_of=calendar_of)
    composites = configured_composites(settings.ingest)
    log.info("ingesting", feeds=sorted(settings.ingest.feeds))
    controlling = Controlling([feed for feed in feeds if isinstance(feed, LiveFeed | PolledFeed)], SystemClock())
    codec = await asyncio.to_thread(control_codec, settings)
    with Commands(tail_options(settings.kafka, "control", without_offset="earliest"), codec) as commands:
        await beside(controlling.follow(commands), publish(settings, feeds, stop, composites), stop)


async def beside(helper: Coroutine[Any, Any, None], work: Awaitable[object], stop: asyncio.Event) -> None:
    """Do the work with a helper beside it. Should that fail, `stop` is set, and its error raised when the work has ended."""
    helping = asyncio.create_task(helper)
    helping.add_done_callback(lambda _helping: stop.set())
    try:
        await work
    finally:
        helping.cancel()
        await asyncio.gather(helping, return_exceptions=True)
    if not helping.cancelled():
        helping.result()


def control_codec(settings: Settings) -> Codec:
    """What commands are read and written with, after a check that their topic is as declared. Raises RuntimeFault."""
    check_broker(settings.kafka)
    return open_contract(
        admin_options(settings.kafka, "control"), registry_options(settings.registry), settings.topics.partitions, [CONTROL]
    )


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay and how.

    `speed` None is as fast as it goes. `moved` moves times to now; `close_a_minute_within` (microseconds) then sets event
    times back by so much, at most a minute, that a minute of theirs ends within this time.
    """

    venue: Venue
    files: Sequence[Path]
    market: str | None = None
    speed: float | None = 1.0
    moved: bool = False
    offset: int = 0
    close_a_minute_within: int | None = None


def replay_feed(plan: ReplayPlan, max_clock_skew: int) -> ReplayFeed:
    """The feed of a replay. Raises RecordingError when a file cannot be read or is of no known format."""
    playback = Playback(plan.venue, market=plan.market, max_clock_skew=max_clock_skew)
    items = skip(read_recordings(plan.files), plan.offset)
    return ReplayFeed("replay", playback, items, speed=plan.speed, lag=_lag(plan) if plan.moved else None)


async def replay(settings: Settings, plan: ReplayPlan, stop: asyncio.Event) -> tuple[Playback, Delivered]:
    """Publish a recording; what became of it. Raises as `run`, and RecordingError."""
    feed = replay_feed(plan, settings.ingest.max_clock_skew)
    return feed.playback, await publish(settings, [feed], stop)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """Which history to publish. `bookmarks` is the file that keeps how far it has come; `rest_url` as in `ingest.live`."""

    venue: TellingVenue | RetrievingVenue
    wanted: list[Range]
    bookmarks: Path
    rest_url: str | None = None


async def backfill(
    settings: Settings, plan: BackfillPlan, stop: asyncio.Event, *, told: Callable[[Subscription, int, float], None]
) -> Delivered:
    """Publish history until it is done or `stop` is set. Raises as `run`, BackfillFailed and BookmarkError."""
    with own_bookmarks(plan.bookmarks) as bookmarks:
        publisher = await asyncio.to_thread(open_publisher, settings, Health([CHECK]))
        async with _history(plan, settings.ingest.max_clock_skew) as history:
            backfill = Backfill(history, SystemClock(), publisher, bookmarks, told=told)
            work, stopping = asyncio.create_task(backfill.run(plan.wanted)), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                for task in (work, stopping):
                    task.cancel()
                await asyncio.gather(work, stopping, return_exceptions=True)
                await publisher.flush(FLUSH_SECONDS)
    return publisher.counts


@asynccontextmanager
async def _history(plan: BackfillPlan, max_clock_skew: int) -> AsyncIterator[History]:
    clock, allowances = SystemClock(), Allowances()
    if isinstance(plan.venue, RetrievingVenue):
        async with plan.venue.history(Asking(clock, allowances, plan.rest_url), max_clock_skew) as history:
            yield history
        return
    rest = RestClient(plan.venue, clock, allowances, base_url=plan.rest_url, proxy=None)
    try:
        yield VenueHistory(plan.venue, rest, clock, max_clock_skew)
    finally:
        await rest.close()


async def publish(
    settings: Settings, feeds: Sequence[Feed], stop: asyncio.Event, composites: Sequence[Composite] = ()
) -> Delivered:
    """Publish feeds to the configured cluster until they end or `stop` is set."""
    health = Health([CHECK, *(feed.name for feed in feeds)])
    publisher = await asyncio.to_thread(open_publisher, settings, health)
    spare_the_collector()
    with serving(health, settings.observability):
        beating = asyncio.create_task(keep_beating(health))
        try:
            await run_feeds(feeds, publisher, stop, health, composites=composites)
        finally:
            beating.cancel()
    return publisher.counts


def open_publisher(settings: Settings, health: Health) -> Publisher:
    """A publisher to the configured cluster, after a check that its topics and schemas are as declared; blocks meanwhile.

    Raises RuntimeFault or MarketDataError naming what is missing or not reachable.
    """
    check_broker(settings.kafka)
    topics = list(dict.fromkeys(TOPIC_OF.values()))
    partitions = settings.topics.partitions
    codec = open_contract(admin_options(settings.kafka, "ingest"), registry_options(settings.registry), partitions, topics)
    codec.encode_with(Depth, encode_depth)
    write_ticks(codec)
    queue = settings.ingest.publisher
    options = producer_options(
        settings.kafka,
        "ingest",
        queue_bytes=queue.queue_bytes,
        linger_seconds=queue.linger_seconds,
        delivery_timeout_seconds=queue.delivery_timeout_seconds,
    )
    return Publisher(options, codec, partitions, health=health)


def _lag(plan: ReplayPlan) -> Callable[[int], int]:
    if plan.speed != 1.0:
        lag = lag_of_speed(_duration(plan), plan.speed)
        return lambda _now: lag
    within = plan.close_a_minute_within
    return lambda now: 0 if within is None else lag_to_close_a_minute(now, within)


def _duration(plan: ReplayPlan) -> int:
    """Microseconds from the first to the last frame that is played: the files are read through for it."""
    first = last = None
    for item in skip(read_recordings(plan.files), plan.offset):
        if isinstance(item, Frame):
            first, last = item.at if first is None else first, item.at
    if first is None or last is None:
        raise RecordingError(f"{', '.join(map(str, plan.files))}: no frame to play")
    return last - first
