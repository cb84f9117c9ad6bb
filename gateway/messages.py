"""What travels inside the gateway: a record that arrived, the room it concerns, the message rendered from it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from gateway.views import View


class Source(NamedTuple):
    """Where a record stands in Kafka; in a replay also when the broker stored it (microseconds)."""

    topic: str
    partition: int
    offset: int
    replay_time: int | None = None

    def metadata(self) -> dict[str, Any]:
        """The provenance as messages carry it."""
        place: dict[str, Any] = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return place if self.replay_time is None else place | {"replay_time": self.replay_time}


class Arrival(NamedTuple):
    """A decoded record with its place in Kafka; which class of `schemas.records` it is, its receiver knows."""

    source: Source
    record: Any


class Room(NamedTuple):
    """What clients subscribe to: everyone in a room hears the same messages. With a `view`, what that shows of them."""

    data_type: str
    instrument: str
    interval: str | None = None
    view: View | None = None

    @property
    def base(self) -> Room:
        """The room whose messages are told, as channels name it."""
        return self if self.view is None else self._replace(view=None)

    def describe(self) -> dict[str, Any]:
        """The room as answers and notices name it."""
        named = {"data_type": self.data_type, "instrument": self.instrument}
        return named if self.interval is None else named | {"interval": self.interval}


@lru_cache(maxsize=100_000)
def room_of(data_type: str, instrument: str, interval: str | None = None) -> Room:
    """A room without a view: one object for all who are in it, since there are as many subscriptions as clients have."""
    return Room(data_type, instrument, interval)


class Message(NamedTuple):
    """A rendered message of a room.

    Of messages with one `key` a client that falls behind needs only the latest; without a key (None) every one counts.
    """

    room: Room
    key: Hashable | None
    source: Source
    payload: bytes


def encode(
    kind: str, timestamp: int, data: Any, metadata: Mapping[str, Any] | None = None, request: int | str | None = None
) -> bytes:
    """The JSON text of a message; `request` is the id of the client's message it answers, `timestamp` microseconds."""
    body: dict[str, Any] = {"type": kind, "timestamp": timestamp, "data": data, "metadata": metadata or {}}
    if request is not None:
        body["id"] = request
    return orjson.dumps(body)
