"""Whether a stream of a venue can be trusted right now."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.instrument import check_instrument
from market.quality import check_id, check_time


class FeedState(StrEnum):
    """State of one channel of one instrument."""

    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"
    GAP = "GAP"
    RESYNC = "RESYNC"
    DOWN = "DOWN"


class FeedStatus(NamedTuple):
    """A change of state, with its reason in words, at `changed_at` (microseconds, our clock).

    `source` is the way by which the stream is served since a switch: websocket, rest, or the name of the feed that stands in.
    """

    venue: str
    channel: str
    instrument: str
    state: FeedState
    reason: str
    changed_at: int
    published_at: int | None = None
    source: str | None = None


def check_status(status: FeedStatus) -> FeedStatus:
    """Return a status unchanged whose names and time can be those of a stream. Raises DataValidationError."""
    check_id(status.venue, field="venue")
    check_id(status.channel, field="channel")
    check_instrument(status.instrument)
    check_time(status.changed_at, field="changed_at")
    if status.published_at is not None:
        check_time(status.published_at, field="published_at")
    if status.source is not None:
        check_id(status.source, field="source")
    return status
