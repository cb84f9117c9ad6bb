"""Weighing: for each group the sum of units × price over its rows, which the compiled and the plain code do alike."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

PRICED, STALE = 1, 2
"""Bits of a column's flags; without the first it has no price."""

NEVER = (1 << 63) - 1
"""The time of a column without a price."""

MOST_ROWS = 1 << 21
"""Rows of a group are fewer: more would overflow the plain code's sums."""

Longs = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]
"""1 for what is meant."""


class Rows(NamedTuple):
    """Rows of all groups. Group g has those from `starts[g]` on, `lengths[g]` of them; what lies between is zero.

    Units are signed, of at most `unit_bits` bits, which are 62 or less.
    """

    units: Longs
    columns: npt.NDArray[np.int32]
    starts: Longs
    lengths: npt.NDArray[np.int32]
    unit_bits: int


class Columns(NamedTuple):
    """Prices by column, above zero, as `high * 2**64 + low`, with `PRICED` and `STALE` and their times.

    Column 0 never has a price.
    """

    low: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]
    flags: npt.NDArray[np.uint8]
    times: Longs


class Weighed(Protocol):
    """Sums by group."""

    def total(self, group: int) -> int | None:
        """Sum of units × price over the rows that are priced; None where it does not fit here."""

    def priced(self, group: int) -> int:
        """How many rows have a price."""

    def stale(self, group: int) -> int:
        """How many of them a stale one."""

    def oldest(self, group: int) -> int:
        """The earliest time among them, `NEVER` where there is none."""


class Arithmetic(Protocol):
    """A module that does the sums."""

    def weigh(self, rows: Rows, columns: Columns) -> Weighed:
        """Sums of all groups."""

    def groups_with(self, rows: Rows, wanted: Marks) -> Marks:
        """The groups of which a row has one of the columns wanted; column 0 never is."""
