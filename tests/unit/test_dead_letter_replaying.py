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

    def replay(self, run: str = "me", *, force: bool = False) -> list[Told]:
        """What is told of all letters, in their order."""
        letters = Letters(self, cast("Callable[[bytes | None], Record]", lambda value: value))
        replayer = Replayer(
            run, letters, self, cast("Producer", self), lambda _, note: cast("bytes", note), now=lambda: self.clock
        )
        shelf = letters.shelf()
        told = replayer.replay(shelf, shelf.chosen(Choice()), force=force)
        return sorted(told, key=lambda each: each.letter.number)

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
