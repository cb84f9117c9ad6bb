"""What was read of several partitions for one replay, put in the order in which the broker stored it. Pure.

Each partition is a lane: records that wait, and how far it was read. A record may be told once every other lane has been read
past its time, or to its end; so the order does not depend on which partition answered first, but for what is stored while it is
told. Records of one time go by topic, partition and offset.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.progress import Partition
from gateway.replay.clock import FOREVER


class Stored(NamedTuple):
    """A record as it was read: where it stands, when it was stored (microseconds), its size and its bytes.

    `message` is None for one that nobody asked for, or that is none: it only tells how far its partition was read.
    """

    partition: Partition
    offset: int
    stored_at: int
    size: int = 0
    message: Any = None


class End(NamedTuple):
    """A partition was read to its end, where the next record will have this offset."""

    partition: Partition
    offset: int


@dataclass(slots=True)
class _Lane:
    next_offset: int
    """Of the next record to be read."""
    reached: int
    """All that was stored before this time was read."""
    told: int = -1
    """Offset of the last record that was told."""
    at_end: bool = False
    waiting: deque[Stored] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may wait to be told in one replay before it reads no further."""

    records: int = 2_000
    total_bytes: int = 8 << 20


class Lanes:
    """All lanes of a replay."""

    def __init__(self, limits: LaneLimits = LaneLimits()) -> None:  # immutable
        self._limits = limits
        self._lanes: dict[Partition, _Lane] = {}
        self._records = 0
        self._bytes = 0

    def begin(self, starts: Mapping[Partition, int], time: int) -> None:
        """Read these partitions from these offsets on, the first that were stored at this time or later.

        Of a partition that was read before, what was told already is not told again.
        """
        for partition, start in starts.items():
            before = self._lanes.get(partition)
            told = -1 if before is None else before.told
            if before is not None:
                self._records -= len(before.waiting)
                self._bytes -= sum(stored.size for stored in before.waiting)
            self._lanes[partition] = _Lane(max(start, told + 1), time, told)
        for lane in self._lanes.values():
            lane.at_end = False  # whoever reads begins anew with all of them, and comes to each end again

    def starts(self) -> dict[Partition, int]:
        """From where on each partition is to be read."""
        return {partition: lane.next_offset for partition, lane in self._lanes.items()}

    def take_in(self, found: Iterable[Stored | End]) -> None:
        """Something was read."""
        for each in found:
            lane = self._lanes.get(each.partition)
            if lane is None or each.offset < lane.next_offset:
                continue
            if isinstance(each, End):
                lane.at_end = True
                lane.next_offset = each.offset
                continue
            lane.at_end = False
            lane.next_offset = each.offset + 1
            lane.reached = max(lane.reached, each.stored_at)
            if each.message is not None:
                lane.waiting.append(each)
                self._records += 1
                self._bytes += each.size

    @property
    def is_full(self) -> bool:
        """Whether as much waits as may."""
        return self._records >= self._limits.records or self._bytes >= self._limits.total_bytes

    @property
    def is_over(self) -> bool:
        """Whether everything there is was told."""
        return not self._records and all(lane.at_end for lane in self._lanes.values())

    def frontier(self) -> int:
        """All that was stored before this time was read."""
        return min((lane.reached for lane in self._lanes.values() if not lane.at_end), default=FOREVER)

    def lacking(self, until: int) -> set[Partition]:
        """What must be read on before the next record can be told, if one was stored up to this time."""
        target = min(until, self.next_time() or until)
        return {partition for partition, lane in self._lanes.items() if not lane.at_end and lane.reached <= target}

    def next_time(self) -> int | None:
        """When the first record that waits was stored, None when none waits."""
        return min((lane.waiting[0].stored_at for lane in self._lanes.values() if lane.waiting), default=None)

    def take_out(self, until: int, most: int) -> list[Stored]:
        """The next records that were stored up to this time, in their order."""
        until = min(until, self.frontier() - 1)
        heads = [_order(lane.waiting[0]) for lane in self._lanes.values() if lane.waiting]
        heapq.heapify(heads)
        taken: list[Stored] = []
        while heads and len(taken) < most and heads[0][0] <= until:
            lane = self._lanes[heapq.heappop(heads)[1]]
            stored = lane.waiting.popleft()
            lane.told = stored.offset
            self._records -= 1
            self._bytes -= stored.size
            taken.append(stored)
            if lane.waiting:
                heapq.heappush(heads, _order(lane.waiting[0]))
        return taken


def _order(stored: Stored) -> tuple[int, Partition, int]:
    return stored.stored_at, stored.partition, stored.offset
