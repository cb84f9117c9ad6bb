"""Which trades of an instrument were seen already.

Numeric ids are kept as the last id plus the intervals still missing below it, so a stream without holes costs two numbers.
An id below the remembered holes cannot be told from a duplicate and is answered TOO_OLD, never counted. Ids that are no
numbers are kept as the hashes of the most recent ones: a repetition older than those would be taken for new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b

MAX_HOLES = 64
MAX_HASHES = 128


class Verdict(Enum):
    """Answer to a trade id."""

    NEW = "new"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"


@dataclass(slots=True)
class SeenTrades:
    """Memory of the trade ids of one instrument; plain data, so that it can be stored.

    `last` is the highest numeric id seen (-1: none). `holes` are inclusive ranges of ids below it not seen yet, ascending.
    `floor`: ids at or below it are no longer remembered. `hashes` are the most recent opaque ids, oldest first.
    """

    last: int = -1
    floor: int = -1
    holes: list[tuple[int, int]] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)

    @property
    def without_holes_above(self) -> int:
        """Of the numeric ids above this one, up to the last, none is missing."""
        return max(self.floor, self.holes[-1][1]) if self.holes else self.floor

    def add(self, trade_id: str) -> Verdict:
        """Remember an id and say whether it was new."""
        if trade_id.isascii() and trade_id.isdigit() and len(trade_id) <= 18:
            return self._add_number(int(trade_id))
        return self._add_opaque(trade_id)

    def _add_number(self, number: int) -> Verdict:
        if number > self.last:
            if number > self.last + 1:
                self._open_hole(self.last + 1, number - 1)
            self.last = number
            return Verdict.NEW
        if number <= self.floor:
            return Verdict.TOO_OLD
        return Verdict.NEW if self._fill_hole(number) else Verdict.DUPLICATE

    def _open_hole(self, first: int, last: int) -> None:
        self.holes.append((first, last))
        if len(self.holes) > MAX_HOLES:
            self.floor = self.holes.pop(0)[1]

    def _fill_hole(self, number: int) -> bool:
        for index, (first, last) in enumerate(self.holes):
            if first <= number <= last:
                self.holes[index : index + 1] = [
                    part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]
                ]
                if len(self.holes) > MAX_HOLES:
                    self.floor = self.holes.pop(0)[1]
                return True
        return False

    def _add_opaque(self, trade_id: str) -> Verdict:
        hashed = int.from_bytes(blake2b(trade_id.encode(), digest_size=8).digest(), "big", signed=True)
        if hashed in self.hashes:
            return Verdict.DUPLICATE
        self.hashes.append(hashed)
        del self.hashes[:-MAX_HASHES]
        return Verdict.NEW
