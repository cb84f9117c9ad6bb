"""Which originals are sent again and what is told of them, on a broker of lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Producer

from market.dead_letter import DeadLetter, LetterReplay
from schemas.records import Record
from schemas.topics import DEAD_LETTERS, TOPICS, Topic
from tapeline.dead_letters.noting import write_notes
from tapeline.dead_letters.replaying import Outcome, Replayer, Told
from tapeline.dead_letters.shelf import Choice
from tapeline.dead_letters.topic import Found, Letters, Partitions
from tests.builders import START

LETTER = DeadLetter("md.trades", 1, 17, "sinks", "undecodable", "why", None, b"key", b"value", False, START)
NOTE = LetterReplay("md.trades", 1, 17, 0, "dead", 0, None, None, START)


class Broker(Partitions):
    """Partitions of records that are not encoded, a producer for them, and a clock that moves with each thing done."""

    def __init__(self, *records: Record) -> None:
        self.logs: defaultdict[tuple[str, int], list[tuple[Any, list[tuple[str, bytes | None]]]]] = defaultdict(list)
        self.logs["dlq", 0] = [(record, []) for record in records]
        self.refused: set[str] = set()
        self.scans: list[tuple[str, int, int]] = []
        self.clock = START
        self._waiting: list[Callable[[], None]] = []

    def extent(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self.logs[topic, partition])

    def read(self, topic: str, partition: int, begin: int = 0) -> Iterator[Found]:
        if topic != "dlq":
            self.scans.append((topic, partition, begin))
            self.clock += 1_000_000
        for offset, (value, headers) in list(enumerate(self.logs[topic, partition]))[begin:]:
            yield Found(offset, value, headers, self.clock)

    def produce(self, topic: str, *, value: Any, partition: int, on_delivery: Any, headers: Any = (), key: Any) -> None:
        self._waiting.append(lambda: self._deliver(topic, value, partition, on_delivery, headers))

    def _deliver(self, topic: str, value: Any, partition: int, on_delivery: Any, headers: Any) -> None:
        if topic in self.refused:
            on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None)
            return
        log = self.logs[topic, partition]
        log.append((value, list(headers)))
        on_delivery(None, Delivered(len(log) - 1))

    def flush(self, _seconds: float) -> int:
        while self._waiting:
            self._waiting.pop(0)()
        return 0

    def letters(self) -> Letters:
        return Letters(self, cast("Callable[[bytes | None], Record]", lambda value: value))

    def replay(self, run: str = "me", *, force: bool = False) -> list[Told]:
        """What is told of all letters, in their order."""
        letters = self.letters()
        replayer = Replayer(
            run, letters, self, cast("Producer", self), lambda _, note: cast("bytes", note), now=lambda: self.clock
        )
        shelf = letters.shelf()
        told = replayer.replay(shelf, shelf.chosen(Choice()), force=force)
        return sorted(told, key=lambda each: each.letter.number)

    def purge(self, cut: int) -> list[Told]:
        """Delete what lies before an offset, as the command does, and tell what a run then finds."""
        write_notes(cast("Producer", self), lambda _, note: cast("bytes", note), self.letters().shelf().notes_lost(cut))
        self.logs["dlq", 0][:cut] = [(None, [])] * cut
        return self.replay("next")

    def sent(self) -> list[tuple[str, int]]:
        return [place for place, log in self.logs.items() for _ in log if place[0] != "dlq"]


class Delivered:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


SOURCES = [topic for topic in TOPICS.values() if topic is not DEAD_LETTERS]


@pytest.mark.parametrize("topic", SOURCES, ids=lambda topic: topic.name)
def test_old_states_are_only_sent_to_compacted_topics_by_force(topic: Topic) -> None:
    broker = Broker(LETTER._replace(source=topic.name))
    [told] = broker.replay()
    if topic.compacted:
        assert told.outcome is Outcome.REFUSED
        assert f"{topic.name} is compacted" in told.detail
        assert "--force" in told.detail
        assert broker.sent() == []
        [told] = broker.replay(force=True)
    assert told.outcome is Outcome.SENT
    assert broker.sent() == [(topic.name, 1)]


@pytest.mark.parametrize("refused", [False, True])
def test_letters_of_one_original_are_told_what_became_of_it(refused: bool) -> None:
    broker = Broker(LETTER, LETTER._replace(stage="processors"))
    broker.refused = {"md.trades"} if refused else set()
    first, second = broker.replay()
    if refused:
        assert first.outcome is second.outcome is Outcome.REFUSED
        assert second.detail == f"its original is that of letter 0, which was not sent: {first.detail}"
    else:
        assert (first.outcome, second.outcome) == (Outcome.SENT, Outcome.SENT_BEFORE)
        assert second.detail == "its original is that of letter 0, now at md.trades[1]@0"
    assert len(broker.sent()) == (not refused)


def test_what_dead_runs_began_is_found_by_one_scan_of_each_partition() -> None:
    count = 1200  # more than one batch
    letters = [LETTER._replace(source_partition=number % 2, source_offset=number) for number in range(count)]
    notes = [
        NOTE._replace(
            source_partition=number % 2, source_offset=number, letter_offset=number, sent_after=1, noted_at=START - 10**9
        )
        for number in range(count)
    ]
    broker = Broker(*letters, *notes)
    sent = range(0, count, 3)
    for partition in (0, 1):
        broker.logs["md.trades", partition] = [(None, [("tapeline-letter", b"0/dead")])]  # before the runs began
        broker.logs["md.trades", partition] += [
            (None, [("tapeline-letter", b"%d/dead" % number)]) for number in sent if number % 2 == partition
        ]
    before = len(broker.sent())
    told = broker.replay()
    assert [each.letter.number for each in told if each.outcome is Outcome.SENT_BEFORE] == list(sent)
    assert told[3].detail == "md.trades[1]@1, by a run that died then"
    assert len(broker.sent()) - before == count - len(sent)
    read = [begin for _, partition, begin in broker.scans if partition == 0]
    assert read == sorted(set(read)), "what was read is not read again"
    assert len(broker.scans) == 2 * 3, "each batch reads each partition once"
    assert {each.outcome for each in broker.replay("next")} == {Outcome.SENT_BEFORE}


def test_double_of_a_letter_that_a_dead_run_sent_is_told_so() -> None:
    broker = Broker(LETTER, LETTER._replace(stage="processors"), NOTE._replace(noted_at=START - 10**9))
    broker.logs["md.trades", 1] = [(None, [("tapeline-letter", b"0/dead")])]
    first, second = broker.replay()
    assert first.outcome is second.outcome is Outcome.SENT_BEFORE
    assert second.detail == f"its original is that of letter 0, now at {first.detail}"
    assert len(broker.scans) == 1


def test_first_note_bears_the_time_it_is_written_at() -> None:
    old = NOTE._replace(noted_at=START - 10**9)
    broker = Broker(LETTER, LETTER._replace(source_offset=18), old, old._replace(source_offset=18, letter_offset=1))
    broker.replay()
    notes = [record for record, _ in broker.logs["dlq", 0] if isinstance(record, LetterReplay) and record.run == "me"]
    assert len(notes) == 4
    assert {note.noted_at for note in notes} == {broker.clock}
    assert broker.clock > START, "the scan took time"


def test_letter_left_by_a_purge_is_not_sent_a_second_time() -> None:
    broker = Broker(LETTER)
    assert broker.replay()[0].outcome is Outcome.SENT
    broker.logs["dlq", 0].append((LETTER._replace(stage="processors"), []))
    [left] = broker.purge(len(broker.logs["dlq", 0]) - 1)
    assert left.outcome is Outcome.SENT_BEFORE
    assert len(broker.sent()) == 1
