"""The processors' producer against a real broker: each batch once, in order, whatever answers are lost."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    UnknownTopicOrPartitionError,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from processors.outputs import Message
from processors.transport.producer import BatchProducer, Chunk, Place, Told
from runtime.kafka import aiokafka_options
from tests.cluster import Cluster

TOPIC, FIRST = "batches", b"first"
Found = dict[Place, Told]


@pytest.fixture
def topic(cluster: Cluster) -> str:
    """A topic of two partitions that the broker is ready to append to."""
    admin = AdminClient({"bootstrap.servers": cluster.servers.kafka})
    admin.create_topics([NewTopic(TOPIC, 2, config={"max.message.bytes": "20000"})])[TOPIC].result(10)

    async def work(producer: BatchProducer) -> None:
        for partition in (0, 1):
            first = chunk(FIRST, partition=partition)
            async with asyncio.timeout(20):
                while not await is_appended(producer, first):
                    await asyncio.sleep(0.1)

    run(cluster, work)
    return TOPIC


async def is_appended(producer: BatchProducer, wanted: Chunk) -> bool:
    try:
        return not any(isinstance(told, KafkaError) for told in (await send(producer, wanted)).values())
    except KafkaError:
        return False  # a topic just made is not known everywhere at once


def chunk(*values: bytes, partition: int = 0) -> Chunk:
    return Chunk([Message(TOPIC, partition, b"key", value) for value in values])


def run(cluster: Cluster, work: Callable[[BatchProducer], Awaitable[None]]) -> None:
    options = aiokafka_options(cluster.settings.kafka, "tests") | {"request_timeout_ms": 8_000}

    async def start() -> None:
        producer = BatchProducer(lambda: AIOKafkaClient(**options), 10, lambda: time.time_ns() // 1000)
        try:
            await work(producer)
        finally:
            await producer.close()

    asyncio.run(start())


async def send(producer: BatchProducer, *chunks: Chunk) -> Found:
    heads = {(one.records[0].topic, one.records[0].partition): one for one in chunks}
    unready = await producer.prepare(heads)
    return unready | await producer.append({place: one for place, one in heads.items() if place not in unready})


def values(cluster: Cluster, partition: int = 0) -> list[bytes | None]:
    first, *found = [stored.value for stored in cluster.read(TOPIC) if stored.partition == partition]
    assert first == FIRST
    return found


def test_batches_are_appended_one_behind_the_other_with_their_offsets(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        assert await send(producer, chunk(b"a", b"b"), chunk(b"x", partition=1)) == {(topic, 0): 2, (topic, 1): 1}
        assert await send(producer, chunk(b"c")) == {(topic, 0): 3}

    run(cluster, work)
    assert (values(cluster), values(cluster, 1)) == ([b"a", b"b", b"c"], [b"x"])


def test_batch_whose_answer_was_lost_is_sent_again_and_is_there_once(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        first, again = chunk(b"a", b"b"), chunk(b"a", b"b")
        await producer.prepare({(topic, 0): first})
        again.data, again.identity = first.data, first.identity
        assert await producer.append({(topic, 0): first}) == {(topic, 0): 2}
        producer._identity.sequences[topic, 0] = 0  # type: ignore[union-attr]
        [told] = (await producer.append({(topic, 0): again})).values()
        assert told in (2, None)
        assert await send(producer, chunk(b"c")) == {(topic, 0): 3}

    run(cluster, work)
    assert values(cluster) == [b"a", b"b", b"c"]


def test_what_was_given_up_cannot_arrive_behind_what_came_next(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        await send(producer, chunk(b"a"))
        late = chunk(b"late")
        await producer.prepare({(topic, 0): late})
        late.is_sent = True  # and is on its way still
        producer.give_up([late])
        assert await send(producer, chunk(b"b")) == {(topic, 0): 2}
        [told] = (await producer.append({(topic, 0): late})).values()
        assert isinstance(told, InvalidProducerEpoch)

    run(cluster, work)
    assert values(cluster) == [b"a", b"b"]


def test_producer_that_is_out_of_step_begins_anew(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        await send(producer, chunk(b"a"))
        producer._identity.sequences[topic, 0] = 500  # type: ignore[union-attr]
        late = chunk(b"b")
        [told] = (await send(producer, late)).values()
        assert isinstance(told, OutOfOrderSequenceNumber)
        assert await send(producer, late) == {(topic, 0): 2}

    run(cluster, work)
    assert values(cluster) == [b"a", b"b"]


def test_what_is_too_large_and_what_has_no_topic_is_told(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        [told] = (await send(producer, chunk(random.Random(1).randbytes(30_000)))).values()
        assert isinstance(told, MessageSizeTooLargeError)
        for unknown in (Message("nowhere", 0, None, b"v"), Message(topic, 7, None, b"v")):
            [told] = (await send(producer, Chunk([unknown]))).values()
            assert isinstance(told, UnknownTopicOrPartitionError)
            assert f"there is no {unknown.topic}[{unknown.partition}]" in str(told)
        assert await send(producer, chunk(b"a")) == {(topic, 0): 1}

    run(cluster, work)
    assert values(cluster) == [b"a"]


def test_two_who_write_to_one_partition_take_turns(cluster: Cluster, topic: str) -> None:
    async def work(producer: BatchProducer) -> None:
        async def write(name: bytes) -> None:
            for number in range(50):
                async with producer.turn([(topic, 0), (topic, 1)]):
                    told = await send(producer, chunk(b"%s%d" % (name, number)), chunk(name, partition=1))
                assert not any(isinstance(one, KafkaError) for one in told.values())

        await asyncio.gather(write(b"a"), write(b"b"))

    run(cluster, work)
    found = values(cluster)
    assert len(found) == 100
    for name in (b"a", b"b"):
        assert [one for one in found if (one or b"").startswith(name)] == [b"%s%d" % (name, number) for number in range(50)]
