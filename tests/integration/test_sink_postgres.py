"""The sink worker as the process a user starts, on real Kafka, registry and PostgreSQL, against a model in plain Python."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from functools import partial

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from sinks.stores._postgres_tables import TABLES
from tests.builders import START, make_trade
from tests.cluster import Cluster, Service, wait_for
from tests.servers import throwaway_stack
from tests.sink_running import (
    OF_PORTFOLIOS,
    Sink,
    Snapshot,
    Start,
    assert_rows_are_those_of_the_offsets,
    assert_rows_equal_the_model,
    is_reading,
    metric,
    not_ready,
    publish,
    records,
)


@pytest.fixture
def sink(cluster: Cluster, start: Start, database: str) -> Sink:
    return Sink(cluster, start, database)


def test_everything_published_is_stored_once_and_poison_is_told_of(sink: Sink) -> None:
    cluster, database = sink.cluster, sink.database
    by_topic = records(seed=1, count=3000)
    publish(cluster, by_topic)
    worker = sink.start()
    wait_for(sink.is_level, "the topics to be stored", every=0.2)
    assert_rows_equal_the_model(sink)
    wait_for(lambda: not_ready(worker) == {}, "readiness")
    assert metric(worker, 'tapeline_rows_stored_total{store="postgres",table="trades"}') == len(database.rows("trades"))
    assert metric(worker, "tapeline_consumer_lag{") == 0

    before = {table: database.rows(table, "xmin") for table in TABLES}
    publish(cluster, by_topic)
    nul = make_trade(1)._replace(trade_id="a\x00b")
    poison = [b"", b"\x00", b"\x01" * 9, b"\x00\x7f\xff\xff\xff" + b"x" * 20, None]
    for value in poison:
        cluster.publish_bytes("md.trades", b"key", value, 1)
    cluster.publish("md.trades", [make_trade(1)._replace(price=-1), nul, make_trade(10**6, at=START + 7)])
    wait_for(sink.is_level, "the repetition to be stored", every=0.2)
    after = {table: database.rows(table, "xmin") for table in TABLES}
    assert [row for row in after["trades"] if row[1] != "1000000"] == before["trades"]
    assert "1000000" in {row[1] for row in after["trades"]}
    for table in TABLES:
        assert before[table] or table in OF_PORTFOLIOS, table
        assert table == "trades" or after[table] == before[table], table

    letters = [stored.record for stored in cluster.read("dlq")]
    reasons = Counter(letter.reason for letter in letters)
    assert reasons == {"undecodable": 4, "unknown_schema": 1, "not_positive": 1, "refused_by_store": 1}
    assert [letter.value for letter in letters if letter.source_partition == 1 and letter.key == b"key"] == poison
    [refused] = [letter for letter in letters if letter.reason == "refused_by_store"]
    assert cluster.codec.decode(refused.value) == nul
    assert "22021" in refused.error
    assert (refused.source, refused.stage) == ("md.trades", "sinks")
    assert worker.terminate() == 0

    database.query("UPDATE sink_offsets SET next_offset = 0 RETURNING true")
    again = sink.start()
    wait_for(sink.is_level, "everything to be read from the beginning", every=0.2)
    assert {table: database.rows(table, "xmin") for table in TABLES} == after
    assert again.terminate() == 0


def test_killed_at_random_moments_nothing_is_lost_or_doubled(sink: Sink) -> None:
    cluster = sink.cluster
    publish(cluster, records(seed=2, count=8_000))
    chance = random.Random(2)
    found: list[Snapshot] = []
    while len(found) < 5 or (len({one.passed for one in found}) < 3 and len(found) < 20):
        worker = sink.start(batch_rows=50)
        wait_for(partial(is_reading, worker), "the sink to read", every=0.01)
        time.sleep(chance.uniform(0.0, 0.35) * (1 + len(found) // 5))  # longer on a machine too busy to store in that time
        worker.kill()
        found.append(sink.database.snapshot())
    assert len({one.passed for one in found}) > 2  # killed at work, not before or after
    assert_rows_are_those_of_the_offsets(cluster, found)
    sink.start()
    wait_for(sink.is_level, "the rest to be stored", every=0.2)
    assert_rows_equal_the_model(sink)


def test_second_sink_leaves_with_the_reason(sink: Sink) -> None:
    cluster = sink.cluster
    workers = [sink.start(batch_seconds=0.2), sink.start(batch_seconds=0.2)]
    for worker in workers:
        wait_for(partial(is_reading, worker), "both to read")
    trades = iter(records(seed=3, count=5000)["md.trades"])
    left: list[Service] = []
    while not left:
        cluster.publish("md.trades", [next(trades) for _ in range(20)])
        time.sleep(0.05)
        left = [worker for worker in workers if worker.process.poll() is not None]
    [loser] = left
    assert loser.process.returncode == 1
    assert "another worker stores under this sink's name" in loser.text()
    wait_for(sink.is_level, "the other one to go on", every=0.2)
    assert_rows_equal_the_model(sink)


def test_workers_of_a_group_share_the_partitions_and_take_over_from_one_that_leaves(sink: Sink) -> None:
    cluster = sink.cluster
    by_topic = records(seed=7, count=1500)
    publish(cluster, {topic: each[: len(each) // 2] for topic, each in by_topic.items()})
    first = sink.start(group_id="shared", batch_rows=50)
    wait_for(partial(is_reading, first), "the first to read", every=0.01)
    second = sink.start(group_id="shared", batch_rows=50)
    wait_for(partial(is_reading, second), "the second to read")
    wait_for(sink.is_level, "both to store", every=0.2)
    publish(cluster, {topic: each[len(each) // 2 :] for topic, each in by_topic.items()})
    assert first.terminate() == 0
    wait_for(sink.is_level, "the second to go on alone", every=0.2)
    assert_rows_equal_the_model(sink)
    assert second.process.poll() is None
    assert second.terminate() == 0


def test_database_that_is_gone_for_a_while_is_waited_for(cluster: Cluster, start: Start) -> None:
    with throwaway_stack(["postgres"]) as stack:
        sink = Sink(cluster, start, stack.addresses.postgres)
        by_topic = records(seed=4, count=2000)
        publish(cluster, {topic: each[: len(each) // 2] for topic, each in by_topic.items()})
        worker = sink.start(batch_rows=100)
        wait_for(sink.is_level, "the first half to be stored", every=0.2)
        stack.kill("postgres")
        publish(cluster, {topic: each[len(each) // 2 :] for topic, each in by_topic.items()})
        wait_for(lambda: "store" in not_ready(worker), "the sink to say that it is not ready")
        assert "PostgreSQL at 127.0.0.1" in not_ready(worker)["store"]
        stack.start("postgres")
        wait_for(sink.is_level, "the second half to be stored", every=0.2)
        wait_for(lambda: not_ready(worker) == {}, "readiness")
        assert_rows_equal_the_model(sink)
        stack.pause("postgres")
        cluster.publish("md.trades", [make_trade(10**6)])
        time.sleep(1)  # in the middle of a batch that gets no answer
        began = time.monotonic()
        worker.process.terminate()
        assert worker.process.wait(15) == 0
        assert time.monotonic() - began < 15
        stack.resume("postgres")


def test_lost_records_stop_the_sink_until_someone_decides(sink: Sink, start: Start) -> None:
    cluster = sink.cluster
    publish(cluster, {"md.trades": records(seed=5, count=400)["md.trades"]})
    first = sink.start()
    wait_for(sink.is_level, "the topics to be stored", every=0.2)
    assert first.terminate() == 0
    publish(cluster, {"md.trades": records(seed=6, count=400)["md.trades"]})
    [(_, end)] = [(key, end) for key, end in sink.ends().items() if key == ("md.trades", 0)]
    stored = sink.database.offsets()["md.trades", 0]
    admin: AdminClient = cluster.admin
    for answer in admin.delete_records([TopicPartition("md.trades", 0, end - 5)]).values():
        answer.result(10)

    worker = sink.start()
    assert worker.process.wait(20) == 1
    told = json.loads(worker.text().splitlines()[-1])["event"]
    assert f"md.trades[0]: the store holds everything before offset {stored}, the topic has {end - 5} to {end}" in told
    command = re.findall(r"`tapeline (sink seek md\.trades 0 \d+)`", told)[0]
    repair = start(*command.split(), "-c", sink.config())
    assert repair.process.wait(20) == 0
    assert f"md.trades[0] goes on at offset {end - 5}; it was {stored}" in repair.text()
    assert sink.database.offsets()["md.trades", 0] == end - 5
