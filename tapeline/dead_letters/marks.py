"""Which records of a partition were sent again, by the mark that each of them bears in a header."""

from __future__ import annotations

from collections.abc import Iterable

from market.dead_letter import LetterReplay
from tapeline.dead_letters.topic import Partitions

HEADER = "tapeline-letter"

_Where = tuple[str, int]


def mark_of(note: LetterReplay) -> bytes:
    """The mark of the record that is sent for a note: the letter's number and the run."""
    return f"{note.letter_offset}/{note.run}".encode()


class Marks:
    """Where marked records lie. A partition is read once for all notes looked at together, and later only from there on."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._seen: dict[_Where, tuple[int, int]] = {}
        self._offsets: dict[tuple[_Where, bytes | None], int] = {}

    def look(self, notes: Iterable[LetterReplay]) -> None:
        """Read all that may have been sent for these notes until now. Raises ServerUnreachable."""
        firsts: dict[_Where, int] = {}
        for note in notes:
            where = note.source, note.source_partition
            firsts[where] = min(firsts.get(where, note.sent_after), note.sent_after)
        for where, first in firsts.items():
            begin, end = self._seen.get(where, (first, first))
            if first < begin:
                begin = end = first
            for found in self._partitions.read(*where, end):
                end = found.offset + 1
                for name, mark in found.headers:
                    if name == HEADER:
                        self._offsets[where, mark] = found.offset
            self._seen[where] = begin, end

    def offset_of(self, note: LetterReplay) -> int | None:
        """Where the record of a note lies that was looked at; None when it was never sent."""
        return self._offsets.get(((note.source, note.source_partition), mark_of(note)))
