"""Records of the computations as messages. Pure but for the codec it is given."""

from __future__ import annotations

from typing import NamedTuple

from market.dead_letter import DeadLetter, fit
from processors.batch import Refusal
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import Topic


class Message(NamedTuple):
    """A record on its way out."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


def message_of(topic: Topic, record: Record, codec: Codec, partitions: int) -> Message:
    """The message of a record; `partitions` is the configured count of topics partitioned by instrument."""
    key, partition_id = topic.place(record)
    partition = partition_of(partition_id, topic.partitions(partitions))
    return Message(topic.name, partition, key, codec.encode(topic.name, record))


def dead_letter(partition: int, refusal: Refusal, now: int) -> DeadLetter:
    """The dead letter of a refused record, cut to what the topic takes; `now` in microseconds."""
    raw = refusal.raw
    letter = DeadLetter(
        source=refusal.topic,
        source_partition=partition,
        source_offset=raw.offset,
        stage="processors",
        reason=refusal.reason,
        error=refusal.error,
        field=refusal.field,
        key=raw.key,
        value=raw.value,
        truncated=False,
        failed_at=now,
    )
    return fit(letter)
