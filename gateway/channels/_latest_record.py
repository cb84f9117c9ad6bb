"""What the channels have in common that tell the latest record of an instrument."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode, room_of
from gateway.requests import Request


class _Latest:
    """The last record of an instrument."""

    def __init__(self) -> None:
        self.arrival: Arrival | None = None


class LatestRecordChannel(ABC):
    """One record by instrument; one that is not newer than the one kept is not told."""

    data_type: ClassVar[str]
    message_type: ClassVar[str]
    store: ClassVar[str]
    """Name of the latest values in the metrics."""

    delivery = "latest"

    def __init__(self, options: ChannelOptions) -> None:
        self._kept: LatestStore[str, _Latest] = LatestStore(self.store, options.capacity)

    @abstractmethod
    def is_newer(self, record: Any, kept: Any) -> bool:
        """Whether a record is newer than another one of its instrument."""

    @abstractmethod
    def describe(self, record: Any) -> dict[str, Any]:
        """A record as messages carry it."""

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have a record."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the record; None for one that is not newer than the one kept."""
        record: Any = arrival.record
        latest = self._kept.entry(record.instrument, _Latest)
        if latest.arrival is not None and not self.is_newer(record, latest.arrival.record):
            return None
        latest.arrival = arrival
        return room_of(self.data_type, record.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The record just taken."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The record as it stands, if there is one."""
        arrival = self.look_up(grant.room.instrument)
        return [] if arrival is None else [self._message(arrival, now, {"snapshot": True})]

    def look_up(self, instrument: str) -> Arrival | None:
        """The record kept of an instrument, None where there is none."""
        latest = self._kept.look_up(instrument)
        return None if latest is None else latest.arrival

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        record: Any = arrival.record
        room = room_of(self.data_type, record.instrument)
        payload = encode(self.message_type, now, self.describe(record), metadata | arrival.source.metadata())
        return Message(room, room, arrival.source, payload)
