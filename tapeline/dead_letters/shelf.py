"""What lies in the dead-letter topic, and what became of each letter. Pure: a fold over the topic's records in their order.

A letter's number is its offset. Its original is sent again between two notes (`market.dead_letter.LetterReplay`); the topic has
one partition, so all runs see the notes in one order, and of two runs that send one original the first to note it may. Several
letters may have one original: what is noted of one of them holds for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market.dead_letter import DeadLetter, LetterReplay
from schemas.records import Record

_LONGEST_ERROR = 300

Place = tuple[str, int | None, int | None]
"""Where an original was met: its topic, partition and offset."""


class Letter(NamedTuple):
    """A letter without its original, of which only the size is kept."""

    number: int
    source: str
    source_partition: int | None
    source_offset: int | None
    stage: str
    reason: str
    error: str
    field: str | None
    size: int
    truncated: bool
    failed_at: int

    @property
    def place(self) -> Place:
        """Where its original was met."""
        return self.source, self.source_partition, self.source_offset

    @property
    def place_text(self) -> str:
        """Where its original was met: md.trades[1]@17, or venue:channel."""
        return self.source if self.source_partition is None else f"{self.source}[{self.source_partition}]@{self.source_offset}"


def letter_at(number: int, letter: DeadLetter) -> Letter:
    """What is kept of the letter at an offset."""
    return Letter(
        number,
        source=letter.source,
        source_partition=letter.source_partition,
        source_offset=letter.source_offset,
        stage=letter.stage,
        reason=letter.reason,
        error=letter.error[:_LONGEST_ERROR],
        field=letter.field,
        size=len(letter.key or b"") + len(letter.value or b""),
        truncated=letter.truncated,
        failed_at=letter.failed_at,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: those of a reason, of a source (a topic or venue:channel), of these numbers; None means any."""

    reason: str | None = None
    source: str | None = None
    numbers: frozenset[int] | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            self.reason in (None, letter.reason)
            and self.source in (None, letter.source)
            and (self.numbers is None or letter.number in self.numbers)
        )


@dataclass(slots=True)
class Shelf:
    """The letters there are, in their order, and the notes on their originals."""

    letters: dict[int, Letter] = field(default_factory=dict)
    notes: dict[Place, dict[int, LetterReplay]] = field(default_factory=dict)
    """On each original, by their offsets."""
    strange: int = 0
    """Records that are neither letters nor notes."""
    end: int = 0
    """The offset after the last record taken in."""

    def take(self, number: int, record: Record | None) -> None:
        """Take in the record at an offset; None for one that cannot be read."""
        self.end = number + 1
        if isinstance(record, DeadLetter):
            self.letters[number] = letter_at(number, record)
        elif isinstance(record, LetterReplay):
            place = record.source, record.source_partition, record.source_offset
            self.notes.setdefault(place, {})[number] = record
        else:
            self.strange += 1

    def chosen(self, choice: Choice) -> list[Letter]:
        """The letters meant, in their order."""
        return [letter for letter in self.letters.values() if choice.takes(letter)]

    def replayed_at(self, letter: Letter) -> int | None:
        """Where a letter's original was sent to last, None when it was not, as far as it is noted."""
        return max((note.offset for note in self.notes_on(letter) if note.offset is not None), default=None)

    def begun(self, letter: Letter) -> list[LetterReplay]:
        """The first notes of runs that have not noted how it ended, in their order."""
        notes = self.notes_on(letter)
        ended = {note.run for note in notes if note.offset is not None or note.error is not None}
        return [note for note in notes if note.run not in ended]

    def notes_on(self, letter: Letter) -> list[LetterReplay]:
        """The notes on a letter's original, in their order."""
        return list(self.notes.get(letter.place, {}).values())

    def notes_lost(self, cut: int) -> list[LetterReplay]:
        """The notes before an offset on originals of letters from there on, as far as they are not behind it as well."""
        lost = []
        for place in dict.fromkeys(letter.place for letter in self.letters.values() if letter.number >= cut):
            notes = self.notes.get(place, {})
            kept = {note for number, note in notes.items() if number >= cut}
            lost += [note for number, note in notes.items() if number < cut and note not in kept]
        return lost


def by_reason(letters: Iterable[Letter]) -> list[tuple[str, str, int]]:
    """How many letters there are of each source and reason, most first."""
    counts = Counter((letter.source, letter.reason) for letter in letters)
    return [(source, reason, count) for (source, reason), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]
