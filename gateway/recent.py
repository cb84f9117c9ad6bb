"""The latest records that a returning subscriber must hear of one by one, bounded by room and in all. Pure.

What is left out is remembered as a floor: from this offset of a partition on, all records of the room are here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from gateway.messages import Arrival, Room
from gateway.progress import Partition


@dataclass(frozen=True, slots=True)
class RecentLimits:
    """Records kept for a room, and for all rooms together."""

    per_room: int = 2_000
    in_all: int = 50_000


class Recent:
    """Records by room, in the order they came."""

    def __init__(self, limits: RecentLimits = RecentLimits()) -> None:  # immutable
        self._limits = limits
        self._rooms: OrderedDict[Room, deque[Arrival]] = OrderedDict()
        self._floors: dict[tuple[Room, Partition], int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, room: Room, arrival: Arrival) -> None:
        """Keep a record. When there is no more room in all, the room goes first that was quiet for the longest time."""
        kept = self._rooms.get(room)
        if kept is None:
            kept = self._rooms[room] = deque()
        else:
            self._rooms.move_to_end(room)
        if kept:
            topic, number, offset, _ = arrival.source
            last_topic, last_number, last, _ = kept[-1].source
            if offset <= last and number == last_number and topic == last_topic:
                self._forget(room)  # the topic was made anew
        kept.append(arrival)
        self._count += 1
        if len(kept) > self._limits.per_room:
            self._drop(room)
        if self._count > self._limits.in_all:
            self._drop(next(iter(self._rooms)))

    def floor(self, room: Room, partition: Partition) -> int:
        """Offset from which on nothing was left out."""
        return self._floors.get((room, partition), 0)

    def since(self, room: Room, partition: Partition, offset: int) -> list[Arrival]:
        """The records of a room that stand in a partition at this offset or later."""
        found: deque[Arrival] = deque()
        for arrival in reversed(self._rooms.get(room, ())):
            topic, number, at, _ = arrival.source
            if (topic, number) == partition:
                if at < offset:
                    break
                found.appendleft(arrival)
        return list(found)

    def _drop(self, room: Room) -> None:
        kept = self._rooms[room]
        topic, number, offset, _ = kept.popleft().source
        self._count -= 1
        self._floors[room, (topic, number)] = offset + 1
        if not kept:
            del self._rooms[room]

    def _forget(self, room: Room) -> None:
        kept = self._rooms[room]
        self._count -= len(kept)
        kept.clear()
        for key in [key for key in self._floors if key[0] == room]:
            del self._floors[key]
