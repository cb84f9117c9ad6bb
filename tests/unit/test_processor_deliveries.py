"""Rounds of records through a producer: what is sent again, and what cannot be delivered at all."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)

from processors import deliveries
from processors.deliveries import Deliveries, DeliveryFailed
from processors.fence import Superseded
from processors.outputs import Message
from processors.transport.producer import Chunk, Place, RecordRefused, Told

LOST = NotLeaderForPartitionError()
TOO_LARGE = MessageSizeTooLargeError()


class Producer:
    """A producer whose next answers the test gives; without one a chunk is appended behind the ones before."""

    def __init__(self, *answers: KafkaError | None, unready: int = 0, largest: int = 99) -> None:
        self.sent: list[list[bytes | None]] = []
        self.given_up: list[bytes | None] = []
        self.requests: list[int] = []
        self.leaderless: set[Place] = set()
        self._answers = list(answers)
        self._unready = unready
        self._largest = largest
        self._ends: dict[Place, int] = {}

    @asynccontextmanager
    async def turn(self, places: Iterable[Place]) -> AsyncIterator[None]:
        yield

    async def prepare(self, chunks: Mapping[Place, Chunk]) -> dict[Place, KafkaError]:
        if self._unready:
            self._unready -= 1
            raise KafkaConnectionError("broker 1 cannot be reached")
        return {place: LOST for place in chunks if place in self.leaderless}

    async def append(self, chunks: Mapping[Place, Chunk]) -> dict[Place, Told]:
        self.requests.append(len(chunks))
        return {place: self._append(place, chunk) for place, chunk in chunks.items()}

    def _append(self, place: Place, chunk: Chunk) -> Told:
        self.sent.append([record.value for record in chunk.records])
        if len(chunk.records) > self._largest:
            return TOO_LARGE
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            return answer
        self._ends[place] = self._ends.get(place, 0) + len(chunk.records)
        return self._ends[place]

    def give_up(self, chunks: Iterable[Chunk]) -> None:
        self.given_up += [record.value for chunk in chunks for record in chunk.records]


class Fence:
    """Lets the first so many looks through."""

    def __init__(self, looks: int = 99) -> None:
        self._left = looks

    async def passed(self, generation: int) -> None:
        if not self._left:
            raise Superseded
        self._left -= 1


def send(producer: Producer, *found: Message, looks: int = 99) -> tuple[dict[Place, int], list[str | None]]:
    told: list[str | None] = []
    sending = Deliveries(producer, Fence(looks), told.append).send(found, 1)  # type: ignore[arg-type]  # has what is asked of it
    return asyncio.run(sending), told


def message(value: bytes, partition: int = 3) -> Message:
    return Message("t", partition, b"k", value)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "SHORTEST_PAUSE", 0)


def test_round_ends_with_the_highest_offset_of_each_partition() -> None:
    producer = Producer()
    assert send(producer, message(b"a"), message(b"x", 1), message(b"b")) == ({("t", 3): 2, ("t", 1): 1}, [None])
    assert producer.sent == [[b"a", b"b"], [b"x"]]


def test_nothing_to_send_is_done_at_once() -> None:
    assert send(Producer(), looks=0) == ({}, [None])


def test_what_was_not_appended_is_sent_again_and_told_and_only_that() -> None:
    producer = Producer(LOST)
    offsets, told = send(producer, message(b"a"), message(b"x", 1))
    assert producer.sent == [[b"a"], [b"x"], [b"a"]]
    assert offsets == {("t", 3): 1, ("t", 1): 1}
    assert told == ["t[3]: [Error 6] NotLeaderForPartitionError", None]
    assert producer.given_up == []


def test_what_is_behind_a_failed_chunk_of_its_partition_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "chunks_of", lambda found: {("t", 3): [[each] for each in found]})
    producer = Producer(LOST, LOST)
    send(producer, message(b"old"), message(b"new"))
    assert producer.sent == [[b"old"], [b"old"], [b"old"], [b"new"]]


def test_brokers_that_cannot_be_reached_are_tried_again_and_told() -> None:
    offsets, told = send(Producer(unready=2), message(b"a"))
    assert offsets == {("t", 3): 1}
    assert told == ["KafkaConnectionError: broker 1 cannot be reached"] * 2 + [None]


def test_chunk_too_large_for_its_topic_is_halved_until_it_fits() -> None:
    producer = Producer(largest=1)
    offsets, told = send(producer, *map(message, (b"a", b"b", b"c")))
    assert producer.sent == [[b"a", b"b", b"c"], [b"a"], [b"b", b"c"], [b"b"], [b"c"]]
    assert (offsets, told) == ({("t", 3): 3}, [None])


def test_record_too_large_for_its_topic_ends_the_round_with_its_place() -> None:
    producer = Producer(largest=0)
    with pytest.raises(DeliveryFailed, match=r"t\[3\]: \[Error 10\] MessageSizeTooLargeError"):
        send(producer, message(b"a"))
    assert producer.given_up == [b"a"]


def test_nothing_is_sent_again_once_the_group_has_gone_on() -> None:
    producer, told = Producer(LOST), list[str | None]()
    with pytest.raises(Superseded):
        asyncio.run(Deliveries(producer, Fence(2), told.append).send([message(b"a")], 1))  # type: ignore[arg-type]
    assert (producer.sent, producer.given_up) == ([[b"a"]], [b"a"])
    assert told[-1] is None, "nothing is failing any more"


def test_nothing_is_sent_when_the_group_goes_on_while_it_is_prepared() -> None:
    producer = Producer()
    with pytest.raises(Superseded):
        send(producer, message(b"a"), looks=1)
    assert producer.sent == []


def test_partition_without_a_leader_does_not_keep_the_others_back() -> None:
    class Elected(Producer):
        async def append(self, chunks: Mapping[Place, Chunk]) -> dict[Place, Told]:
            self.leaderless = set()
            return await super().append(chunks)

    producer = Elected()
    producer.leaderless = {("t", 3)}
    offsets, told = send(producer, message(b"a"), message(b"x", 1))
    assert producer.sent == [[b"x"], [b"a"]]
    assert offsets == {("t", 3): 1, ("t", 1): 1}
    assert told == ["t[3]: [Error 6] NotLeaderForPartitionError", None]


def test_line_too_slow_for_a_request_gets_smaller_ones_and_larger_ones_again() -> None:
    class Slow(Producer):
        async def append(self, chunks: Mapping[Place, Chunk]) -> dict[Place, Told]:
            if len(chunks) > 3:
                self.requests.append(len(chunks))
                return dict.fromkeys(chunks, RequestTimedOutError())
            return await super().append(chunks)

    producer = Slow()
    offsets, _ = send(producer, *(message(b"x", number) for number in range(12)))
    assert producer.requests[:3] == [12, 6, 3]
    assert max(producer.requests[3:]) > 3, "it tries more at a time once that went well"
    assert offsets == {("t", number): 1 for number in range(12)}


def test_record_that_the_broker_calls_invalid_ends_the_round() -> None:
    with pytest.raises(DeliveryFailed, match="calls a record invalid"):
        send(Producer(RecordRefused("the broker calls a record invalid")), message(b"a"))
