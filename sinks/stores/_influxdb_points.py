"""What keeps points apart, and the right ones in place: InfluxDB overwrites whatever has the same series and time. Pure.

The time of a point is the record's microsecond and three digits below it. `Slots` gives each record of one series and
microsecond digits of its own; `Versions` lets through only versions higher than what is stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

from sinks.stores._influxdb_lines import Row

SLOTS = 1000
"""Points that one series can have within a microsecond."""

Place = tuple[str, int]
"""A series and a time in microseconds."""


class Full(Exception):
    """A series has no place left in a microsecond."""


class Slots:
    """The digits below the microsecond.

    A record takes the last three digits of its sequence, of its receive time or of a checksum, whichever tells it from others,
    or the next ones that are free when another record has them. Records that are read again in their order get the same digits
    again, and a record repeated those it has. Remembered are the latest
    `memory` microseconds of each series that had a record: only a record that comes after so many later ones, or on the other
    side of a restart from its like, can meet one with the same last digits that is not remembered.
    """

    def __init__(self, memory: int = 64) -> None:
        self._memory = memory
        # Most microseconds have one record: a pair takes a quarter of a dictionary's memory, and there are very many.
        self._taken: dict[str, dict[int, tuple[int, Hashable] | dict[int, Hashable]]] = {}

    def take(self, row: Row) -> int:
        """The digits of a row, 0 to 999. Raises Full."""
        series, time, identity = row.series, row.time, row.identity
        times = self._taken.get(series)
        if times is None:
            times = self._taken[series] = {}
        slot = row.preferred % SLOTS
        taken = times.get(time)
        if taken is None:
            times[time] = slot, identity
            if len(times) > self._memory:
                del times[next(iter(times))]
            return slot
        if isinstance(taken, tuple):
            taken = times[time] = dict([taken])
        for _ in range(SLOTS):
            if taken.setdefault(slot, identity) == identity:
                return slot
            slot = (slot + 1) % SLOTS
        raise Full(f"{series} has {SLOTS} points in the microsecond {time} already")


class Versions:
    """The versions known to be stored; at most `memory` of them are remembered."""

    def __init__(self, memory: int = 100_000) -> None:
        self._memory = memory
        self._stored: OrderedDict[Place, tuple[int, ...]] = OrderedDict()

    def unknown(self, rows: Iterable[Row]) -> set[Place]:
        """The places of which it is not known what they hold."""
        return {place for row in rows if (place := (row.series, row.time)) not in self._stored}

    def note(self, place: Place, version: tuple[int, ...]) -> None:
        """A place holds this version; an empty one: none yet."""
        self._stored[place] = version
        self._stored.move_to_end(place)

    def shrink(self) -> None:
        """Forget the oldest beyond the memory."""
        while len(self._stored) > self._memory:
            self._stored.popitem(last=False)

    def forget(self) -> None:
        """Forget all: others may have written since."""
        self._stored.clear()

    def newest(self, rows: Iterable[Row]) -> list[Row]:
        """Of each place the row with the highest version, where that is not below the stored one; of equal ones the last.

        One that is equal to the stored one is written again: what became of that may be unknown, and of versions that their
        source does not tell apart the last in the topic is to stay.
        """
        kept: dict[Place, Row] = {}
        for row in rows:
            place, version = (row.series, row.time), row.version or ()
            other = kept.get(place)
            if version >= self._stored.get(place, ()) and (other is None or version >= (other.version or ())):
                kept[place] = row
        return list(kept.values())
