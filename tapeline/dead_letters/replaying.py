"""Sends originals of dead letters to the partitions they came from, each at most once unless told otherwise.

A run notes in the dead-letter topic what it is about to send, and again where it then lies. One that dies in between leaves a
first note without a second: the next run looks for its record, which bears the letter's number and the run in a header, from
where the note says it must be, and only sends the letter when it is not there. Two runs at once do not send one letter: after
its first notes a run reads the topic again, and leaves letters alone that another has noted before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from market.dead_letter import DeadLetter, LetterReplay
from schemas.records import Record
from schemas.topics import TOPICS
from tapeline.dead_letters.marks import HEADER, Marks, mark_of
from tapeline.dead_letters.noting import DELIVERY_SECONDS, NotTaken, write_notes
from tapeline.dead_letters.shelf import Letter, Place, Shelf
from tapeline.dead_letters.topic import DeadLetterError, Letters, Partitions, is_refusal

_Extents = dict[tuple[str, int], tuple[int, int] | str]
"""First offset of each partition and the one after its last, or why it has none."""

_MOST_LETTERS, _MOST_BYTES = 500, 16 * 1024 * 1024


class Outcome(Enum):
    """What became of a letter."""

    SENT = "sent"
    SENT_BEFORE = "sent before"
    REFUSED = "not sent"


class Told(NamedTuple):
    """A letter and what became of it; `detail` is where it lies, or why it was not sent."""

    letter: Letter
    outcome: Outcome
    detail: str


class Replayer:
    """One run. `encode` makes records of the dead-letter topic, `producer` is idempotent; `now` is in microseconds."""

    def __init__(
        self,
        run: str,
        letters: Letters,
        partitions: Partitions,
        producer: Producer,
        encode: Callable[[str, Record], bytes],
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._run = run
        self._letters = letters
        self._partitions = partitions
        self._producer = producer
        self._encode = encode
        self._marks = Marks(partitions)
        self._now = now
        self._tried: dict[Place, Told] = {}  # of each original that this run tried to send, what became of it

    def replay(self, shelf: Shelf, chosen: Sequence[Letter], *, force: bool = False) -> Iterator[Told]:
        """Send the originals of these letters in their order. Raises NotTaken, ServerUnreachable."""
        wanted = {letter.number for letter in chosen}
        for batch in self._batches(shelf, wanted):
            yield from self._batch(shelf, batch, force=force)

    def _batches(self, shelf: Shelf, wanted: set[int]) -> Iterator[dict[int, DeadLetter]]:
        batch: dict[int, DeadLetter] = {}
        size = 0
        if not wanted:
            return
        for number, record in self._letters.read(min(wanted)):
            if number > max(wanted):
                break
            if number in wanted and isinstance(record, DeadLetter):
                batch[number] = record
                size += shelf.letters[number].size
            if len(batch) >= _MOST_LETTERS or size >= _MOST_BYTES:
                yield batch
                batch, size = {}, 0
        if batch:
            yield batch

    def _batch(self, shelf: Shelf, batch: Mapping[int, DeadLetter], *, force: bool) -> Iterator[Told]:
        self._letters.shelf(shelf)
        ready: dict[int, LetterReplay] = {}
        doubles: list[Letter] = []
        places = set(self._tried)
        extents: _Extents = {}
        for number in batch:
            letter = shelf.letters[number]
            if letter.place in places:
                doubles.append(letter)
                continue
            told = self._unless_ready(shelf, letter, extents, force=force)
            if isinstance(told, Told):
                yield told
            else:
                ready[number] = told
                places.add(letter.place)
        for told in self._try(shelf, batch, ready, extents, force=force):
            self._tried[told.letter.place] = told
            yield told
        for letter in doubles:
            yield _like(self._tried[letter.place], letter)

    def _try(
        self, shelf: Shelf, batch: Mapping[int, DeadLetter], ready: dict[int, LetterReplay], extents: _Extents, *, force: bool
    ) -> Iterator[Told]:
        """Note what is to be sent, and send what no other run has noted before."""
        if not force:
            yield from self._finish(shelf, ready, extents)
        self._note(ready.values())
        self._letters.shelf(shelf)
        for number in list(ready):
            if self._is_overtaken(shelf, shelf.letters[number], force=force):
                self._note([ready.pop(number)._replace(error="another run was first")])
                yield Told(shelf.letters[number], Outcome.REFUSED, "another run has just sent it, or is about to")
        yield from self._send(shelf, {number: (batch[number], note) for number, note in ready.items()})

    def _unless_ready(self, shelf: Shelf, letter: Letter, extents: _Extents, *, force: bool) -> Told | LetterReplay:
        """The first note of a letter that is to be sent, or why it is not."""
        if letter.source_partition is None or letter.source_offset is None:
            return Told(letter, Outcome.REFUSED, "it was a frame of a feed and never a record of a topic")
        if letter.truncated:
            return Told(letter, Outcome.REFUSED, "only the beginning of its original was kept")
        if not force and (topic := TOPICS.get(letter.source)) is not None and topic.compacted:
            detail = f"{topic.name} is compacted, and an old state would become the latest of its key; --force sends it"
            return Told(letter, Outcome.REFUSED, detail)
        partition = letter.source, letter.source_partition
        if partition not in extents:
            extents[partition] = self._extent(*partition)
        extent = extents[partition]
        if isinstance(extent, str):
            return Told(letter, Outcome.REFUSED, extent)
        if not force and (offset := shelf.replayed_at(letter)) is not None:
            return Told(letter, Outcome.SENT_BEFORE, f"{letter.source}[{letter.source_partition}]@{offset}")
        for note in shelf.begun(letter):
            if self._is_alive(note):
                detail = f"the run {note.run} is sending it right now, or has just died; wait a minute"
                return Told(letter, Outcome.REFUSED, detail)
        return LetterReplay(*partition, letter.source_offset, letter.number, self._run, extent[1], None, None, self._now())

    def _finish(self, shelf: Shelf, ready: dict[int, LetterReplay], extents: _Extents) -> Iterator[Told]:
        """Note how the sending of runs that died has ended; only letters of which nothing came stay `ready`."""
        begun = {number: shelf.begun(shelf.letters[number]) for number in ready}
        lows = {where: extent[0] for where, extent in extents.items() if not isinstance(extent, str)}
        seen = {
            note for notes in begun.values() for note in notes if lows[note.source, note.source_partition] <= note.sent_after
        }
        self._marks.look(seen)
        ended: list[LetterReplay] = []
        told: list[Told] = []
        for number, notes in begun.items():
            for note in notes:
                if note not in seen:
                    outcome = Outcome.REFUSED
                    detail = f"the topic was cut since the run {note.run} may have sent it, and died; --force sends it"
                elif (offset := self._marks.offset_of(note)) is not None:
                    ended.append(note._replace(offset=offset))
                    outcome = Outcome.SENT_BEFORE
                    detail = f"{note.source}[{note.source_partition}]@{offset}, by a run that died then"
                else:
                    ended.append(note._replace(error="the run died before it was sent"))
                    continue
                del ready[number]
                told.append(Told(shelf.letters[number], outcome, detail))
                break
        self._note(ended)
        yield from told

    def _is_overtaken(self, shelf: Shelf, letter: Letter, *, force: bool) -> bool:
        """Whether another run has noted or sent a letter between our reading of the topic and our own note."""
        first = next(note for note in shelf.begun(letter) if self._is_alive(note))
        return first.run != self._run or (not force and shelf.replayed_at(letter) is not None)

    def _is_alive(self, note: LetterReplay) -> bool:
        return note.run == self._run or self._now() - note.noted_at < 3 * DELIVERY_SECONDS * 1e6

    def _extent(self, topic: str, partition: int) -> tuple[int, int] | str:
        try:
            return self._partitions.extent(topic, partition)
        except DeadLetterError as error:
            return str(error)

    def _send(self, shelf: Shelf, batch: Mapping[int, tuple[DeadLetter, LetterReplay]]) -> Iterator[Told]:
        ended: dict[int, LetterReplay] = {}
        failed: list[KafkaError] = []
        for number, (letter, note) in batch.items():

            def keep(error: KafkaError | None, message: Message, number: int = number, note: LetterReplay = note) -> None:
                if error is None:
                    ended[number] = note._replace(offset=message.offset())
                elif is_refusal(error):
                    ended[number] = note._replace(error=error.str())
                else:
                    failed.append(error)

            try:
                self._producer.produce(
                    note.source,
                    key=letter.key,
                    value=letter.value,
                    partition=note.source_partition,
                    headers=[(HEADER, mark_of(note))],
                    on_delivery=keep,
                )
            except KafkaException as error:  # larger than any record may be
                ended[number] = note._replace(error=error.args[0].str())
        self._producer.flush(DELIVERY_SECONDS * 2)
        self._note(ended.values())
        for number, note in sorted(ended.items()):
            sent = note.error is None
            detail = f"{note.source}[{note.source_partition}]@{note.offset}" if sent else f"{note.source}: {note.error}"
            yield Told(shelf.letters[number], Outcome.SENT if sent else Outcome.REFUSED, detail)
        if len(ended) < len(batch):
            reason = failed[0].str() if failed else f"no word within {DELIVERY_SECONDS:g} s"
            raise NotTaken(f"{len(batch) - len(ended)} letters were not taken: {reason}; run it again in a minute")

    def _note(self, notes: Iterable[LetterReplay]) -> None:
        """Write notes, as of now, and wait for the brokers. Raises NotTaken."""
        write_notes(self._producer, self._encode, (note._replace(noted_at=self._now()) for note in notes))


def _like(told: Told, letter: Letter) -> Told:
    """What became of a letter whose original is that of another, of which it is told."""
    original = f"its original is that of letter {told.letter.number}"
    if told.outcome is Outcome.REFUSED:
        return Told(letter, Outcome.REFUSED, f"{original}, which was not sent: {told.detail}")
    return Told(letter, Outcome.SENT_BEFORE, f"{original}, now at {told.detail}")
