"""What each feed offers, and how configured feeds fare when they are listened to for a while, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ingest import feeds
from ingest.backfill import RetrievingVenue
from ingest.clock import Clock
from ingest.feed import ConnectionStatus, Feed, GeneratingVenue, ListeningVenue, OfferingVenue, PolledVenue
from ingest.rest_venue import (
    AnsweringVenue,
    ArchivingVenue,
    DefiningVenue,
    FetchingVenue,
    HealingVenue,
    HistoricalVenue,
    PollableVenue,
    RetellingVenue,
)

_ABILITIES: Mapping[str, type | tuple[type, ...]] = {
    "live": ListeningVenue,
    "generated": GeneratingVenue,
    "polled": PolledVenue,
    "books by REST": FetchingVenue,
    "missed trades by REST": (HealingVenue, HistoricalVenue, RetellingVenue),
    "polling": PollableVenue,
    "history": (HistoricalVenue, RetrievingVenue),
    "definitions": DefiningVenue,
    "REST answers read": AnsweringVenue,
}


class Offered(NamedTuple):
    """A feed: its markets, the channels it takes by itself, those it has besides, and what it can do.

    Of each kind of channel one is told, and what there is history of alone as well.
    """

    name: str
    markets: Sequence[str]
    channels: Sequence[str]
    others: Sequence[str]
    abilities: Sequence[str]


class Checked(NamedTuple):
    """How a feed fared: records a second, and the age of the last one in seconds (None: there was none)."""

    name: str
    venue: str
    status: ConnectionStatus
    rate: float
    age: float | None
    frames: int
    rejected: int
    reconnects: int
    healed: int
    failure: str | None


def offered() -> list[Offered]:
    """All feeds there are."""
    found = []
    for name in feeds.names():
        venue = feeds.load(name)
        abilities = [ability for ability, kind in _ABILITIES.items() if isinstance(venue, kind)]
        known = [*(venue.channels if isinstance(venue, OfferingVenue) else ())]
        known += venue.archives[:1] if isinstance(venue, ArchivingVenue) else ()
        others = [channel for channel in known if channel not in venue.default_channels]
        found.append(Offered(name, sorted(venue.markets), venue.default_channels, others, abilities))
    return found


async def check_feeds(wanted: Sequence[Feed], seconds: float, clock: Clock, stop: asyncio.Event) -> list[Checked]:
    """Listen to the feeds for so long, or until `stop` is set; what they give is counted and let go."""
    last: dict[str, int] = {}
    failures: dict[str, str] = {}

    async def listen(feed: Feed) -> None:
        try:
            await feed.connect()
            async for _ in feed:
                last[feed.name] = clock.now()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what the check is to show
            failures[feed.name] = f"{type(error).__name__}: {error}"

    tasks = [asyncio.create_task(listen(feed), name=feed.name) for feed in wanted]
    await clock.pause(seconds, stop)
    found = [_checked(feed, seconds, clock.now(), last.get(feed.name), failures.get(feed.name)) for feed in wanted]
    for feed in wanted:
        await feed.disconnect()
    await asyncio.gather(*tasks)
    return found


def _checked(feed: Feed, seconds: float, now: int, last: int | None, failure: str | None) -> Checked:
    counts = feed.counts
    return Checked(
        feed.name,
        feed.venue,
        ConnectionStatus.FAILED if failure else feed.get_status(),
        counts.records.total() / seconds,
        None if last is None else max(0.0, (now - last) / 1e6),
        counts.frames,
        counts.rejected.total(),
        counts.reconnects,
        counts.backfilled,
        failure,
    )
