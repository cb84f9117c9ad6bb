"""`tapeline ingest` and `tapeline replay` put together from the settings: the one place that makes their parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.configured import configured_feeds
from ingest.feed import Feed, Venue
from ingest.playback import Playback, skip
from ingest.publisher import CHECK, TOPIC_OF, Delivered, Publisher
from ingest.pump import run_feeds
from ingest.recorded import Frame, RecordingError
from ingest.recordings import read_recordings
from ingest.replay import ReplayFeed
from ingest.shift import lag_of_speed, lag_to_close_a_minute
from market.depth import Depth
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, producer_options, registry_options
from runtime.logs import get_logger
from runtime.settings import Settings
from schemas.contract import open_contract
from schemas.depth_encoding import encode_depth

log = get_logger(__name__)


async def run(settings: Settings, stop: asyncio.Event, *, capture: Path | None = None) -> None:
    """Publish the configured feeds until `stop` is set.

    Raises RuntimeFault or MarketDataError when the settings are wrong, when a server cannot be reached at the start, or when
    publishing has broken down.
    """
    feeds = await configured_feeds(settings.ingest, capture=capture)
    log.info("ingesting", feeds=sorted(settings.ingest.feeds))
    await publish(settings, feeds, stop)


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


async def publish(settings: Settings, feeds: Sequence[Feed], stop: asyncio.Event) -> Delivered:
    """Publish feeds to the configured cluster until they end or `stop` is set."""
    health = Health([CHECK, *(feed.name for feed in feeds)])
    publisher = await asyncio.to_thread(open_publisher, settings, health)
    with serving(health, settings.observability):
        beating = asyncio.create_task(keep_beating(health))
        try:
            await run_feeds(feeds, publisher, stop, health)
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
