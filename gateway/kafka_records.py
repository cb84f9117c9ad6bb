"""Records as they lie in Kafka, made into arrivals; the ids that tell a topic from one made anew under its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

from confluent_kafka import Message, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.messages import Arrival, Source
from gateway.progress import Partition
from schemas.checks import check_carried
from schemas.records import Record
from schemas.topics import TOPICS

Decode = Callable[[bytes | None], Record]

_SECONDS = 8.0


def partition_of_message(message: Message) -> Partition:
    """Where a message stands."""
    return cast("str", message.topic()), cast("int", message.partition())


def offset_of(message: Message) -> int:
    """Its offset."""
    return cast("int", message.offset())


def stored_at(message: Message) -> int:
    """When the broker stored it (microseconds)."""
    return message.timestamp()[1] * 1000


def is_of(message: Message, instruments: Collection[bytes]) -> bool:
    """Whether a record's key names one of these instruments, alone or before finer parts."""
    return (message.key() or b"").partition(b"|")[0] in instruments


def arrival_of(message: Message, decode: Decode, max_skew: int, *, is_replayed: bool = False) -> Arrival | None:
    """A record to be told, None for a tombstone. Raises DataValidationError for what its topic does not carry."""
    topic, partition = partition_of_message(message)
    value = message.value()
    if value is None and TOPICS[topic].compacted:
        return None  # what was removed upstream is not taken back from clients
    record = decode(value)
    appended_at = stored_at(message)
    check_carried(topic, message.key(), record, max_skew=max_skew, appended_at=appended_at)
    return Arrival(Source(topic, partition, offset_of(message), appended_at if is_replayed else None), record)


def topic_ids(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """The ids of topics. Raises KafkaException."""
    admin = AdminClient(dict(options))
    found = admin.describe_topics(TopicCollection(list(names)), request_timeout=_SECONDS)
    return {name: str(description.result(_SECONDS).topic_id) for name, description in found.items()}
