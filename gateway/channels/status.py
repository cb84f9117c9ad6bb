"""STATUS: whether the streams of an instrument can be trusted, at each change; who falls behind gets the latest of each."""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.messages import Arrival, Message, Room, encode, room_of
from gateway.requests import Request
from market.feed_status import FeedStatus
from schemas.topics import STATUS


class Channel:
    """States of streams by instrument and channel; their number is that of the configured streams."""

    data_type = "STATUS"
    message_type = "status_data"
    delivery = "latest"
    records = (FeedStatus,)
    topics = (STATUS,)
    fields = FeedStatus._fields

    def __init__(self, options: ChannelOptions) -> None:
        self._states: dict[str, dict[str, Arrival]] = {}

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have streams."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the state; None for one that says what was said before."""
        status: FeedStatus = arrival.record
        states = self._states.setdefault(status.instrument, {})
        before = states.get(status.channel)
        if before is not None and status._replace(published_at=None) == before.record._replace(published_at=None):
            return None
        states[status.channel] = arrival
        return room_of(self.data_type, status.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The state of the stream."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The states of all streams of the instrument."""
        states = self._states.get(grant.room.instrument, {})
        return [self._message(arrival, now, {"snapshot": True}) for _, arrival in sorted(states.items())]

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        status: FeedStatus = arrival.record
        room = room_of(self.data_type, status.instrument)
        data = status._asdict() | {"state": status.state.value}
        payload = encode(self.message_type, now, data, metadata | arrival.source.metadata())
        return Message(room, (room, status.channel), arrival.source, payload)
