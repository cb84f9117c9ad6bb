"""Streams that are no fault of the servers': other producers, repetitions, late trades, and silence."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from confluent_kafka.schema_registry.error import SchemaRegistryError

from market.trade import Trade, TradeStreamRecord
from schemas.partitioning import partition_of
from schemas.records import schema_text
from tests.builders import START
from tests.faults.rig import TRADES, Rig, Worker
from tests.faults.silence import closes, each_once, up_to_the_boundary
from tests.faults.trading import SECOND, Shape, closing
from tests.faults.writers import publish_with, register, register_text


def test_producers_of_other_libraries_keep_each_instrument_in_one_partition_and_in_order(feeding: Rig) -> None:
    rig, chance = feeding, random.Random(feeding.seed)
    story = rig.story(Shape(instruments=24, trades=600))
    encode, servers = rig.cluster.codec.encode, rig.cluster.servers.kafka
    other = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random", "enable.idempotence": True})

    async def publish() -> None:
        aio = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
        await aio.start()
        try:
            for record in story.records:
                key, value, way = record.instrument.encode(), encode(TRADES, record), chance.randrange(3)
                if way == 0:
                    await aio.send_and_wait(TRADES, value, key)
                elif way == 1:
                    other.produce(TRADES, value, key)
                    assert other.flush(30) == 0
                else:
                    rig.publish([record])
        finally:
            await aio.stop()

    asyncio.run(publish())
    stream = [one for one in rig.read(TRADES) if one.record and one.record.instrument in story.instruments]
    for instrument in story.instruments:
        mine = [one for one in stream if one.record.instrument == instrument]
        assert {one.partition for one in mine} == {partition_of(instrument, 4)}
        assert [one.record for one in mine] == [record for record in story.records if record.instrument == instrument]
    rig.wait_done(*rig.workers)
    rig.judge(story)


@pytest.mark.short
def test_repeated_reordered_and_late_trades_come_to_the_model_and_are_counted(feeding: Rig) -> None:
    rig, (worker,) = feeding, feeding.workers
    story = rig.story(Shape(trades=3_000, duplicates=0.2, late=0.05, too_late=0.02, disorder_seconds=1.9))
    before = counters(worker)
    rig.publish(across_partitions(rig, story.records))
    rig.wait_done(worker)
    wanted = rig.judge(story)
    found = {name: count - before[name] for name, count in counters(worker).items()}
    assert found == {"duplicates": story.duplicates, "too_late": story.too_late}
    outcomes = sum((one.outcomes for one in wanted.values()), Counter[str]())
    assert (outcomes["duplicate"], outcomes["too_late"]) == (story.duplicates, story.too_late)
    assert min(found.values()) > 0


def counters(worker: Worker) -> dict[str, float]:
    return {
        "duplicates": worker.metric("tapeline_duplicates_total", topic=TRADES),
        "too_late": worker.metric("tapeline_dead_letters_total", topic=TRADES, reason="too_late"),
    }


def across_partitions(rig: Rig, records: list[TradeStreamRecord]) -> list[TradeStreamRecord]:
    """The same records with the instruments interleaved otherwise: each keeps its own order."""
    chance, queues = random.Random(rig.seed), dict[str, list[TradeStreamRecord]]()
    for record in records:
        queues.setdefault(record.instrument, []).append(record)
    found: list[TradeStreamRecord] = []
    while queues:
        instrument = chance.choice(sorted(queues))
        many = chance.randint(1, 200)
        found += queues[instrument][:many]
        del queues[instrument][:many]
        if not queues[instrument]:
            del queues[instrument]
    return found


def test_instruments_that_go_silent_at_a_boundary_close_their_candles_once(feeding: Rig) -> None:
    rig, story = feeding, feeding.story(Shape(instruments=2, trades=200))
    idle = up_to_the_boundary(rig)
    rig.wait_done(*rig.workers)
    assert not closes(rig, idle), "closed although no time has passed in the stream"
    marks = [mark for second in range(125) for mark in closing(idle, START + second * SECOND)]
    rig.publish([*story.records, *marks])
    rig.wait_done(*rig.workers)
    rig.judge(story, instruments=idle)
    assert closes(rig, idle) == each_once(idle)


def test_incompatible_schema_is_refused_and_writers_old_and_new_are_read_alike(feeding: Rig) -> None:
    rig, chance = feeding, random.Random(feeding.seed)
    changed = json.loads(schema_text(Trade))
    broken = chance.choice(["price", "size", "instrument", "received_at"])
    next(one for one in changed["fields"] if one["name"] == broken)["type"] = "boolean"
    with pytest.raises(SchemaRegistryError) as refused:
        register_text(rig, json.dumps(changed))
    assert refused.value.http_status_code == 409
    story = rig.story(Shape(trades=600))
    number = register(rig, f"added_{rig.name.lower()}")
    for begin in range(0, len(story.records), 20):
        part = story.records[begin : begin + 20]
        if chance.random() < 0.5:
            publish_with(rig, number, part)
        else:
            rig.publish(part)
    rig.wait_done(*rig.workers)
    rig.judge(story)
