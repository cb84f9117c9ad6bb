"""Notices a worker that no longer gets ahead: Faust can stop fetching or committing a partition with nothing but a log line.

Lag and progress are the broker's figures, since Faust remembers a failed commit as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

TIMEOUT = 5.0


class Position(NamedTuple):
    """Committed offset of a partition (-1: none) and the offset after its last record."""

    committed: int
    end: int

    @property
    def lag(self) -> int:
        """Records not committed yet."""
        return self.end - max(self.committed, 0)


@dataclass(slots=True)
class Watchdog:
    """Remembers when each partition last moved; times are seconds of any monotonic clock."""

    patience: float
    _moved: dict[int, tuple[int, float]] = field(default_factory=dict)

    def stalled(self, positions: Mapping[int, Position], now: float) -> list[int]:
        """Partitions with a lag whose committed offset has not moved for `patience` seconds."""
        for partition in self._moved.keys() - positions.keys():
            del self._moved[partition]  # another worker's now; if it returns it starts afresh
        for partition, position in positions.items():
            before = self._moved.get(partition)
            if before is None or before[0] != position.committed or position.lag <= 0:
                self._moved[partition] = position.committed, now
        return sorted(partition for partition in positions if now - self._moved[partition][1] >= self.patience)


def read_positions(consumer: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, Position]:
    """Positions of a group's partitions as the broker has them; blocks. Raises KafkaException when it does not answer."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    committed = {found.partition: found.offset for found in consumer.committed(wanted, timeout=TIMEOUT)} if wanted else {}
    return {
        one.partition: Position(max(committed[one.partition], -1), consumer.get_watermark_offsets(one, timeout=TIMEOUT)[1])
        for one in wanted
    }
