"""Rounds of records through a producer: what is sent again, and what cannot be delivered at all."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from processors import deliveries
from processors.deliveries import Deliveries, DeliveryFailed
from processors.fence import Superseded
from processors.outputs import Message

Report = Callable[[KafkaError | None, Any], None]


class Delivered:
    """What the client library says of a delivered record."""

    def __init__(self, offset: int, key: bytes, value: bytes) -> None:
        self._offset = offset
        self._key = key
        self._value = value

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value


class Producer:
    """A client library whose next answers the test gives; without one a record is delivered at the next offset."""

    def __init__(self, *answers: KafkaError | Exception | None) -> None:
        self.sent: list[bytes] = []
        self._answers = list(answers)
        self._reports: list[tuple[Report, KafkaError | None, bytes, bytes]] = []

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, report: Report) -> None:
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        self.sent.append(value)
        self._reports.append((report, answer, key, value))

    def poll(self, timeout: float) -> None:
        reports, self._reports = self._reports, []
        for report, error, key, value in reports:
            report(error, Delivered(len(self.sent), key, value))


class Fence:
    """Lets the first so many rounds through."""

    def __init__(self, rounds: int = 9) -> None:
        self._left = rounds

    async def passed(self, generation: int) -> None:
        if not self._left:
            raise Superseded
        self._left -= 1


def send(producer: Producer, *values: bytes, rounds: int = 9) -> tuple[dict[tuple[str, int], int], list[str | None]]:
    told: list[str | None] = []
    found = [Message("t", 3, b"k", value) for value in values]
    sending = Deliveries(producer, Fence(rounds), told.append).send(found, 1)  # type: ignore[arg-type]  # has what is asked of it
    return asyncio.run(sending), told


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RETRY_SECONDS", 0)


def test_round_ends_with_the_highest_offset_of_each_partition() -> None:
    producer = Producer()
    assert send(producer, b"a", b"b") == ({("t", 3): 2}, [None])


def test_nothing_to_send_is_done_at_once() -> None:
    assert send(Producer(), rounds=0) == ({}, [None])


def test_record_that_was_not_delivered_in_time_is_sent_again_and_told() -> None:
    producer = Producer(None, KafkaError(KafkaError._MSG_TIMED_OUT))
    offsets, told = send(producer, b"a", b"b", b"c")
    assert producer.sent == [b"a", b"b", b"c", b"b", b"c"]
    assert offsets == {("t", 3): 5}
    assert len(told) == 2
    assert "1 records not delivered, the first to t[3]" in str(told[0])
    assert told[1] is None


def test_record_behind_a_failed_one_of_its_key_is_sent_again_too_so_that_the_newest_stays_last() -> None:
    found = [Message("t", 3, b"k", b"old"), Message("t", 3, b"other", b"x"), Message("t", 3, b"k", b"new")]
    producer = Producer(KafkaError(KafkaError._MSG_TIMED_OUT))
    asyncio.run(Deliveries(producer, Fence(), lambda reason: None).send(found, 1))  # type: ignore[arg-type]
    assert producer.sent == [b"old", b"x", b"new", b"old", b"new"]


def test_of_equal_records_the_first_is_sent_again_and_all_behind_it() -> None:
    producer = Producer(None, None, KafkaError(KafkaError._MSG_TIMED_OUT))
    send(producer, b"a", b"b", b"a")
    assert producer.sent == [b"a", b"b", b"a", b"a", b"b", b"a"]


def test_retry_that_the_broker_knew_already_has_no_offset() -> None:
    class Known(Delivered):
        def offset(self) -> Any:
            return None

    class KnowingProducer(Producer):
        def poll(self, timeout: float) -> None:
            for report, _, key, value in self._reports:
                report(None, Known(0, key, value))
            self._reports = []

    assert send(KnowingProducer(), b"a") == ({}, [None])


def test_full_queue_of_the_library_is_waited_for() -> None:
    producer = Producer(BufferError(), BufferError())
    assert send(producer, b"a", b"b")[0] == {("t", 3): 2}
    assert producer.sent == [b"a", b"b"]


def test_record_that_the_library_refuses_to_take_is_sent_again() -> None:
    producer = Producer(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    assert send(producer, b"a", b"b")[0] == {("t", 3): 3}
    assert producer.sent == [b"b", b"a", b"b"]


@pytest.mark.parametrize("answer", [KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), KafkaException(KafkaError(KafkaError._FATAL))])
def test_record_that_can_never_be_delivered_ends_the_round_with_its_place(answer: KafkaError | KafkaException) -> None:
    with pytest.raises(DeliveryFailed, match=r"t\[3\]"):
        send(Producer(answer), b"a")


def test_records_are_not_sent_again_once_the_group_has_gone_on() -> None:
    producer, told = Producer(KafkaError(KafkaError._MSG_TIMED_OUT)), list[str | None]()
    with pytest.raises(Superseded):
        asyncio.run(Deliveries(producer, Fence(1), told.append).send([Message("t", 3, b"k", b"a")], 1))  # type: ignore[arg-type]
    assert producer.sent == [b"a"]
    assert told[-1] is None, "nothing is failing any more"


def test_sends_that_succeed_do_not_hide_another_one_that_fails() -> None:
    async def main() -> None:
        producer, told = Producer(KafkaError(KafkaError._MSG_TIMED_OUT)), list[str | None]()
        deliveries = Deliveries(producer, Fence(), told.append)  # type: ignore[arg-type]
        failing = asyncio.create_task(deliveries.send([Message("t", 3, b"k", b"a")], 1))
        while not told:
            await asyncio.sleep(0)
        await deliveries.send([Message("t", 3, b"k", b"b")], 1)
        await deliveries.send([], 1)
        assert None not in told
        await failing
        assert told[-1] is None

    asyncio.run(main())
