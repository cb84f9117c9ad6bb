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
from gateway.deliveries import Deliveries
from gateway.door import MARKET_PATH, Entrance
from gateway.flusher import Flusher
from gateway.holdings import Holdings
from gateway.identity import PORTFOLIO, Principal
from gateway.instruments import Instruments
from gateway.intake import Origin
from gateway.messages import Arrival, Message, encode
from gateway.metrics import CLIENTS_BEHIND, Traffic
from gateway.outbox import Outbox, OutboxLimits
from gateway.outcome import Outcome, SessionLimits
from gateway.past import Past
from gateway.portfolios.desk import Desk
from gateway.portfolios.session import PortfolioSession
from gateway.positions import Positions
from gateway.publisher import Publisher
from gateway.recent import Recent, RecentLimits
from gateway.recoveries import Recoveries
from gateway.refusals import Refusal
from gateway.replay.replay import Replay
from gateway.replay.replays import Replays
from gateway.replay.session import ReplaySession
from gateway.resume_tokens import ResumeTokens
from gateway.resumption import Missed, Recovering, Resumption
from gateway.session import Session
from gateway.wanted import shown
from gateway.watchers import Watchers
from gateway.wire import PLAIN, Frame, Wire


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
        frame: Frame,
        clock: Callable[[], int],
        session_limits: SessionLimits,
        outbox_limits: OutboxLimits,
        admission: Admission,
        resume: ResumeOptions = ResumeOptions(),  # immutable
        replays: Replays | None = None,
    ) -> None:
        self.admission = admission
        self.frame = frame
        offered = {channel.data_type: channel for channel in channels}
        self.portfolios = cast("PortfolioChannel | None", offered.pop(PORTFOLIO, None))
        """Served to sessions of their own, which `connect` opens where a desk takes commands."""
        self.desk: Desk | None = None
        self.channels: Mapping[str, Channel] = offered
        self.instruments = instruments
        self.traffic = Traffic()
        self.problem: str | None = "starting"
        self._positions, recent = Positions(resume.origin), Recent(resume.recent)
        self.resumption = Resumption(ResumeTokens(resume.key), self._positions, recent)
        self._watchers = Watchers(self.follow)
        self.publisher = Publisher(
            channels,
            instruments,
            flusher,
            self.traffic,
            self._positions,
            recent,
            frame=frame,
            extend=self._watchers.extend,
            cut=self.cut,
            expire=self.expire,
            hold=self._watchers.hold,
        )
        self.feeds = self.publisher.feeds
        self.channel_options = resume.channels
        self._recoveries = Recoveries(resume.past, self.resumption, self)
        self._replays = replays or Replays()
        self._deliveries = Deliveries(flusher, self.traffic, frame, clock)
        self.fall_behind = self._deliveries.fall_behind
        self.catch_up = self._deliveries.catch_up
        self.tell = self._deliveries.send
        self.wake = self._deliveries.wake
        self._clock = clock
        self._session_limits = session_limits
        self._outbox_limits = outbox_limits
        self._clients: set[Client] = set()
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

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, 0 when it is not read."""
        return self._positions.partitions(topic)

    # records

    def take(self, arrivals: Iterable[Arrival]) -> float:
        """Bring all state up to these records and publish what they tell; for how many seconds more need not come."""
        return self.publisher.take(arrivals, self._clock())

    def cut(self, lost: Mapping[Outbox, CloseCode]) -> None:
        """Close those for whom too much waits."""
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
        wire: Wire = PLAIN,
    ) -> Client:
        """A client has connected; once it is known who it is (a visitor has shown its token), it is greeted."""
        wish = None if entrance is None else entrance.replay
        replay = None if wish is None else self._replays.open(wish, visitor.principal, self)
        session = self._session(client_id, visitor, entrance, replay)
        stats = ConnectionStats(next(self._client_numbers), self._clock())
        publisher = self.publisher if replay is None else replay.publisher
        client = Client(session, Outbox(write, self._outbox_limits, visitor.queue), close, stats, publisher, replay)
        session.subscriptions.wire = wire
        session.counts = lambda: self.counts(client)
        self._clients.add(client)
        self.traffic.connected(len(self._clients))
        if visitor.principal is not None:
            self._welcome(client, visitor.principal)
            self.wake()
        if replay is not None:
            replay.begin(client)
        return client

    def _session(self, client_id: str, visitor: Visitor, entrance: Entrance | None, replay: Replay | None) -> Session:
        shared = self._session_limits, visitor, self.admission, self.resumption
        if replay is not None:
            return ReplaySession(client_id, replay, self.instruments, *shared)
        if entrance is not None and entrance.path != MARKET_PATH and self.portfolios is not None and self.desk is not None:
            return PortfolioSession(client_id, entrance.portfolio_id, self.portfolios, self.desk, *shared)
        session = Session(client_id, self.channels, self.instruments, *shared)
        session.subscriptions.holdings = Holdings(None if self.portfolios is None else self.portfolios.book)
        return session

    def _welcome(self, client: Client, principal: Principal) -> None:
        """Tell a client its id, its limits, what it may see, and the state of the gateway's own source."""
        self._ends.watch(client, self._clients)
        session = client.session
        greeting = {"client_id": session.client_id, "limits": self._session_limits.describe(), **principal.describe()}
        if client.replay is not None:
            greeting["replay"] = client.replay.wish.describe()
        self.tell(client, "status", encode("status", self._clock(), self.status() | greeting))

    def arrive(self, address: str, token: str | None, entrance: Entrance | None = None) -> Visitor:
        """Someone asks to be let in. Raises Refusal."""
        visitor = self.admission.arrive(address, token, self._clock())
        if entrance is not None and entrance.replay is not None:
            try:
                self._replays.check(visitor.principal)
            except Refusal:
                self.admission.leave(visitor)
                raise
        return visitor

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
        principal = visitor.principal
        outcome = client.session.receive(text, now)
        client.stats.errors += outcome.refused
        if visitor.is_over(now):  # it may have shown a newer token just now, else it gets no answer any more
            client.close(CloseCode.TOKEN_EXPIRED)
            return
        self._watchers.note(client)
        self.follow(client, outcome)
        if visitor.principal is not principal and visitor.principal is not None and client.is_connected:
            self._ends.watch(client, self._clients) if principal is not None else self._welcome(client, visitor.principal)
            self.wake()

    def refuse(self, client: Client, refusal: Refusal) -> None:
        """Answer something a client sent that is no text."""
        client.stats.errors += 1
        self.follow(client, client.session.refuse(refusal, self._clock()))

    def disconnect(self, client: Client) -> None:
        """The client is gone or going: nothing more is sent to it."""
        if not client.is_connected:
            return
        client.is_connected = False
        self._clients.discard(client)
        self._watchers.note(client)
        self.traffic.disconnected(len(self._clients))
        if client.outbox.behind:
            CLIENTS_BEHIND.dec()
        self._recoveries.drop(client)
        self._replays.close(client)
        subscriptions = client.session.subscriptions
        for room in subscriptions.rooms.values():
            client.publisher.rooms.leave(room, client.outbox)
        client.session.visitor.subscribed(-subscriptions.count())
        subscriptions.rooms.clear()
        subscriptions.recovering.clear()
        self._count_subscriptions(client)
        client.outbox.discard()
        client.session.counts = list  # it refers to the client, which is to be freed at once
        self.admission.leave(client.session.visitor)

    def set_problem(self, problem: str | None) -> None:
        """The gateway's source is disturbed (or well again: None); every client is told of a change."""
        if problem == self.problem:
            return
        self.problem = problem
        payload = encode("status", self._clock(), self.status())
        for client in list(self._clients):
            if client.session.visitor.principal is not None:
                self.tell(client, "status", payload)
        self.wake()

    # who may still listen: checked before every delivery, so that to be in a room is to be entitled to it

    def expire(self) -> None:
        """Close those whose token's time is over."""
        now = self._clock()
        for client in self._ends.due(now):
            if client.is_connected and client.session.visitor.is_over(now):
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
        self.wake()

    def _narrow(self, client: Client) -> None:
        """Take a client out of the rooms it may no longer be in."""
        lost = client.session.lose()
        self._watchers.note(client)
        data = {"unsubscribed": [room.describe() for room in lost], "refused": []}
        if lost:
            self.follow(client, Outcome(encode("unsubscribe", self._clock(), data), lost=lost))

    # what was missed, read by and by

    def tell_past(self, client: Client, recovering: Recovering, messages: list[Message]) -> bool:
        """Send a part of what was missed; False when it is wanted no more."""
        if client.session.subscriptions.recovering.get(recovering.grant.room) is not recovering:
            return False
        self._deliveries.send_snapshots(client, shown(messages, recovering.view))
        return client.is_connected

    def recover(self, client: Client, recovering: Recovering, missed: Missed) -> None:
        """All that was missed was told but these messages, which join the live ones without a gap."""
        room = client.session.subscriptions.recover(recovering)
        if room is None:
            return
        messages = shown(missed.messages, recovering.view)
        data = recovering.grant.room.describe() | missed.describe() | {"snapshot": len(messages)}
        client.publisher.rooms.join(room, client.outbox)
        self.tell(client, "reply", encode("recovery", self._clock(), data, client.session.resume_metadata()))
        self._deliveries.send_snapshots(client, messages)

    # sending

    def follow(self, client: Client, outcome: Outcome) -> None:
        """Carry out what follows from a client's message."""
        rooms = client.publisher.rooms
        for room in outcome.leaves:
            rooms.leave(room, client.outbox)
        for room in outcome.lost:
            rooms.leave(room, client.outbox)
        if outcome.lost and client.outbox.behind:  # what waits for it may be of those rooms
            client.close(CloseCode.GRANTS_CHANGED)
            return
        for room in outcome.joins:
            rooms.join(room, client.outbox)
        if outcome.start is not None:
            outcome.start(lambda payload: self._answer(client, payload))
        else:
            self.tell(client, "reply", outcome.reply)
        self._count_subscriptions(client)
        if not client.is_connected:
            return  # its answer was too much for it
        self._deliveries.send_snapshots(client, outcome.snapshots)
        for recovering in outcome.recovering:
            self._recoveries.start(client, recovering)
        self.wake()
        if outcome.close is not None:
            client.outbox.flush()
            client.close(outcome.close)

    def _answer(self, client: Client, payload: bytes) -> None:
        """Send what was answered later."""
        self.tell(client, "reply", payload)
        self.wake()

    def counts(self, client: Client) -> list[dict[str, Any]]:
        """What became of the messages of each of a client's subscriptions."""
        rooms, counts = client.session.subscriptions.rooms, client.publisher.rooms.counts
        return [base.describe() | counts(room, client.outbox)._asdict() for base, room in rooms.items()]

    def _count_subscriptions(self, client: Client) -> None:
        now = client.session.subscriptions.count()
        self.traffic.subscribed(now - client.counted)
        client.counted = now

    def status(self) -> dict[str, Any]:
        """Whether what the gateway knows is up to date, and why it is not."""
        return {"state": "LIVE" if self.problem is None else "STALE", "reason": self.problem}
