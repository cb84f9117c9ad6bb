"""Which offsets a tail starts from, how far it is, and whether it has caught up with the ends read at the start. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.intake import PartitionProgress

Partition = tuple[str, int]
"""Topic and partition number."""

Bounds = tuple[int, int]
"""First offset there is, and the one after the last."""


def start_offset(bounds: Bounds, look_back: int | None) -> int:
    """Where to begin so that the last `look_back` records are read; None reads from the beginning."""
    first, end = bounds
    return first if look_back is None else max(first, end - look_back)


class Progress:
    """Positions of all partitions of a tail."""

    def __init__(self, bounds: Mapping[Partition, Bounds], look_backs: Mapping[str, int | None]) -> None:
        self.starts = {partition: start_offset(bound, look_backs[partition[0]]) for partition, bound in bounds.items()}
        self._positions = dict(self.starts)
        self._ends = {partition: end for partition, (_, end) in bounds.items()}
        self._remaining = {partition: end for partition, end in self._ends.items() if self.starts[partition] < end}

    @property
    def remaining(self) -> int:
        """How many partitions have not been read up to the end they had at the start."""
        return len(self._remaining)

    def move(self, partition: Partition, position: int) -> None:
        """The partition was read up to (not including) this offset."""
        self._positions[partition] = position
        target = self._remaining.get(partition)
        if target is not None and position >= target:
            del self._remaining[partition]

    def set_end(self, partition: Partition, end: int) -> None:
        """The partition is known to end here by now."""
        self._ends[partition] = end

    def describe(self) -> list[PartitionProgress]:
        """All partitions, by topic and number."""
        return [
            PartitionProgress(topic, number, position, max(position, self._ends[topic, number]))
            for (topic, number), position in sorted(self._positions.items())
        ]
