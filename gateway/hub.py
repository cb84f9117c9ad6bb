"""Brings arriving records and clients together: what one says is rendered and framed once for all that listen.

Everything runs on one event loop and nothing here awaits: between taking a snapshot and entering its room no record can be
published, so a subscriber misses none and gets none twice.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.admission import Admission, Visitor
from gateway.channel import Channel
from gateway.close_codes import CloseCode
from gateway.feeds import FeedStates
from gateway.flusher import Flusher
from gateway.identity import Principal
from gateway.instruments import Instruments
from gateway.messages import Arrival, Message, encode
from gateway.metrics import CLIENTS_BEHIND, Traffic
from gateway.outbox import Gap, Outbox, OutboxLimits
from gateway.refusals import Refusal
from gateway.rooms import Members, Rooms, Showing
from gateway.session import Outcome, Session, SessionLimits
from market.feed_status import FeedStatus
from runtime import metrics
from runtime.logs import get_logger

log = get_logger(__name__)

_ENDS_KEPT = 100

Frame = Callable[[bytes], bytes]
"""Makes the bytes of a text message as they stand on the wire; the same for every client."""


class Client:
    """A connected client: its conversation, its outbox, and how to close it."""

    __slots__ = ("close", "outbox", "session")

    def __init__(self, session: Session, outbox: Outbox, close: Callable[[CloseCode], None]) -> None:
        self.session = session
        self.outbox = outbox
        self.close = close


class Hub:
    """All clients and all channels. `clock` gives microseconds since the epoch."""

    def __init__(
        self,
        channels: Sequence[Channel],
        instruments: Instruments,
        flusher: Flusher,
        *,
        frame: Frame,
        clock: Callable[[], int],
        session_limits: SessionLimits,
        outbox_limits: OutboxLimits,
        admission: Admission,
    ) -> None:
        self.admission = admission
        self.channels: Mapping[str, Channel] = {channel.data_type: channel for channel in channels}
        self.instruments = instruments
        self.feeds = FeedStates()
        self.traffic = Traffic()
        self.problem: str | None = "starting"
        self.measure_latency = False
        self._by_record: defaultdict[type[Any], list[Channel]] = defaultdict(list)
        for channel in channels:
            for record in channel.records:
                self._by_record[record].append(channel)
        self._rooms = Rooms()
        self._flusher = flusher
        self._frame = frame
        self._clock = clock
        self._session_limits = session_limits
        self._outbox_limits = outbox_limits
        self._clients: set[Client] = set()
        self._watchers: set[Client] = set()
        self._ends: list[tuple[int, int, Client]] = []
        self._numbers = itertools.count()
        self._latency = metrics.LATENCY.labels(metrics.Hop.RECEIVE_TO_GATEWAY)

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    # records

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Bring all state up to these records and publish what they tell."""
        now = self._clock()
        self.expire()
        for arrival in arrivals:
            try:
                self._take(arrival, now)
            except Exception:  # one record that trips a channel must not silence the rest
                metrics.ERRORS.labels("record_not_rendered").inc()
                log.exception("record could not be rendered", **arrival.source._asdict())
        self._flusher.wake()

    def _take(self, arrival: Arrival, now: int) -> None:
        record = arrival.record
        if self.instruments.add(record.instrument):
            self._extend(record.instrument, now)
        if isinstance(record, FeedStatus):
            self.feeds.take(record)
        for channel in self._by_record[type(record)]:
            self._publish(channel, arrival, now)
        if self.measure_latency and (received_at := getattr(record, "received_at", None)) is not None:
            self._latency.observe(max(0, now - received_at) / 1e6)

    def _extend(self, instrument: str, now: int) -> None:
        """An instrument is new: those who watch its venue are subscribed to it before anything of it is told."""
        for client in list(self._watchers):
            for outcome in client.session.extend(instrument, now):
                self.traffic.subscribed(len(outcome.joins))
                self._carry_out(client, outcome)

    def _publish(self, channel: Channel, arrival: Arrival, now: int) -> None:
        room = channel.take(arrival)
        if room is None:
            return
        members, showings = self._rooms.members(room), self._rooms.showings(room)
        if members is None and not showings:
            return
        message = channel.render(arrival, now)
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
        self.expire()
        time = self._flusher.scheduler.time()
        if self._rooms.members(showing.room) is not showing.members or showing.pace is None:
            return  # everyone has left
        for message in showing.pace.due(time):
            self._deliver(message, showing.members, kind)
        self._wait(showing, kind, time)
        self._flusher.wake()

    def _deliver(self, message: Message, members: Members, kind: str) -> None:
        frame = self._frame(message.payload)
        dirty = self._flusher.dirty
        for outbox in members.current:
            if not outbox.pending:
                dirty.append(outbox)
            outbox.pending.append(frame)
        self.traffic.sent(kind, len(members.current), len(frame))
        if members.behind:
            self._keep(message, frame, members)

    def _keep(self, message: Message, frame: bytes, members: Members) -> None:
        lost = {outbox: code for outbox in members.behind if (code := outbox.keep(message, frame)) is not None}
        for client in [client for client in self._clients if client.outbox in lost] if lost else ():
            client.close(lost[client.outbox])

    # clients

    def connect(
        self,
        client_id: str,
        write: Callable[[list[bytes]], None],
        close: Callable[[CloseCode], None],
        visitor: Visitor,
    ) -> Client:
        """A client has connected; once it is known who it is (a visitor has shown its token), it is greeted."""
        session = Session(client_id, self.channels, self.instruments, self._session_limits, visitor, self.admission)
        client = Client(session, Outbox(write, self._outbox_limits, visitor.queue), close)
        self._clients.add(client)
        self.traffic.connected(len(self._clients))
        if visitor.principal is not None:
            self._welcome(client, visitor.principal)
            self._flusher.wake()
        return client

    def _welcome(self, client: Client, principal: Principal) -> None:
        """Tell a client its id, its limits, what it may see, and the state of the gateway's own source."""
        self._watch_end(client)
        session = client.session
        greeting = {"client_id": session.client_id, "limits": self._session_limits.describe(), **principal.describe()}
        self._send(client, "status", encode("status", self._clock(), self.status() | greeting))

    def arrive(self, address: str, token: str | None) -> Visitor:
        """Someone asks to be let in. Raises Refusal."""
        return self.admission.arrive(address, token, self._clock())

    def receive_bytes(self, client: Client, size: int) -> bool:
        """Count bytes that came from a client; False when there were too many."""
        return client.session.visitor.take_bytes(size, self._clock())

    def receive_frame(self, client: Client) -> bool:
        """Count a frame that is no message by itself; False when there were too many, which the client is told."""
        try:
            client.session.visitor.take_message(self._clock())
        except Refusal as refusal:
            self.refuse(client, refusal)
            return False
        return True

    def receive(self, client: Client, text: bytes) -> None:
        """Answer a message of a client."""
        self.traffic.received(len(text))
        now = self._clock()
        visitor = client.session.visitor
        before, principal = len(client.session.rooms), visitor.principal
        outcome = client.session.receive(text, now)
        self.traffic.subscribed(len(client.session.rooms) - before)
        if visitor.is_over(now):  # it may have shown a newer token just now, else it gets no answer any more
            client.close(CloseCode.TOKEN_EXPIRED)
            return
        if client.session.watches:
            self._watchers.add(client)
        else:
            self._watchers.discard(client)
        self._carry_out(client, outcome)
        if visitor.principal is not principal and visitor.principal is not None and client in self._clients:
            self._watch_end(client) if principal is not None else self._welcome(client, visitor.principal)
            self._flusher.wake()

    def refuse(self, client: Client, refusal: Refusal) -> None:
        """Answer something a client sent that is no text."""
        self._carry_out(client, client.session.refuse(refusal, self._clock()))

    def fall_behind(self, client: Client) -> None:
        """The client's socket takes no more: from now on only what it will still need is kept."""
        self._rooms.set_behind(client.outbox, client.session.rooms.values(), behind=True)
        CLIENTS_BEHIND.inc()

    def catch_up(self, client: Client) -> None:
        """The client's socket takes more: it gets what was kept, after notices of what was left out."""
        outbox = client.outbox
        self._rooms.set_behind(outbox, client.session.rooms.values(), behind=False)
        CLIENTS_BEHIND.dec()
        backlog = outbox.catch_up()
        self.traffic.held_back(backlog.conflated, sum(gap.dropped for gap in backlog.gaps))
        notices = [self._frame(self._gap_notice(gap)) for gap in backlog.gaps]
        for frame in notices + backlog.kept:
            self.traffic.sent("late", 1, len(frame))
        outbox.pending = backlog.pending + notices + backlog.kept
        outbox.flush()

    def disconnect(self, client: Client) -> None:
        """The client is gone or going: nothing more is sent to it."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        self._watchers.discard(client)
        self.traffic.disconnected(len(self._clients))
        if client.outbox.behind:
            CLIENTS_BEHIND.dec()
        self.traffic.subscribed(-len(client.session.rooms))
        for room in client.session.rooms.values():
            self._rooms.leave(room, client.outbox)
        client.session.visitor.subscribed(-len(client.session.rooms))
        client.session.rooms.clear()
        client.outbox.discard()
        self.admission.leave(client.session.visitor)

    def set_problem(self, problem: str | None) -> None:
        """The gateway's source is disturbed (or well again: None); every client is told of a change."""
        if problem == self.problem:
            return
        self.problem = problem
        payload = encode("status", self._clock(), self.status())
        for client in list(self._clients):
            if client.session.visitor.principal is not None:
                self._send(client, "status", payload)
        self._flusher.wake()

    # who may still listen: checked before every delivery, so that to be in a room is to be entitled to it

    def expire(self) -> None:
        """Close those whose token's time is over."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, _, client = heapq.heappop(self._ends)
            if client in self._clients and client.session.visitor.is_over(now):
                client.close(CloseCode.TOKEN_EXPIRED)

    def review(self) -> None:
        """The keys have changed: close those whose key was taken away, and let others have what theirs grants now."""
        self.admission.authenticator.forget()
        for client in list(self._clients):
            visitor = client.session.visitor
            before = visitor.principal
            now = None if before is None else self.admission.authenticator.current(before)
            if before is not None and now is None:
                client.close(CloseCode.ACCESS_REVOKED)
            elif now != before:
                visitor.principal = now
                self._watch_end(client)
                self._narrow(client)
        self.expire()
        self._flusher.wake()

    def _narrow(self, client: Client) -> None:
        """Take a client out of the rooms it may no longer be in."""
        lost = client.session.lose()
        self.traffic.subscribed(-len(lost))
        data = {"unsubscribed": [room.describe() for room in lost], "refused": []}
        if lost:
            self._carry_out(client, Outcome(encode("unsubscribe", self._clock(), data), lost=lost))

    def _watch_end(self, client: Client) -> None:
        principal = client.session.visitor.principal
        if principal is None or principal.expires_at is None:
            return
        heapq.heappush(self._ends, (principal.expires_at, next(self._numbers), client))
        if len(self._ends) > 2 * len(self._clients) + _ENDS_KEPT:  # of clients that are gone, or have newer tokens
            self._ends = []
            for each in self._clients:
                self._watch_end(each)

    # sending

    def _carry_out(self, client: Client, outcome: Outcome) -> None:
        for room in outcome.leaves:
            self._rooms.leave(room, client.outbox)
        for room in outcome.lost:
            self._rooms.leave(room, client.outbox)
        if outcome.lost and client.outbox.behind:  # what waits for it may be of those rooms
            client.close(CloseCode.GRANTS_CHANGED)
            return
        for room in outcome.joins:
            self._rooms.join(room, client.outbox)
        self._send(client, "reply", outcome.reply)
        for message in outcome.snapshots:
            self._send(client, "snapshot", message.payload)
        if outcome.snapshots:
            client.outbox.flush()  # at once, so that a socket that is full is known before the next request is answered
        self._flusher.wake()
        if outcome.close is not None:
            client.outbox.flush()
            client.close(outcome.close)

    def _send(self, client: Client, kind: str, payload: bytes) -> None:
        if client not in self._clients:
            return  # it was cut by an earlier part of the same answer
        outbox = client.outbox
        if not outbox.pending:
            self._flusher.dirty.append(outbox)
        frame = self._frame(payload)
        code = outbox.answer(frame)
        self.traffic.sent(kind, 1, len(frame))
        if code is not None:
            client.close(code)

    def status(self) -> dict[str, Any]:
        """Whether what the gateway knows is up to date, and why it is not."""
        return {"state": "LIVE" if self.problem is None else "STALE", "reason": self.problem}

    def _gap_notice(self, gap: Gap) -> bytes:
        metadata = {"topic": gap.first.topic, "partition": gap.first.partition}
        offsets = {"first_offset": gap.first.offset, "last_offset": gap.last.offset}
        return encode("gap", self._clock(), gap.room.describe() | {"dropped": gap.dropped}, metadata | offsets)
