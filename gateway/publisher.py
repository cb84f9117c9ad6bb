"""Brings arriving records to the rooms that shall hear of them: what one says is rendered and framed once for all.

Everything runs on one event loop and nothing here awaits, so between taking a snapshot and entering its room no record can
be published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.channel import Channel
from gateway.close_codes import CloseCode
from gateway.feeds import FeedStates
from gateway.flusher import Flusher
from gateway.identity import PORTFOLIO
from gateway.instruments import Instruments
from gateway.messages import Arrival, Message
from gateway.metrics import Traffic
from gateway.outbox import Outbox
from gateway.positions import Positions
from gateway.recent import Recent
from gateway.resumption import is_lasting
from gateway.rooms import Members, Rooms, Showing
from gateway.wire import PLAIN, Frame
from gateway.writing import put_all
from market.feed_status import FeedStatus
from market.portfolio import Portfolio
from market.portfolio_reply import PortfolioReply
from market.valuation_record import Valuation, ValuationLine
from runtime import metrics
from runtime.logs import get_logger

log = get_logger(__name__)

PRIVATE_RECORDS = frozenset((Portfolio, Valuation, ValuationLine, PortfolioReply))
"""Records of portfolios: what instruments they name is not told to others."""


def frame_of(message: Message, frame: Frame) -> bytes:
    """A message of a room as it stands on the wire."""
    view = message.room.view
    return frame(message.payload, PLAIN if view is None else view.wire)


class Publisher:
    """All channels and rooms.

    `extend` is told of each new instrument, `hold` of each change of a portfolio, `cut` of outboxes in which too much waits;
    `expire` closes those whose time is over, before anything is told.
    """

    def __init__(
        self,
        channels: Iterable[Channel],
        instruments: Instruments,
        flusher: Flusher,
        traffic: Traffic,
        positions: Positions,
        recent: Recent,
        *,
        frame: Frame,
        extend: Callable[[str, int], None],
        cut: Callable[[Mapping[Outbox, CloseCode]], None],
        expire: Callable[[], None],
        hold: Callable[[str, int], None] = lambda portfolio_id, now: None,
    ) -> None:
        self.rooms = Rooms()
        self.feeds = FeedStates()
        self.measure_latency = False
        self._instruments = instruments
        self._by_record: defaultdict[type[Any], list[Channel]] = defaultdict(list)
        for channel in channels:
            for record in channel.records:
                self._by_record[record].append(channel)
        self._flusher = flusher
        self._traffic = traffic
        self._positions = positions
        self._recent = recent
        self._frame = frame
        self._extend = extend
        self._cut = cut
        self._expire = expire
        self._hold = hold

    def take(self, arrivals: Iterable[Arrival], now: int) -> float:
        """Bring all state up to these records and publish what they tell.

        Returns for how many seconds more records need not come, as they would be written no sooner.
        """
        self._expire()
        taken = list[Any]()
        for arrival in arrivals:
            source, record = arrival
            try:
                self._take(arrival, type(record), now)
                taken.append(record)
            except Exception:  # one record that trips a channel must not silence the rest
                metrics.ERRORS.labels("record_not_rendered").inc()
                self._traffic.failed += 1
                log.exception("record could not be rendered", **source._asdict())
            self._positions.take(source)
        if self.measure_latency:
            self._observe(taken, now)
        # What comes straight from ingest alone: what was computed of it is told when that was done, and is not late for it.
        published = [time for record in taken if (time := getattr(record, "published_at", None)) is not None]
        self._wake((now - min(published)) / 1e6 if published else None)
        return self._flusher.patience

    def _wake(self, age: float | None = None) -> None:
        """Have what was delivered counted and written."""
        self._traffic.settle()
        self._flusher.wake(age)

    def _observe(self, records: Iterable[Any], now: int) -> None:
        times = [time for record in records if (time := getattr(record, "received_at", None)) is not None]
        if times:
            late = [max(0, now - time) for time in times]
            metrics.observe_many(metrics.Hop.RECEIVE_TO_GATEWAY, late)
            self._traffic.late(late)

    def _take(self, arrival: Arrival, kind: type[Any], now: int) -> None:
        record = arrival.record
        if kind not in PRIVATE_RECORDS and self._instruments.add(record.instrument):
            self._extend(record.instrument, now)
        if kind is FeedStatus:
            self.feeds.take(record)
        for channel in self._by_record[kind]:
            self._publish(channel, arrival, now)
        if kind is Portfolio:
            self._hold(record.portfolio_id, now)

    def _publish(self, channel: Channel, arrival: Arrival, now: int) -> None:
        room = channel.take(arrival)
        if room is None:
            return
        if is_lasting(channel, arrival.record):
            self._recent.take(room, arrival)
        members, showings = self.rooms.members(room), self.rooms.showings(room)
        if members is None and not showings:
            return
        message = channel.render(arrival, now)
        if room.data_type != PORTFOLIO:
            self._traffic.told(room.instrument)
        if members is not None:
            self._deliver(message, members, channel.message_type)
        for showing in showings:
            self._show(showing, message, channel.message_type)

    def _show(self, showing: Showing, message: Message, kind: str) -> None:
        """Tell those who look at a room through a view what that shows of a message, now or when its time comes."""
        payload = showing.show(message.payload)
        if payload is None:
            return
        key = None if message.key is None else (showing.room, message.key)
        shown = Message(showing.room, key, message.source, payload)
        pace, time = showing.pace, self._flusher.scheduler.time()
        if pace is None or pace.take(shown, time):
            self._deliver(shown, showing.members, kind)
        elif not showing.waiting:
            self._wait(showing, kind, time)

    def _wait(self, showing: Showing, kind: str, time: float) -> None:
        pace = showing.pace
        wait = None if pace is None else pace.wait(time)
        showing.waiting = wait is not None
        if wait is not None:
            self._flusher.scheduler.call_later(wait, lambda: self._release(showing, kind))

    def _release(self, showing: Showing, kind: str) -> None:
        """Tell what was held back and may go now."""
        self._expire()
        time = self._flusher.scheduler.time()
        if self.rooms.members(showing.room) is not showing.members or showing.pace is None:
            return  # everyone has left
        for message in showing.pace.due(time):
            self._deliver(message, showing.members, kind)
        self._wait(showing, kind, time)
        self._wake()

    def _deliver(self, message: Message, members: Members, kind: str) -> None:
        frame = frame_of(message, self._frame)
        put_all(members.current, frame, self._flusher.dirty)
        members.told += 1
        self._traffic.sent(kind, len(members.current), len(frame))
        if members.behind:
            self._keep(message, frame, members)

    def _keep(self, message: Message, frame: bytes, members: Members) -> None:
        lost = {outbox: code for outbox in members.behind if (code := outbox.keep(message, frame)) is not None}
        if lost:
            self._cut(lost)
