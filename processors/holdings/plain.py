"""Weighing by numpy, exact: numbers are cut into limbs of 21 bits, whose products and sums fit 64 bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from processors.holdings.protocol import NEVER, PRICED, STALE, Columns, Longs, Marks, Rows

BITS = 21
_MASK = (1 << BITS) - 1
_UNIT_LIMBS, _PRICE_LIMBS = 3, 7

_AT_ONCE = 1 << 16
"""Rows weighed at once: as many as stay in the processor's cache."""


class Sums:
    """See `processors.holdings.protocol.Weighed`; a total is the sum of `limbs[k] * 2**(21 k)`."""

    def __init__(self, groups: int) -> None:
        self.limbs = np.zeros((_UNIT_LIMBS + _PRICE_LIMBS - 1, groups), np.int64)
        self.counts = np.zeros(groups, np.int64)
        self.stale_counts = np.zeros(groups, np.int64)
        self.times = np.full(groups, NEVER, np.int64)

    def total(self, group: int) -> int | None:
        """It always fits."""
        limbs: list[int] = self.limbs[:, group].tolist()
        return sum(limb << BITS * place for place, limb in enumerate(limbs))

    def priced(self, group: int) -> int:
        """Rows with a price."""
        return int(self.counts[group])

    def stale(self, group: int) -> int:
        """Rows with a stale one."""
        return int(self.stale_counts[group])

    def oldest(self, group: int) -> int:
        """Their earliest time."""
        return int(self.times[group])


def weigh(rows: Rows, columns: Columns) -> Sums:
    """Sums of all groups."""
    sums = Sums(len(rows.starts))
    prices = [(place, limb) for place, limb in enumerate(_price_limbs(columns)) if limb.any()]
    flags = columns.flags.astype(np.int64)
    priced, stale = flags & PRICED, flags // STALE
    for groups, begins, begin, end in _pieces(rows):
        units, found = rows.units[begin:end], rows.columns[begin:end]
        unit_limbs = [units & _MASK, units >> BITS & _MASK, units >> 2 * BITS]  # the last one has the sign
        for place, table in prices:
            limb = table[found]
            for unit_place, unit_limb in enumerate(unit_limbs):
                sums.limbs[place + unit_place, groups] += np.add.reduceat(limb * unit_limb, begins)
        sums.counts[groups] = np.add.reduceat(priced[found], begins)
        if stale.any():
            sums.stale_counts[groups] = np.add.reduceat(stale[found], begins)
        sums.times[groups] = np.minimum.reduceat(columns.times[found], begins)
    return sums


def groups_with(rows: Rows, wanted: Marks) -> Marks:
    """The groups of which a row has one of the columns wanted."""
    found = np.zeros(len(rows.starts), np.uint8)
    for groups, begins, begin, end in _pieces(rows):
        found[groups] = np.maximum.reduceat(wanted[rows.columns[begin:end]], begins)
    return found


def _pieces(rows: Rows) -> Iterator[tuple[npt.NDArray[np.intp], Longs, int, int]]:
    """Groups that lie behind one another with where each begins in their rows, and where those begin and end.

    The holes behind a group are zeros of column 0: its sums do not mind them.
    """
    order = np.argsort(rows.starts, kind="stable")
    order = order[rows.lengths[order] > 0]
    starts = rows.starts[order]
    cuts = np.searchsorted(starts, np.arange(0, len(rows.units) + _AT_ONCE, _AT_ONCE))
    for first, after in pairwise(cuts):
        if first < after:
            begin = int(starts[first])
            end = int(starts[after]) if after < len(starts) else len(rows.units)
            yield order[first:after], starts[first:after] - begin, begin, end


def _price_limbs(columns: Columns) -> list[Longs]:
    low, high, mask = columns.low, columns.high, np.uint64(_MASK)
    across = low >> np.uint64(63) | high << np.uint64(1)  # from the 63rd bit on; prices have 127 at most
    parts = [low >> np.uint64(BITS * place) for place in range(3)] + [across >> np.uint64(BITS * place) for place in range(3)]
    parts.append(high >> np.uint64(62))
    return [(part & mask).astype(np.int64) for part in parts]
