"""Where reading of a partition begins: at the offset the store holds, or nowhere. Pure.

The store's offset is the truth, so a broker that no longer has it, or has another topic of the same name, is an error for
a person to decide about: going on by itself would leave a hole, or store other records under the same offsets.
"""

from __future__ import annotations

from typing import NamedTuple

from market.errors import StorageError
from sinks.batching import Place
from sinks.store import Partition, StoredOffset


class Extent(NamedTuple):
    """What there is of a partition: its first offset, its end, and the id of its topic."""

    low: int
    high: int
    topic_id: str


class RecordsLost(StorageError):
    """The records that should be stored next, from `offset` on, are not in the topic."""

    exit_code = 1

    def __init__(self, partition: Partition, offset: int, extent: Extent, reason: str) -> None:
        super().__init__(partition, offset, extent, reason)
        self.partition = partition
        self.offset = offset
        self.extent = extent
        self.reason = reason

    def __str__(self) -> str:
        topic, number = self.partition
        low, high, _ = self.extent
        return (
            f"{topic}[{number}]: the store holds everything before offset {self.offset}, the topic has {low} to {high}: "
            f"{self.reason}. To go on from the oldest record there is, knowing that others may be missing, run "
            f"`tapeline sink seek {topic} {number} {low}`"
        )


def place(partition: Partition, stored: StoredOffset | None, extent: Extent) -> Place:
    """Where to begin, given what is stored of a partition and what there is of it. Raises RecordsLost."""
    low, high, topic_id = extent
    if stored is None:
        return Place(low, None, topic_id)
    offset = stored.next_offset
    if stored.topic_id != topic_id:
        reason = f"it was deleted and created again (its id was {stored.topic_id}, now it is {topic_id})"
        raise RecordsLost(partition, offset, extent, reason)
    if offset < low:
        raise RecordsLost(partition, offset, extent, "records were deleted before they were stored")
    if offset > high:
        raise RecordsLost(partition, offset, extent, "the topic lost its end, or the store belongs to another cluster")
    return Place(offset, offset, topic_id)
