"""Reads through views are plain aiokafka's reads, from a real broker."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from processors.batch import RawRecord
from processors.transport import views
from processors.transport.views import PlainBatch, RecordBatchView
from tests.servers import Addresses

ISOLATION = ["read_uncommitted", "read_committed"]
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
COMPACTED = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}


class Log:
    """A topic of one partition, and who writes to it."""

    def __init__(self, servers: Addresses, codec: str = "lz4", **config: str) -> None:
        self.kafka = servers.kafka
        self.topic = f"views-{uuid.uuid4().hex}"
        self.tp = TopicPartition(self.topic, 0)
        self.codec = codec
        self._random = random.Random(self.codec)
        admin = AdminClient({"bootstrap.servers": self.kafka})
        for created in admin.create_topics([NewTopic(self.topic, 1, 1, config=config)]).values():
            created.result(10)

    def producer(self, **options: Any) -> Producer:
        settings = {"bootstrap.servers": self.kafka, "compression.type": self.codec, "linger.ms": 100}
        return Producer({**settings, "enable.idempotence": True, **options})

    def transactional(self) -> Producer:
        producer = self.producer(**{"transactional.id": self.topic})
        producer.init_transactions(20)
        return producer

    def write(self, producer: Producer, keys: list[str] | int) -> None:
        """One batch, of records of every kind."""
        for number, key in enumerate(keys if isinstance(keys, list) else [None, "", *map(str, range(keys - 2))]):
            value = None if number % 7 == 3 else self._random.randbytes(20) + bytes(number * 4)
            headers: list[tuple[str, str | bytes | None]] = [("source", b"test"), ("none", None)] if number % 5 == 1 else []
            producer.produce(self.topic, value, key, partition=0, headers=headers)
        assert producer.flush(20) == 0


@pytest.fixture(scope="module", autouse=True)
def compacted(servers: Addresses) -> Log:
    """Records the broker thins out while the other tests run: within a batch, at the end of one, and a whole one."""
    log = Log(servers, **COMPACTED)
    first, second, third = log.producer(), log.producer(), log.producer()
    log.write(first, [f"a{number}" for number in range(10)])
    log.write(third, [f"b{number}" for number in range(5)])
    log.write(second, ["a1", "a2", "a9", *(f"b{number}" for number in range(5))])
    for _ in range(2):  # the newest segment stays as it is
        time.sleep(0.2)
        log.write(second, ["end"])
    return log


@pytest.fixture(scope="module", params=["none", "gzip", "snappy", "lz4", "zstd", "append time"])
def log(request: pytest.FixtureRequest, servers: Addresses) -> Log:
    """Batches with transactions among them, the last ending with the mark of a commit."""
    config = APPEND_TIME if request.param == "append time" else {}
    log = Log(servers, "lz4" if config else request.param, **config)
    plain, transactional = log.producer(), log.transactional()
    for number in range(6):
        log.write(plain, 40)
        transactional.begin_transaction()
        log.write(transactional, 30)
        log.write(plain, 5)
        log.write(transactional, 10)
        if number in (1, 2, 4):
            transactional.abort_transaction(20)
        else:
            transactional.commit_transaction(20)
    return log


@pytest.fixture(autouse=True)
def _uninstalled() -> Iterator[None]:
    yield
    views.uninstall()


@asynccontextmanager
async def consuming(*logs: Log, isolation: str = ISOLATION[0], fetch: int = 1 << 20) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=logs[0].kafka,
        isolation_level=isolation,
        max_partition_fetch_bytes=fetch,
        fetch_max_wait_ms=50,
        enable_auto_commit=False,
    )
    consumer.assign([log.tp for log in logs])
    async with asyncio.timeout(30), consumer:
        yield consumer


async def polls(consumer: AIOKafkaConsumer, log: Log, begin: int = 0, max_records: int | None = None) -> list[list[Any]]:
    """What each poll gives from an offset on to the end."""
    consumer.seek(log.tp, begin)
    found = []
    end = (await consumer.end_offsets([log.tp]))[log.tp]
    while await consumer.position(log.tp) < end:
        polled = await consumer.getmany(log.tp, timeout_ms=200, max_records=max_records)
        found += polled.values()
    return found


async def plain_records(consumer: AIOKafkaConsumer, log: Log, begin: int = 0) -> list[RawRecord]:
    return [
        RawRecord(one.offset, one.timestamp, one.key, one.value) for poll in await polls(consumer, log, begin) for one in poll
    ]


@pytest.mark.parametrize("fetch", [1 << 20, 4_000])
@pytest.mark.parametrize("isolation", ISOLATION)
def test_views_hold_what_aiokafkas_records_hold_from_any_offset_on(log: Log, isolation: str, fetch: int) -> None:
    async def read_both() -> None:
        async with consuming(log, isolation=isolation, fetch=fetch) as consumer:
            end = (await consumer.end_offsets([log.tp]))[log.tp]
            begins = range(0, end, 41)
            expected = {begin: await plain_records(consumer, log, begin) for begin in begins}
            assert views.install({log.topic})
            for begin in begins:
                batches = [one for poll in await polls(consumer, log, begin) for one in poll]
                assert [record for one in batches for record in one] == expected[begin]
                assert all(isinstance(one, RecordBatchView) for one in batches if one.count)
                assert [one.start for one in batches] == [begin, *(one.next_offset for one in batches[:-1])]
                assert batches[-1].next_offset == end

    asyncio.run(read_both())


@pytest.mark.parametrize("isolation", ISOLATION)
def test_a_poll_is_limited_in_batches(log: Log, isolation: str) -> None:
    async def read_both() -> None:
        async with consuming(log, isolation=isolation) as consumer:
            expected = await plain_records(consumer, log)
            assert views.install({log.topic})
            polled = await polls(consumer, log, max_records=2)
            assert {len(poll) for poll in polled[:-1]} == {2}
            assert [record for poll in polled for one in poll for record in one] == expected
            consumer.seek(log.tp, 3)
            assert [record.offset for record in await consumer.getone()] == list(range(3, 40))
            assert await consumer.position(log.tp) == 40

    asyncio.run(read_both())


def test_topics_that_were_not_asked_for_keep_their_records(servers: Addresses) -> None:
    viewed, other = Log(servers), Log(servers)
    for log in (viewed, other):
        log.write(log.producer(), 10)

    async def read_both() -> None:
        assert views.install({viewed.topic})
        async with consuming(viewed, other) as consumer:
            ((batch,),) = await polls(consumer, viewed)
            ((*records,),) = await polls(consumer, other)
        assert isinstance(batch, RecordBatchView)
        assert {type(record) for record in records} == {ConsumerRecord}
        assert (len(list(batch)), len(records)) == (10, 10)

    asyncio.run(read_both())


@pytest.mark.parametrize("isolation", ISOLATION)
def test_the_mark_of_a_commit_that_comes_alone_is_an_empty_batch(servers: Addresses, isolation: str) -> None:
    log = Log(servers)
    transactional = log.transactional()
    transactional.begin_transaction()
    log.write(transactional, 10)

    async def read_twice() -> list[Any]:
        assert views.install({log.topic})
        async with consuming(log, isolation=isolation) as consumer:
            found = await consumer.getmany(log.tp, timeout_ms=500)
            await asyncio.to_thread(transactional.commit_transaction, 20)
            return [one for poll in (*found.values(), *await polls(consumer, log, 10 if found else 0)) for one in poll]

    batch, mark = asyncio.run(read_twice())
    assert (batch.start, batch.next_offset, batch.count) == (0, 10, 10)
    assert isinstance(mark, PlainBatch)
    assert (mark.start, mark.next_offset, list(mark)) == (10, 11, [])


def test_a_paused_partition_gives_nothing_and_goes_on_where_it_was(servers: Addresses) -> None:
    log = Log(servers)
    producer = log.producer()
    log.write(producer, 10)
    log.write(producer, 10)

    async def read() -> None:
        assert views.install({log.topic})
        async with consuming(log) as consumer:
            consumer.seek(log.tp, 0)
            assert (await consumer.getone()).next_offset == 10
            consumer.pause(log.tp)
            assert not await consumer.getmany(log.tp, timeout_ms=200)
            consumer.resume(log.tp)
            assert (await consumer.getone()).start == 10

    asyncio.run(read())


def test_a_compacted_topic_is_read_without_holes(compacted: Log) -> None:
    async def read_both() -> None:
        async with consuming(compacted) as consumer:
            while len(expected := await plain_records(consumer, compacted)) > 17:
                await asyncio.sleep(0.2)
            end = (await consumer.end_offsets([compacted.tp]))[compacted.tp]
            assert views.install({compacted.topic})
            for begin in range(end):
                batches = [one for poll in await polls(consumer, compacted, begin) for one in poll]
                assert [record for one in batches for record in one] == [one for one in expected if one.offset >= begin]
                assert [one.start for one in batches] == [begin, *(one.next_offset for one in batches[:-1])]
                assert batches[-1].next_offset == end
                assert begin or [one.count for one in batches] == [7, 8, 1, 1]

    asyncio.run(read_both())
