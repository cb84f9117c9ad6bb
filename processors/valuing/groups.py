"""Numbers of groups of rows, alike in all holdings, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from processors.holdings.layout import Holdings
from processors.holdings.protocol import Marks


class Groups:
    """An owner has several groups.

    They are marked by number and named when they are asked for: 10,000 names take as long as weighing a million rows.
    """

    def __init__(self, *holdings: Holdings) -> None:
        self._holdings = holdings
        self._free: list[int] = []
        self._owners: list[str] = []
        self._first = np.zeros(0, np.int64)  # by number that of the same owner's first group
        self._marks = np.zeros(0, np.bool_)

    def take(self, owner: str, count: int) -> list[int]:
        """Numbers of so many groups that have no rows, for an owner that has none."""
        numbers = [self._free.pop() if self._free else self._add() for _ in range(count)]
        for number in numbers:
            self._first[number] = numbers[0]
            self._owners[number] = owner
        return numbers

    def release(self, numbers: Sequence[int]) -> None:
        """Empty an owner's groups; whoever takes them next owns them."""
        for number in numbers:
            self._marks[number] = False
            for holdings in self._holdings:
                holdings.hold(number, ())
        self._free.extend(numbers)

    def mark(self, marks: Marks) -> None:
        """Mark groups besides those that are marked already."""
        self._marks[: len(marks)] |= marks != 0

    def take_marked(self) -> set[str]:
        """Owners of groups that were marked since the last time."""
        firsts = np.zeros(len(self._owners), np.bool_)
        firsts[self._first[np.flatnonzero(self._marks)]] = True
        self._marks[:] = False
        return self.owners(firsts)

    def owners(self, marks: Marks | npt.NDArray[np.bool_]) -> set[str]:
        """Owners of these groups."""
        return {self._owners[number] for number in np.flatnonzero(marks).tolist()}

    def _add(self) -> int:
        for holdings in self._holdings:
            number = holdings.add_group()
        self._owners.append("")
        if number >= len(self._first):
            size = max(64, 2 * len(self._first))
            self._first, self._marks = np.resize(self._first, size), np.append(self._marks, np.zeros(size - number, np.bool_))
        return number
