"""How tests read whole topics: to the ends of now, and never for ever."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition

from tests.cluster import read_all


class Kept(NamedTuple):
    """A message as the client library gives it, read by calls."""

    partition_: int
    offset_: int

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def error(self) -> None:
        return None


class Batches:
    """A consumer of partitions with these bounds that is given these batches, then nothing."""

    def __init__(self, bounds: dict[int, tuple[int, int]], batches: Iterable[Sequence[Kept]]) -> None:
        self.assigned: list[tuple[int, int]] = []
        self._bounds = bounds
        self._batches = iter(batches)

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return self._bounds[place.partition]

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = [(place.partition, place.offset) for place in places]

    def consume(self, most: int, timeout: float) -> Sequence[Kept]:
        assert most > 0
        return next(self._batches, ())


def test_all_partitions_are_read_at_once_and_to_the_ends_they_had() -> None:
    consumer: Any = Batches({0: (0, 2), 1: (5, 5), 2: (7, 8)}, [[Kept(0, 0), Kept(2, 7)], [], [Kept(2, 8), Kept(0, 1)]])
    assert [(number, offset) for number, offset, _ in read_all(consumer, "t", range(3))] == [(0, 0), (2, 7), (0, 1)]
    assert consumer.assigned == [(0, 0), (2, 7)]


def test_record_that_never_comes_fails_the_test_instead_of_holding_it() -> None:
    consumer: Any = Batches({0: (0, 2)}, [[Kept(0, 0)]])
    with pytest.raises(AssertionError, match="nothing comes any more"):
        list(read_all(consumer, "t", [0]))
