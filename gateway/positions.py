"""How far the gateway has taken each partition into account: what a resume token remembers, and what it is compared with. Pure.

A topic that was made anew has another id, and its offsets count from zero, so offsets mean something with the id only.
Topics of portfolios are left out: their subscribers begin anew, and others are not to learn how much stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.identity import is_of_portfolios
from gateway.intake import Origin
from gateway.messages import Source
from gateway.progress import Partition
from gateway.requests import Seen


class Place(NamedTuple):
    """What a subscriber has: the ids of topics, and of each partition the offset of the next record."""

    topic_ids: Mapping[str, str]
    offsets: Mapping[Partition, int]

    def after(self, seen: Iterable[Seen]) -> Place:
        """With what the subscriber says to have had since; a partition never goes back by it."""
        offsets = dict(self.offsets)
        for last in seen:
            partition = last.topic, last.partition
            if partition in offsets:
                offsets[partition] = max(offsets[partition], last.offset + 1)
        return self._replace(offsets=offsets)


class Positions:
    """Offset of the next record of every partition; `origin` tells where the intake began."""

    def __init__(self, origin: Callable[[], Origin] = Origin) -> None:
        self._ask = origin
        self._origin = Origin()
        self._next: dict[Partition, int] = {}
        self._counts: dict[str, int] = {}

    def take(self, source: Source) -> None:
        """A record was taken into account."""
        topic, number, offset, _ = source
        partition = topic, number
        before = self._next.get(partition)
        if before is None or offset < before:  # the first records, or a topic made anew
            if is_of_portfolios(topic):
                return
            self._begin()
        self._next[partition] = offset + 1

    def place(self) -> Place:
        """Where everything stands now."""
        if not self._origin.starts:
            self._begin()
        return Place(self._origin.topic_ids, self._next)

    def next_of(self, partition: Partition) -> int:
        """Offset of the next record of a partition."""
        return self._next.get(partition, 0)

    def start_of(self, partition: Partition) -> int:
        """Offset from which on all records were read."""
        return self._origin.starts.get(partition, 0)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, 0 when it is not read."""
        self.place()
        return self._counts.get(topic, 0)

    def _begin(self) -> None:
        before, self._origin = self._origin, _of_market(self._ask())
        for partition, start in self._origin.starts.items():
            topic, number = partition
            self._counts[topic] = max(self._counts.get(topic, 0), number + 1)
            if partition not in self._next or before.topic_ids.get(topic) != self._origin.topic_ids.get(topic):
                self._next[partition] = start


def _of_market(origin: Origin) -> Origin:
    starts = {partition: start for partition, start in origin.starts.items() if not is_of_portfolios(partition[0])}
    return Origin(starts, {name: each for name, each in origin.topic_ids.items() if not is_of_portfolios(name)})
