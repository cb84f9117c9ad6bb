"""Rows of units and prices by column, laid out in arrays so that all are valued in one go.

A group's rows lie together. One that outgrows its place moves to the end, and the arrays are packed anew when half of them is
holes, so that a change costs as much as the group is long. What does not fit 64 bits is kept beside the arrays as Python's
integers and added exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from market.decimals import ONE
from processors.holdings.protocol import MOST_ROWS, NEVER, PRICED, STALE, Arithmetic, Columns, Marks, Rows, Weighed

Row = tuple[int, int]
"""A column, and signed units at scale 24 (quantity × multiplier)."""

_LIMIT = 1 << 62
_WORD = (1 << 64) - 1


class Sum(NamedTuple):
    """Of the rows of a group that are priced: their value (scale 36), number, how many are stale, the oldest price's time."""

    value: int
    priced: int
    stale: int
    oldest: int


class Holdings:
    """Rows by group and prices by column; `sum_of` tells what they are worth since the last `revalue`."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._units, self._columns = np.zeros(64, np.int64), np.zeros(64, np.int32)
        self._starts, self._lengths, self._room = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._end = self._groups = self._live = 0
        self._wide: dict[int, list[Row]] = {}
        self._low, self._high = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        self._flags, self._times = np.zeros(1, np.uint8), np.full(1, NEVER, np.int64)
        self._width = 1
        self._unit_bits = 0
        self._weighed: Weighed | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        arrays: tuple[npt.NDArray[Any], ...] = (self._units, self._columns, self._starts, self._lengths, self._room)
        return sum(array.nbytes for array in (*arrays, self._low, self._high, self._flags, self._times))

    @property
    def columns(self) -> Columns:
        """The prices as they are now, to be changed in their place."""
        width = self._width
        return Columns(self._low[:width], self._high[:width], self._flags[:width], self._times[:width])

    @property
    def weighed(self) -> Weighed | None:
        """What the arithmetic made of the rows in the arrays, last; None where they were not weighed yet."""
        return self._weighed

    def is_wide(self, group: int) -> bool:
        """Whether a group has rows that are not in the arrays."""
        return group in self._wide

    def add_group(self) -> int:
        """A number for a group that has no rows."""
        self._groups += 1
        if self._groups > len(self._starts):
            self._starts, self._lengths, self._room = (
                _longer(array, self._groups) for array in (self._starts, self._lengths, self._room)
            )
        return self._groups - 1

    def add_column(self) -> int:
        """A number for a column that has no price."""
        self._width += 1
        if self._width > len(self._low):
            self._low, self._high, self._flags = (_longer(array, self._width) for array in (self._low, self._high, self._flags))
            self._times = _longer(self._times, self._width)
        self._times[self._width - 1] = NEVER
        return self._width - 1

    def set_price(self, column: int, price: int | None, time: int = NEVER, *, is_stale: bool = False) -> None:
        """What a unit in a column is worth (scale 12, above zero), None for unknown, and as of when (microseconds)."""
        self._low[column], self._high[column] = (price or 0) & _WORD, (price or 0) >> 64
        self._flags[column] = 0 if price is None else PRICED | (STALE if is_stale else 0)
        self._times[column] = NEVER if price is None else time

    def hold(self, group: int, rows: Sequence[Row]) -> None:
        """What a group holds from now on. Raises ValueError for two million rows or more."""
        if len(rows) >= MOST_ROWS:
            raise ValueError(f"{len(rows)} rows in a group are too many")
        narrow = [(column, units // ONE) for column, units in rows if units % ONE == 0 and -_LIMIT < units // ONE < _LIMIT]
        wide = [(column, units) for column, units in rows if units % ONE or not -_LIMIT < units // ONE < _LIMIT]
        self._wide.pop(group, None)
        if wide:
            self._wide[group] = wide
        self._make_room(group, len(narrow))
        begin, end = int(self._starts[group]), int(self._starts[group]) + len(narrow)
        columns, units = zip(*narrow, strict=True) if narrow else ((), ())
        self._columns[begin:end], self._units[begin:end] = columns, units
        self._unit_bits = max(self._unit_bits, max(map(abs, units), default=0).bit_length())
        self._clear(end, int(self._starts[group]) + int(self._room[group]))
        self._live += len(narrow) - int(self._lengths[group])
        self._lengths[group] = len(narrow)

    def groups_with(self, columns: Sequence[int]) -> Marks:
        """The groups, by their numbers, that hold anything in one of these columns."""
        if not columns:
            return np.zeros(self._groups, np.uint8)
        wanted = np.zeros(self._width, np.uint8)
        wanted[list(columns)] = 1
        found = self._arithmetic.groups_with(self._rows(), wanted)
        for group, rows in self._wide.items():
            found[group] |= any(wanted[column] for column, _ in rows)
        return found

    def revalue(self) -> None:
        """Weigh all rows at the prices as they are now."""
        self._weighed = self._arithmetic.weigh(self._rows(), self.columns)

    def sum_of(self, group: int) -> Sum:
        """What a group was worth when all were weighed last; it has the same rows as then."""
        weighed = self._weighed
        if weighed is None:
            raise ValueError("nothing was weighed yet")
        total = weighed.total(group)
        found = Sum(
            self._exactly(group) if total is None else total * ONE,
            weighed.priced(group),
            weighed.stale(group),
            weighed.oldest(group),
        )
        for column, units in self._wide.get(group, ()):
            if self._flags[column]:
                found = Sum(
                    found.value + self._price(column) * units,
                    found.priced + 1,
                    found.stale + bool(self._flags[column] & STALE),
                    min(found.oldest, int(self._times[column])),
                )
        return found

    def _exactly(self, group: int) -> int:
        begin = int(self._starts[group])
        rows = range(begin, begin + int(self._lengths[group]))
        return sum(self._price(int(self._columns[row])) * int(self._units[row]) * ONE for row in rows)

    def _price(self, column: int) -> int:
        return int(self._high[column]) << 64 | int(self._low[column])

    def _rows(self) -> Rows:
        return Rows(self._units[: self._end], self._columns[: self._end], *self._by_group(), self._unit_bits)

    def _by_group(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        return self._starts[: self._groups], self._lengths[: self._groups]

    def _make_room(self, group: int, length: int) -> None:
        if length <= self._room[group]:
            return
        begin = int(self._starts[group])
        self._clear(begin, begin + int(self._room[group]))
        self._live -= int(self._lengths[group])
        self._lengths[group] = 0
        room = length if not self._room[group] else length + length // 2
        self._room[group] = 0
        if self._end + room > 2 * (self._live + room) + 1024:
            self._pack()
        if self._end + room > len(self._units):
            self._units, self._columns = (_longer(array, self._end + room) for array in (self._units, self._columns))
        self._starts[group], self._room[group] = self._end, room
        self._end += room

    def _clear(self, begin: int, end: int) -> None:
        self._units[begin:end] = 0
        self._columns[begin:end] = 0

    def _pack(self) -> None:
        """Take the holes out."""
        starts, lengths = self._by_group()
        kept = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(int(lengths.sum()))
        self._units, self._columns = self._units[kept], self._columns[kept]
        starts[:] = np.cumsum(lengths) - lengths
        self._room[: self._groups] = lengths
        self._end = len(kept)


def _longer(array: npt.NDArray[Any], least: int) -> npt.NDArray[Any]:
    longer = np.zeros(max(least, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer
