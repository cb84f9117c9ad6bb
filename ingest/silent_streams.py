"""Streams of a line that fell silent while its others tell: told to be stale, begun anew, served otherwise meanwhile.

`ingest.pulses` judges. A silent stream is asked for by REST; where REST does not answer about it either, or does not tell of
such streams, the feed that stands in for the line does so for its silent streams as well. A stream is live again with its next
message on the line itself, and each switch is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ingest.failover import Failover, Switch, Way
from ingest.feed import Subscription
from ingest.polling import Poller
from ingest.session import Session
from ingest.substitutes import Claim
from market.feed_status import FeedState
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)

LOOK_SECONDS = 5  # ticks of the feed
"""Between two looks. After each of them one record of every stream goes the session's whole way, to be noticed."""

_LINE_IS_DOWN = "the line of the silent streams is down"


@dataclass(slots=True)
class _Silent:
    """A stream, since when it is served otherwise, and how."""

    since: int
    ways: Failover


class SilentStreams:
    """Of one line; `begin_anew` has the venue begin streams of it anew. A `poller` asks for those in `streams`.

    What the poller is not answered about for `fresh_for` microseconds has the `backup` stand in, where there is one.
    """

    def __init__(self, line: str, session: Session, begin_anew: Callable[[Collection[Subscription]], None]) -> None:
        self.poller: Poller | None = None
        self.backup: Claim | None = None
        self.fresh_for = 0
        self._line = line
        self._session = session
        self._begin_anew = begin_anew
        self._silent: dict[Subscription, _Silent] = {}

    @property
    def streams(self) -> Collection[Subscription]:
        """Those that are silent."""
        return self._silent.keys()

    def look(self, now: int) -> list[Record]:
        """Do what is due by now; what is to be told of it."""
        told: list[Record] = []
        for stream in [one for one in self._silent if not self._session.is_stale(self._line, one)]:
            told += self._returned(stream, now)
        silent, stale = self._session.silent(self._line, now)
        if silent:
            log.warning("streams are silent while others tell", line=self._line, streams=len(silent))
            for stream in silent:
                self._silent.setdefault(stream, _Silent(now, Failover(self._ways(), self.fresh_for, now)))
            self._begin_anew(silent)
        told += stale
        for stream, one in self._silent.items():
            told += self._switched(stream, one.ways, now)
        self._hold()
        return told

    def excuse(self, now: int) -> None:
        """Nothing could be asked for up to now."""
        for one in self._silent.values():
            one.ways.heard(one.ways.way, now)

    def rest(self, now: int) -> list[Record]:
        """Nothing is asked for any longer: the line is down, or stopped."""
        told: list[Record] = []
        for stream in list(self._silent):
            told += self._let_go(stream, now, _LINE_IS_DOWN)
        self._hold()
        return told

    def _ways(self) -> list[Way]:
        first = Way.WEBSOCKET if self.poller is None else Way.REST
        return [first] if self.backup is None else [first, Way.BACKUP]

    def _switched(self, stream: Subscription, ways: Failover, now: int) -> list[Record]:
        answered_at = None if self.poller is None else self.poller.answered_at.get(stream)
        if answered_at is not None:
            ways.heard(Way.REST, answered_at)
        switch = ways.step(now)
        if switch is None:
            return []
        log.warning("switched", stream=stream, reason=switch.reason)
        state = FeedState.STALE if switch.after is Way.BACKUP else FeedState.LIVE
        return self._tell(stream, switch, state, now)

    def _returned(self, stream: Subscription, now: int) -> list[Record]:
        """The line tells of the stream again; how it was served meanwhile is told where anything did."""
        one = self._silent[stream]
        answered_at = -1 if self.poller is None else self.poller.answered_at.get(stream, -1)
        told = self._let_go(stream, now, "the stream is served by its line again")
        if one.ways.way is Way.BACKUP or answered_at >= one.since:
            switch = Switch(one.ways.way, Way.WEBSOCKET, f"{Way.WEBSOCKET} is fresh again")
            told += self._tell(stream, switch, FeedState.LIVE, now)
        return told

    def _let_go(self, stream: Subscription, now: int, reason: str) -> list[Record]:
        del self._silent[stream]
        return [] if self.poller is None else self._session.tell(self.poller.line, stream, FeedState.DOWN, reason, now)

    def _tell(self, stream: Subscription, switch: Switch, state: FeedState, now: int) -> list[Record]:
        before, after = self._source_of(switch.before), self._source_of(switch.after)
        return self._session.switched([stream], state, f"{switch.reason}: {before} → {after}", after, now)

    def _source_of(self, way: Way) -> str:
        return self.backup.substitute.name if way is Way.BACKUP and self.backup is not None else way.value

    def _hold(self) -> None:
        """Have asked, and have a feed stand in, as long as anything is silent that needs it."""
        if self.poller is not None:
            (self.poller.wanted.set if self._silent else self.poller.wanted.clear)()
        if self.backup is not None:
            if any(one.ways.way is Way.BACKUP for one in self._silent.values()):
                self.backup.take("streams are silent and REST does not help")
            else:
                self.backup.leave("no stream needs it")
