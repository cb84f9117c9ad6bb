"""Brings clients and the published records together: their conversations, their rooms, what is sent to them.

Everything runs on one event loop and nothing here awaits: between taking a snapshot and entering its room no record can be
published, so a subscriber misses none and gets none twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.admission import Admission, Visitor
from gateway.channel import Channel, ChannelOptions
from gateway.channels.portfolio import Channel as PortfolioChannel
from gateway.clients import Client, TokenEnds
from gateway.close_codes import CloseCode
from gateway.connections import ConnectionStats
from gateway.door import MARKET_PATH, Entrance
from gateway.flusher import Flusher
from gateway.identity import PORTFOLIO, Principal
from gateway.instruments import Instruments
from gateway.intake import Origin
from gateway.messages import Arrival, Message, encode
from gateway.metrics import CLIENTS_BEHIND, Traffic
from gateway.outbox import Gap, Outbox, OutboxLimits
from gateway.outcome import Outcome, SessionLimits
from gateway.packing import pack
from gateway.past import Past
from gateway.portfolios.desk import Desk
from gateway.portfolios.session import PortfolioSession
from gateway.positions import Positions
from gateway.publisher import Frames, Publisher
from gateway.recent import Recent, RecentLimits
from gateway.recoveries import Recoveries
from gateway.refusals import Refusal
from gateway.resume_tokens import ResumeTokens
from gateway.resumption import Missed, Recovering, Resumption
from gateway.session import Session
from gateway.wanted import shown


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """How clients go on where they were.

    `key` signs their tokens (None for one of this process alone), `recent` is how much is kept for them in memory, `origin`
    tells where the intake began, and `past` reads what is not kept.
    """

    key: bytes | None = None
    recent: RecentLimits = field(default_factory=RecentLimits)
    origin: Callable[[], Origin] = Origin
    past: Past | None = None
    channels: ChannelOptions = field(default_factory=ChannelOptions)


class Hub:
    """All clients and all channels. `clock` gives microseconds since the epoch."""

    def __init__(
        self,
        channels: Sequence[Channel],
        instruments: Instruments,
        flusher: Flusher,
        *,
        frames: Frames,
        clock: Callable[[], int],
        session_limits: SessionLimits,
        outbox_limits: OutboxLimits,
        admission: Admission,
        resume: ResumeOptions = ResumeOptions(),  # immutable
    ) -> None:
        self.admission = admission
        offered = {channel.data_type: channel for channel in channels}
        self.portfolios = cast("PortfolioChannel | None", offered.pop(PORTFOLIO, None))
        """Served to sessions of their own, which `connect` opens where a desk takes commands."""
        self.desk: Desk | None = None
        self.channels: Mapping[str, Channel] = offered
        self.instruments = instruments
        self.traffic = Traffic()
        self.problem: str | None = "starting"
        positions, recent = Positions(resume.origin), Recent(resume.recent)
        self.resumption = Resumption(ResumeTokens(resume.key), positions, recent)
        self.publisher = Publisher(
            channels,
            instruments,
            flusher,
            self.traffic,
            positions,
            recent,
            frames=frames,
            extend=self._extend,
            cut=self._cut,
            expire=self.expire,
        )
        self.feeds = self.publisher.feeds
        self.channel_options = resume.channels
        self._recoveries = Recoveries(resume.past, self.resumption, self)
        self._rooms = self.publisher.rooms
        self._flusher = flusher
        self._frames = frames
        self._clock = clock
        self._session_limits = session_limits
        self._outbox_limits = outbox_limits
        self._clients: set[Client] = set()
        self._watchers: set[Client] = set()
        self._ends = TokenEnds()
        self._client_numbers = itertools.count(1)

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    def everyone(self) -> list[Client]:
        """All clients."""
        return list(self._clients)

    def now(self) -> int:
        """The time, microseconds since the epoch."""
        return self._clock()

    def tell(self, client: Client, kind: str, payload: bytes) -> None:
        """Send a message to one client; whoever does so calls `wake` afterwards."""
        self._send(client, kind, payload)

    def wake(self) -> None:
        """Have what is pending written."""
        self._flusher.wake()

    # records

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Bring all state up to these records and publish what they tell."""
        self.publisher.take(arrivals, self._clock())

    def _extend(self, instrument: str, now: int) -> None:
        """An instrument is new: those who watch its venue are subscribed to it before anything of it is told."""
        for client in list(self._watchers):
            for outcome in client.session.extend(instrument, now):
                self._carry_out(client, outcome)
                if client not in self._clients:
                    break  # one that is closed must enter no further room: nobody would take it out again

    def _cut(self, lost: Mapping[Outbox, CloseCode]) -> None:
        for client in [client for client in self._clients if client.outbox in lost]:
            client.close(lost[client.outbox])

    # clients

    def connect(
        self,
        client_id: str,
        write: Callable[[list[bytes]], None],
        close: Callable[[CloseCode], None],
        visitor: Visitor,
        entrance: Entrance | None = None,
        *,
        packed: bool = False,
    ) -> Client:
        """A client has connected; once it is known who it is (a visitor has shown its token), it is greeted."""
        session = self._session(client_id, visitor, entrance)
        stats = ConnectionStats(next(self._client_numbers), self._clock())
        client = Client(session, Outbox(write, self._outbox_limits, visitor.queue), close, stats)
        session.subscriptions.packed = packed
        session.counts = lambda: self.counts(client)
        self._clients.add(client)
        self.traffic.connected(len(self._clients))
        if visitor.principal is not None:
            self._welcome(client, visitor.principal)
            self._flusher.wake()
        return client

    def _session(self, client_id: str, visitor: Visitor, entrance: Entrance | None) -> Session:
        shared = self._session_limits, visitor, self.admission, self.resumption
        if entrance is None or entrance.path == MARKET_PATH or self.portfolios is None or self.desk is None:
            return Session(client_id, self.channels, self.instruments, *shared)
        return PortfolioSession(client_id, entrance.portfolio_id, self.portfolios, self.desk, *shared)

    def _welcome(self, client: Client, principal: Principal) -> None:
        """Tell a client its id, its limits, what it may see, and the state of the gateway's own source."""
        self._ends.watch(client, self._clients)
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
        client.stats.heard(len(text), now)
        visitor = client.session.visitor
        subscriptions, principal = client.session.subscriptions, visitor.principal
        outcome = client.session.receive(text, now)
        client.stats.errors += outcome.refused
        if visitor.is_over(now):  # it may have shown a newer token just now, else it gets no answer any more
            client.close(CloseCode.TOKEN_EXPIRED)
            return
        if subscriptions.watches:
            self._watchers.add(client)
        else:
            self._watchers.discard(client)
        self._carry_out(client, outcome)
        if visitor.principal is not principal and visitor.principal is not None and client in self._clients:
            self._ends.watch(client, self._clients) if principal is not None else self._welcome(client, visitor.principal)
            self._flusher.wake()

    def refuse(self, client: Client, refusal: Refusal) -> None:
        """Answer something a client sent that is no text."""
        client.stats.errors += 1
        self._carry_out(client, client.session.refuse(refusal, self._clock()))

    def fall_behind(self, client: Client) -> None:
        """The client's socket takes no more: from now on only what it will still need is kept."""
        client.session.behind = True
        self._rooms.set_behind(client.outbox, client.session.subscriptions.rooms.values(), behind=True)
        CLIENTS_BEHIND.inc()

    def catch_up(self, client: Client) -> None:
        """The client's socket takes more: it gets what was kept, after notices of what was left out."""
        outbox = client.outbox
        client.session.behind = False
        self._rooms.set_behind(outbox, client.session.subscriptions.rooms.values(), behind=False)
        CLIENTS_BEHIND.dec()
        backlog = outbox.catch_up()
        self.traffic.held_back(backlog.conflated, sum(gap.dropped for gap in backlog.gaps))
        notices = [self._framed(client, self._gap_notice(gap)) for gap in backlog.gaps]
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
        self._recoveries.drop(client)
        subscriptions = client.session.subscriptions
        for room in subscriptions.rooms.values():
            self._rooms.leave(room, client.outbox)
        client.session.visitor.subscribed(-subscriptions.count())
        subscriptions.rooms.clear()
        subscriptions.recovering.clear()
        self._count_subscriptions(client)
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
        for client in self._ends.due(now):
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
                self._ends.watch(client, self._clients)
                self._narrow(client)
        self.expire()
        self._flusher.wake()

    def _narrow(self, client: Client) -> None:
        """Take a client out of the rooms it may no longer be in."""
        lost = client.session.lose()
        data = {"unsubscribed": [room.describe() for room in lost], "refused": []}
        if lost:
            self._carry_out(client, Outcome(encode("unsubscribe", self._clock(), data), lost=lost))

    # what was missed, read by and by

    def tell_past(self, client: Client, recovering: Recovering, messages: list[Message]) -> bool:
        """Send a part of what was missed; False when it is wanted no more."""
        if client.session.subscriptions.recovering.get(recovering.grant.room) is not recovering:
            return False
        self._send_snapshots(client, shown(messages, recovering.view))
        return client in self._clients

    def recover(self, client: Client, recovering: Recovering, missed: Missed) -> None:
        """All that was missed was told but these messages, which join the live ones without a gap."""
        room = client.session.subscriptions.recover(recovering)
        if room is None:
            return
        messages = shown(missed.messages, recovering.view)
        data = recovering.grant.room.describe() | missed.describe() | {"snapshot": len(messages)}
        self._rooms.join(room, client.outbox)
        self._send(client, "reply", encode("recovery", self._clock(), data, client.session.resume_metadata()))
        self._send_snapshots(client, messages)

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
        if outcome.start is not None:
            outcome.start(lambda payload: self._answer(client, payload))
        else:
            self._send(client, "reply", outcome.reply)
        self._count_subscriptions(client)
        if client not in self._clients:
            return  # its answer was too much for it
        self._send_snapshots(client, outcome.snapshots)
        for recovering in outcome.recovering:
            self._recoveries.start(client, recovering)
        self._flusher.wake()
        if outcome.close is not None:
            client.outbox.flush()
            client.close(outcome.close)

    def _answer(self, client: Client, payload: bytes) -> None:
        """Send what was answered later."""
        self._send(client, "reply", payload)
        self._flusher.wake()

    def counts(self, client: Client) -> list[dict[str, Any]]:
        """What became of the messages of each of a client's subscriptions."""
        rooms = client.session.subscriptions.rooms
        return [base.describe() | self._rooms.counts(room, client.outbox)._asdict() for base, room in rooms.items()]

    def _count_subscriptions(self, client: Client) -> None:
        now = client.session.subscriptions.count()
        self.traffic.subscribed(now - client.counted)
        client.counted = now

    def _send_snapshots(self, client: Client, messages: Iterable[Message]) -> None:
        for message in messages:
            self._put(client, "snapshot", self.publisher.frame(message))
        client.outbox.flush()  # at once, so that a socket that is full is known before the next request is answered

    def _framed(self, client: Client, text: bytes) -> bytes:
        return self._frames.packed(pack(text)) if client.session.subscriptions.packed else self._frames.text(text)

    def _send(self, client: Client, kind: str, text: bytes) -> None:
        self._put(client, kind, self._framed(client, text))

    def _put(self, client: Client, kind: str, frame: bytes) -> None:
        if client not in self._clients:
            return  # it was cut by an earlier part of the same answer
        outbox = client.outbox
        if not outbox.pending:
            self._flusher.dirty.append(outbox)
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
