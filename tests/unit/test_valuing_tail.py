"""What is read of compacted topics: what cannot be read is passed over and counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from confluent_kafka import OFFSET_END, KafkaError

from processors.valuing import tail
from processors.valuing.tail import Arrival, Tail
from runtime import metrics
from schemas.topics import VALUATION_LINES
from tests.folding import CODEC

PLACE = VALUATION_LINES.name, 0


class Deletion(NamedTuple):
    """A tombstone as the client delivers it."""

    name: bytes
    number: int

    def topic(self) -> str:
        return PLACE[0]

    def partition(self) -> int:
        return PLACE[1]

    def offset(self) -> int:
        return self.number

    def key(self) -> bytes:
        return self.name

    def value(self) -> None:
        return None

    def error(self) -> None:
        return None


class Broker:
    """A consumer that delivers these keys' deletions."""

    def __init__(self, *keys: bytes) -> None:
        self.messages = [Deletion(key, number) for number, key in enumerate(keys)]

    def __call__(self, _options: dict[str, Any]) -> Broker:
        return self

    def incremental_assign(self, _places: list[Any]) -> None:
        pass

    def poll(self, _seconds: float) -> Deletion:
        return self.messages[0]

    def consume(self, _most: int, _seconds: float) -> list[Deletion]:
        found, self.messages = self.messages[1:], self.messages[:1]
        return found


def test_deletion_under_a_key_that_is_no_text_is_counted_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "Consumer", Broker(b"ours|a", b"\xff|b", b"ours|c"))
    refused = metrics.ERRORS.labels("undecodable")
    before = refused._value.get()
    found = Tail({}, CODEC, 0).read(frozenset({PLACE}), 0)
    assert found == [Arrival(*PLACE, "ours|a", None), Arrival(*PLACE, "ours|c", None)]
    assert refused._value.get() == before + 1


def test_topic_read_from_its_end_begins_there_and_its_offset_is_known_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker(b"ours|a")
    assigned: list[int] = []
    monkeypatch.setattr(broker, "incremental_assign", lambda places: assigned.extend(place.offset for place in places))
    monkeypatch.setattr(Deletion, "error", lambda _: KafkaError(KafkaError._PARTITION_EOF))
    monkeypatch.setattr(tail, "Consumer", broker)
    broker.messages = [Deletion(b"", 41)]
    found = Tail({}, CODEC, 0, from_end={PLACE[0]})
    assert found.read(frozenset({PLACE}), 0) == []
    assert (found.is_caught_up, found.offsets(PLACE[0]), assigned) == (True, {0: 41}, [OFFSET_END])


class Line(Deletion):
    """A record that no codec could read."""

    def value(self) -> bytes:  # type: ignore[override]
        return b"nonsense"


def test_of_a_topic_that_is_read_for_its_keys_no_value_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    broker.messages = [Line(b"ours|a", 0), Deletion(b"ours|b", 1)]
    monkeypatch.setattr(tail, "Consumer", broker)
    found = Tail({}, CODEC, 0, keys_of={PLACE[0]}).read(frozenset({PLACE}), 0)
    assert found == [Arrival(*PLACE, "ours|a", None, is_there=True), Arrival(*PLACE, "ours|b", None)]


class Clock:
    """The time as the reader has it, which stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(tail, "time", self)

    def monotonic(self) -> float:
        return self.now


class Bursts(Broker):
    """A consumer that delivers these records at each call, then none; `pauses` is what it was told to wait."""

    def __init__(self, *deliveries: list[Deletion]) -> None:
        super().__init__(b"a")
        self.deliveries = list(deliveries)
        self.pauses: list[float] = []

    def consume(self, _most: int, seconds: float) -> list[Deletion]:
        if seconds:
            self.pauses.append(seconds)
        return self.deliveries.pop(0) if self.deliveries else []


def test_burst_is_read_as_one_and_what_comes_after_a_pause_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    broker = Bursts([], [], [Deletion(b"b", 1)], [], [Deletion(b"c", 2)], [], [])
    monkeypatch.setattr(tail, "Consumer", broker)
    reader = Tail({}, CODEC, 0)
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["a", "b", "c"]
    assert broker.pauses == [tail.PAUSE_SECONDS, tail.BURST_PAUSE_SECONDS, tail.BURST_PAUSE_SECONDS]
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["a"]


def test_what_came_while_a_burst_was_decoded_belongs_to_it_however_long_that_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    class Slow(Deletion):
        def key(self) -> bytes:
            clock.now += 2 * tail.GATHER_SECONDS
            return self.name

    broker = Bursts([Slow(b"b", 1)], [Deletion(b"c", 2)], [])
    monkeypatch.setattr(tail, "Consumer", broker)
    assert [arrival.key for arrival in Tail({}, CODEC, 0).read(frozenset({PLACE}), 0)] == ["a", "b", "c"]
    assert broker.pauses == []


def test_time_to_decode_is_part_of_the_pause_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    class Slow(Deletion):
        def key(self) -> bytes:
            clock.now += tail.BURST_PAUSE_SECONDS / 4
            return self.name

    broker = Bursts([Slow(b"b", 1)], [], [])
    monkeypatch.setattr(tail, "Consumer", broker)
    Tail({}, CODEC, 0).read(frozenset({PLACE}), 0)
    assert broker.pauses == pytest.approx([tail.BURST_PAUSE_SECONDS * 3 / 4])


def test_no_more_is_waited_for_because_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    broker = Bursts([Line(b"ours|b", 1)], [Line(b"ours|c", 2)], [])
    monkeypatch.setattr(tail, "Consumer", broker)
    found = Tail({}, CODEC, 0, keys_of={PLACE[0]}).read(frozenset({PLACE}), 0)
    assert [arrival.key for arrival in found] == ["a", "ours|b", "ours|c"]
    assert broker.pauses == []


def test_more_of_a_burst_that_seemed_over_is_known_without_waiting_and_read_next(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    broker = Bursts([], [], [], [Deletion(b"b", 1)], [], [Deletion(b"c", 2)], [Deletion(b"d", 3)])
    monkeypatch.setattr(tail, "Consumer", broker)
    reader = Tail({}, CODEC, 0)
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["a"]
    waited = len(broker.pauses)
    assert [reader.has_more() for _ in range(3)] == [False, False, True]  # a single record is no burst
    assert len(broker.pauses) == waited
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["b", "c", "d"]
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["a"]


@pytest.mark.parametrize("at_once", [5, 2_000])
def test_records_that_come_without_end_are_no_burst_of_which_there_is_more(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    clock = Clock(monkeypatch)
    broker = Broker(b"a")

    def consume(_most: int, seconds: float) -> list[Deletion]:
        clock.now += min(seconds, tail.PAUSE_SECONDS)
        return [Deletion(b"b", 1)] * 2 if seconds or is_read else []

    is_read = False
    monkeypatch.setattr(broker, "consume", consume)
    monkeypatch.setattr(tail, "Consumer", broker)
    monkeypatch.setattr(tail, "_AT_ONCE", at_once)
    reader = Tail({}, CODEC, 0)
    reader.read(frozenset({PLACE}), 0)
    is_read = True
    assert not reader.has_more()


def test_keys_are_no_more_of_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    broker = Bursts([], [], [Line(b"ours|b", 1), Line(b"ours|c", 2)])
    monkeypatch.setattr(tail, "Consumer", broker)
    reader = Tail({}, CODEC, 0, keys_of={PLACE[0]})
    reader.read(frozenset({PLACE}), 0)
    assert not reader.has_more()
    assert [arrival.key for arrival in reader.read(frozenset({PLACE}), 0)] == ["ours|b", "ours|c"]
