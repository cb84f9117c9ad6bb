"""Streams of a line that fell silent while its others tell: told to be stale, begun anew, asked for by REST meanwhile.

`ingest.pulses` judges. A stream is live again with its next message on the line itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ingest.feed import Subscription
from ingest.polling import Poller
from ingest.session import Session
from market.feed_status import FeedState
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)

LOOK_SECONDS = 5  # ticks of the feed
"""Between two looks. After each of them one record of every stream goes the session's whole way, to be noticed."""


class SilentStreams:
    """Of one line; `begin_anew` has the venue begin streams of it anew. A `poller` asks for those in `streams`."""

    def __init__(self, line: str, session: Session, begin_anew: Callable[[Collection[Subscription]], None]) -> None:
        self.streams: set[Subscription] = set()
        self.poller: Poller | None = None
        self._line = line
        self._session = session
        self._begin_anew = begin_anew

    def look(self, now: int) -> list[Record]:
        """Do what is due by now; what is to be told of it."""
        told = self._end({stream for stream in self.streams if not self._session.is_stale(self._line, stream)}, now)
        silent, stale = self._session.silent(self._line, now)
        if silent:
            log.warning("streams are silent while others tell", line=self._line, streams=len(silent))
            self.streams.update(silent)
            self._begin_anew(silent)
            if self.poller is not None:
                self.poller.wanted.set()
        return told + stale

    def rest(self, now: int) -> list[Record]:
        """Nothing is asked for any longer: the line is down, or stopped."""
        return self._end(set(self.streams), now)

    def _end(self, streams: Collection[Subscription], now: int) -> list[Record]:
        self.streams.difference_update(streams)
        if self.poller is None:
            return []
        if not self.streams:
            self.poller.wanted.clear()
        reason = "the stream is served by its line again"
        return [
            record for stream in streams for record in self._session.tell(self.poller.line, stream, FeedState.DOWN, reason, now)
        ]
