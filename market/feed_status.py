"""Whether a stream of a venue can be trusted right now."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class FeedState(StrEnum):
    """State of one channel of one instrument."""

    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"
    GAP = "GAP"
    RESYNC = "RESYNC"
    DOWN = "DOWN"


class FeedStatus(NamedTuple):
    """A change of state, with its reason in words, at `changed_at` (microseconds, our clock)."""

    venue: str
    channel: str
    instrument: str
    state: FeedState
    reason: str
    changed_at: int
    published_at: int | None = None
