"""Notices a worker that no longer gets ahead: Faust can stop fetching or committing a partition with nothing but a log line.

Lag and progress are the broker's figures, since Faust remembers a failed commit as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

TIMEOUT = 5.0


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Position(NamedTuple):
    """Committed offset of a partition (-1: none), the offset of its first record there is, and the one after its last."""

    committed: int
    begin: int
    end: int

    @property
    def lag(self) -> int:
        """Records there are that are not committed yet; what expired is none of them."""
        return max(0, self.end - max(self.committed, self.begin))


@dataclass(slots=True)
class Watchdog:
    """Remembers when each partition last moved; times are seconds of any monotonic clock."""

    patience: float
    _moved: dict[Place, tuple[int, float]] = field(default_factory=dict)

    def stalled(self, positions: Mapping[Place, Position], now: float) -> list[Place]:
        """Partitions with a lag whose committed offset has not moved for `patience` seconds."""
        for place in self._moved.keys() - positions.keys():
            del self._moved[place]  # another worker's now; if it returns it starts afresh
        for place, position in positions.items():
            before = self._moved.get(place)
            if before is None or before[0] != position.committed or position.lag == 0:
                self._moved[place] = position.committed, now
        return sorted(place for place in positions if now - self._moved[place][1] >= self.patience)

    def excuse(self) -> None:
        """Let every partition start afresh: there is a known reason why none moves."""
        self._moved.clear()


def read_positions(consumer: Consumer, places: Iterable[Place]) -> dict[Place, Position]:
    """Positions of a group's partitions as the broker has them; blocks. Raises KafkaException when it does not answer."""
    wanted = [TopicPartition(*place) for place in places]
    committed = consumer.committed(wanted, timeout=TIMEOUT) if wanted else []
    return {Place(one.topic, one.partition): Position(max(one.offset, -1), *_bounds(consumer, one)) for one in committed}


def _bounds(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    bounds = consumer.get_watermark_offsets(partition, timeout=TIMEOUT)
    if bounds is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - public name of librdkafka
    return bounds
