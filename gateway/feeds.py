"""The latest state of every stream of every venue, as ingest reports it."""

from __future__ import annotations

from typing import Any

from market.feed_status import FeedStatus


class FeedStates:
    """One state for each venue, channel and instrument; their number is that of the configured streams."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str, str], FeedStatus] = {}

    def take(self, status: FeedStatus) -> None:
        """Take note of a change of state; they come in order, from one partition."""
        self._states[status.venue, status.channel, status.instrument] = status

    def describe(self) -> list[dict[str, Any]]:
        """All states as answers carry them, by venue, channel and instrument."""
        return [
            {
                "venue": status.venue,
                "channel": status.channel,
                "instrument": status.instrument,
                "state": status.state.value,
                "reason": status.reason,
                "changed_at": status.changed_at,
            }
            for _, status in sorted(self._states.items())
        ]
