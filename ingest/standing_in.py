"""Has something else serve a line's streams while the line tells nothing: polling by REST, then a feed that stands in.

`ingest.failover` decides; here it is done, and each switch is told of every stream with its reason. What comes by REST and,
from a feed of the same venue, by the other line goes through the same session, so that each trade is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.failover import Failover, Switch, Way
from ingest.feed import Subscription
from ingest.polling import Poller
from ingest.session import Session
from ingest.substitutes import Claim, Substitute
from market.feed_status import FeedState
from runtime.logs import get_logger
from schemas.records import Record

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FailoverOptions:
    """After how long without market data another way serves a line's streams, and how often it is asked for them."""

    fresh_seconds: float = 10.0
    poll_seconds: float = 2.0


class StandIn:
    """The ways of one line; `poller` and `substitute` are those it has.

    `heard` gives when market data last came by a WebSocket about its streams (microseconds), None if it never did: another
    line may tell of them as well.
    """

    def __init__(
        self,
        line: str,
        streams: Callable[[], Iterable[Subscription]],
        session: Session,
        *,
        heard: Callable[[], int | None],
        poller: Poller | None,
        substitute: Substitute | None,
        options: FailoverOptions,
        now: int,
    ) -> None:
        self._line = line
        self._streams = streams
        self._session = session
        self._heard = heard
        self._poller = poller
        self._backup = None if substitute is None else Claim(substitute, line)
        has = {Way.WEBSOCKET: True, Way.REST: poller is not None, Way.BACKUP: substitute is not None}
        self._fresh_for = round(options.fresh_seconds * 1e6)
        self._failover = Failover([way for way in Way if has[way]], self._fresh_for, now)
        self._excused_at = now

    @property
    def way(self) -> Way:
        """By which the streams are served."""
        return self._failover.way

    def check(self, now: int) -> list[Record]:
        """Do what is due by now; what is to be told of it."""
        if not list(self._streams()):
            return self.rest(now, "nothing is subscribed to")
        self._listen(Way.WEBSOCKET, self._heard())
        if self._poller is not None:
            self._listen(Way.REST, self._session.heard_at(self._poller.line))
        if self._backup is not None:
            self._listen(Way.BACKUP, self._backup.substitute.heard_at)
        told = self._check_polling(now)
        switch = self._failover.step(now)
        return told if switch is None else told + self._do(switch, now)

    def excuse(self, now: int) -> None:
        """What serves the streams cannot tell anything just now: it waits until there is room for more."""
        self._failover.heard(self.way, now)
        self._excused_at = now

    def rest(self, now: int, reason: str) -> list[Record]:
        """Nothing serves the streams any longer, on purpose."""
        way = self.way
        self._failover.resume(now)
        if way is Way.WEBSOCKET:
            return []
        self._leave(Way.REST, reason)
        self._leave(Way.BACKUP, reason)
        return self._polling_ended(reason, now)

    def _listen(self, way: Way, at: int | None) -> None:
        if at is not None:
            self._failover.heard(way, at)

    def _do(self, switch: Switch, now: int) -> list[Record]:
        source = self._source_of(switch.after)
        reason = f"{switch.reason}: {self._source_of(switch.before)} → {source}"
        log.warning("switched", line=self._line, reason=reason)
        is_worse = list(Way).index(switch.after) > list(Way).index(switch.before)
        state = FeedState.STALE if is_worse else FeedState.LIVE
        ended: list[Record] = []
        if is_worse:
            self._take_up(switch.after, reason)
        else:  # ways better than the one returned to go on being tried
            self._leave(Way.BACKUP, reason)
            if switch.after is Way.WEBSOCKET:
                self._leave(Way.REST, reason)
                ended = self._polling_ended(reason, now)
        return ended + self._session.switched(self._streams(), state, reason, source, now)

    def _take_up(self, way: Way, reason: str) -> None:
        if way is Way.REST and self._poller is not None:
            self._poller.wanted.set()
        elif way is Way.BACKUP and self._backup is not None:
            self._backup.take(reason)

    def _leave(self, way: Way, reason: str) -> None:
        if way is Way.REST and self._poller is not None:
            self._poller.wanted.clear()
        elif way is Way.BACKUP and self._backup is not None:
            self._backup.leave(reason)

    def _check_polling(self, now: int) -> list[Record]:
        """REST that answers no longer tells of no stream that it is live."""
        poller = self._poller
        if poller is None or not poller.wanted.is_set():
            return []
        if min(self._session.silence(poller.line, now), now - self._excused_at) < self._fresh_for:
            return []
        return self._session.lost(poller.line, now, "REST does not answer", state=FeedState.STALE)

    def _polling_ended(self, reason: str, now: int) -> list[Record]:
        return [] if self._poller is None else self._session.lost(self._poller.line, now, reason)

    def _source_of(self, way: Way) -> str:
        return self._backup.substitute.name if way is Way.BACKUP and self._backup is not None else way.value
