"""Sends clients what is theirs alone: answers, snapshots, and what was kept for one that was behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.clients import Client
from gateway.flusher import Flusher
from gateway.messages import Message, encode
from gateway.metrics import CLIENTS_BEHIND, Traffic
from gateway.outbox import Gap
from gateway.packing import pack
from gateway.publisher import frame_of
from gateway.wire import Frame


class Deliveries:
    """Whoever sends calls `wake` afterwards. `clock` gives microseconds since the epoch."""

    def __init__(self, flusher: Flusher, traffic: Traffic, frame: Frame, clock: Callable[[], int]) -> None:
        self._flusher = flusher
        self._traffic = traffic
        self._frame = frame
        self._clock = clock

    def wake(self) -> None:
        """Have what is pending written."""
        self._traffic.settle()
        self._flusher.wake()

    def send(self, client: Client, kind: str, text: bytes) -> None:
        """Send a message to a client."""
        self._put(client, kind, self._framed(client, text))

    def send_snapshots(self, client: Client, messages: Iterable[Message]) -> None:
        """Send messages of rooms at once, so that a socket that is full is known before the next request is answered."""
        for message in messages:
            self._put(client, "snapshot", frame_of(message, self._frame))
        self._traffic.settle()
        client.outbox.flush()

    def fall_behind(self, client: Client) -> None:
        """The client's socket takes no more: from now on only what it will still need is kept."""
        client.session.behind = True
        client.publisher.rooms.set_behind(client.outbox, client.session.subscriptions.rooms.values(), behind=True)
        CLIENTS_BEHIND.inc()

    def catch_up(self, client: Client) -> None:
        """The client's socket takes more: it gets what was kept, after notices of what was left out."""
        outbox = client.outbox
        client.session.behind = False
        client.publisher.rooms.set_behind(outbox, client.session.subscriptions.rooms.values(), behind=False)
        CLIENTS_BEHIND.dec()
        backlog = outbox.catch_up()
        self._traffic.held_back(backlog.conflated, sum(gap.dropped for gap in backlog.gaps))
        notices = [self._framed(client, self._gap_notice(gap)) for gap in backlog.gaps]
        for frame in notices + backlog.kept:
            self._traffic.sent("late", 1, len(frame))
        self._traffic.settle()
        outbox.pending = backlog.pending + notices + backlog.kept
        outbox.flush()

    def _framed(self, client: Client, text: bytes) -> bytes:
        wire = client.session.subscriptions.wire
        return self._frame(pack(text) if wire.packed else text, wire)

    def _put(self, client: Client, kind: str, frame: bytes) -> None:
        if not client.is_connected:
            return  # it was cut by an earlier part of the same answer
        outbox = client.outbox
        if not outbox.pending:
            self._flusher.dirty.append(outbox)
        code = outbox.answer(frame)
        self._traffic.sent(kind, 1, len(frame))
        if code is not None:
            client.close(code)

    def _gap_notice(self, gap: Gap) -> bytes:
        metadata = {"topic": gap.first.topic, "partition": gap.first.partition}
        offsets = {"first_offset": gap.first.offset, "last_offset": gap.last.offset}
        return encode("gap", self._clock(), gap.room.describe() | {"dropped": gap.dropped}, metadata | offsets)
