"""A worker on the real broker: the same results whatever kills it."""

import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Consumer, TopicPartition

from market.candle import CandleEventKind
from tapeline.commands.topics import apply_topics
from tapeline.demo.services import free_port
from tapeline.embedded import EmbeddedStack
from tests.builders import START, make_trade
from tests.cluster import Cluster, Service, wait_for
from tests.processing import FAST, GROUP, INSTRUMENTS, Start, check_against_model, everything_committed, stream


def is_done(cluster: Cluster, *workers: Service) -> bool:
    """Whether all is committed. A worker that its watchdog ended is started again, as whoever runs it would."""
    for worker in workers:
        if worker.process.poll() is not None:
            assert "has not moved: ending to be restarted" in worker.text(), worker.text()[-3000:]
            worker.start()
    return everything_committed(cluster)


def test_worker_makes_what_the_model_makes_and_stops_in_time(cluster: Cluster, start: Start) -> None:
    records = stream(1, 3_000)
    worker = start("process", "-c", cluster.config(processors=FAST))
    cluster.publish("md.trades", records)
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)
    assert worker.terminate() == 0
    check_against_model(cluster, records)
    assert any(one.record.kind is CandleEventKind.CORRECTION for one in cluster.read("md.candles"))
    assert cluster.read("dlq") == []


@pytest.mark.parametrize("store", ["memory", "rocksdict"])
def test_worker_killed_again_and_again_loses_and_doubles_nothing(cluster: Cluster, start: Start, store: str) -> None:
    records = stream(2, 6_000)
    worker = start("process", "-c", cluster.config(processors={**FAST, "store": store}))
    for begin in range(0, len(records), 1_000):
        cluster.publish("md.trades", records[begin : begin + 1_000])
        seen = len(cluster.read("md.candles"))
        wait_for(lambda seen=seen: len(cluster.read("md.candles")) > seen, "the worker to be at work")  # type: ignore[misc]
        worker.kill()
        worker.start()
    wait_for(lambda: is_done(cluster, worker), "all offsets to be committed", timeout=100, every=0.5)
    worker.kill()
    assert "BatchMissing" not in worker.text()
    check_against_model(cluster, records)


def test_poison_goes_to_the_dead_letters_and_its_neighbours_are_processed(cluster: Cluster, start: Start) -> None:
    start("process", "-c", cluster.config(processors=FAST))
    instrument = INSTRUMENTS[0]
    records = [make_trade(number, at=START + number, instrument=instrument) for number in range(1, 20)]
    cluster.publish("md.trades", records[:10])
    partition = cluster.read("md.trades")[0].partition
    poison = [None, b"", b"\x00", b"\x01rubbish", b"\x00\x00\x00\xff\xffrest", b"\x00" * 1_000, b"x" * 900_000]
    for value in poison:
        cluster.publish_bytes("md.trades", b"key", value, partition)
    wrong_key = cluster.codec.encode("md.trades", records[0])
    cluster.publish_bytes("md.trades", b"another key", wrong_key, partition)
    cluster.publish("md.trades", records[10:])
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)

    letters = sorted((stored.record for stored in cluster.read("dlq")), key=lambda letter: letter.source_offset)
    assert [letter.value for letter in letters] == [*poison, wrong_key]
    assert {letter.source_partition for letter in letters} == {partition}
    assert [letter.source_offset for letter in letters] == list(range(10, 10 + len(letters)))
    assert letters[-1].reason == "wrong_key"
    assert all(letter.error and letter.stage == "processors" for letter in letters)
    assert max(one.record.trade_count for one in cluster.read("md.candles")) == len(records)


def expire_unread(cluster: Cluster, worker: Service) -> int:
    """Have a worker process ten trades and miss the next ten, five of which expire; their partition."""
    records = [make_trade(number, at=START + number, instrument=INSTRUMENTS[0]) for number in range(1, 21)]
    cluster.publish("md.trades", records[:10])
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)
    assert worker.terminate() == 0
    cluster.publish("md.trades", records[10:])
    first_left = TopicPartition("md.trades", cluster.read("md.trades")[0].partition, 15)
    cluster.admin.delete_records([first_left])[first_left].result(10)
    return first_left.partition


def test_worker_whose_records_expired_unread_says_so_and_ends(cluster: Cluster, start: Start) -> None:
    worker = start("process", "-c", cluster.config(processors=FAST))
    partition = expire_unread(cluster, worker)
    worker.start()
    assert worker.process.wait(60) == 1
    assert f"md.trades[{partition}]: everything before offset 10 is processed, the topic has 15 to 20" in worker.text()
    assert cluster.committed(GROUP, "md.trades") == {partition: 10}


def test_worker_told_to_continue_goes_on_behind_expired_records(cluster: Cluster, start: Start) -> None:
    settings = {**FAST, "worker": {**FAST["worker"], "on_expired": "continue"}}
    worker = start("process", "-c", cluster.config(processors=settings))
    expire_unread(cluster, worker)
    worker.start()
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", timeout=60, every=0.5)
    assert worker.terminate() == 0
    assert "records expired unread" in worker.text()
    assert max(one.record.trade_count for one in cluster.read("md.candles")) == 15


@pytest.mark.parametrize("on_expired", ["fail", "continue"])
def test_worker_whose_topic_ends_before_its_offset_says_so_and_ends(cluster: Cluster, start: Start, on_expired: str) -> None:
    cluster.publish("md.trades", [make_trade(number, at=START + number) for number in range(1, 8)])
    ((partition, _),) = cluster.ends("md.trades").items()
    consumer = Consumer({"bootstrap.servers": cluster.servers.kafka, "group.id": GROUP})
    consumer.commit(offsets=[TopicPartition("md.trades", partition, 100)], asynchronous=False)
    consumer.close()
    settings = {**FAST, "worker": {**FAST["worker"], "on_expired": on_expired}}
    worker = start("process", "-c", cluster.config(processors=settings))
    assert worker.process.wait(60) == 1
    assert f"md.trades[{partition}]: everything before offset 100 is processed, the topic has 0 to 7" in worker.text()
    assert cluster.read("md.candles") == []


def test_replay_of_the_same_trades_changes_no_candle_and_no_price(cluster: Cluster, start: Start) -> None:
    records = stream(5, 1_000)
    start("process", "-c", cluster.config(processors=FAST))
    cluster.publish("md.trades", records)
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)
    before = [len(cluster.read(topic)) for topic in ("md.candles", "md.price-changes", f"{GROUP}-candles-changelog")]
    cluster.publish("md.trades", records)
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)
    after = [len(cluster.read(topic)) for topic in ("md.candles", "md.price-changes", f"{GROUP}-candles-changelog")]
    assert after == before


def test_two_workers_share_the_partitions_and_one_takes_over(cluster: Cluster, start: Start) -> None:
    records = stream(6, 4_000)
    first = start("process", "-c", cluster.config("first.yaml", processors={**FAST, "state_dir": str(cluster.folder / "one")}))
    cluster.publish("md.trades", records[:1_500])
    wait_for(lambda: len(cluster.read("md.candles")) > 0, "the first worker to be at work")
    start("process", "-c", cluster.config("second.yaml", processors={**FAST, "state_dir": str(cluster.folder / "two")}))
    cluster.publish("md.trades", records[1_500:3_000])
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", timeout=60, every=0.5)
    first.kill()
    cluster.publish("md.trades", records[3_000:])
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", timeout=60, every=0.5)
    check_against_model(cluster, records)


def test_broker_lost_for_a_while_is_waited_for(own_cluster: Cluster, stack: EmbeddedStack, start: Start) -> None:
    records, port = stream(7, 4_000), free_port()
    worker = start("process", "-c", own_cluster.config(), "--set", f"observability.metrics_port={port}")
    own_cluster.publish("md.trades", records[:1_000])
    wait_for(lambda: everything_committed(own_cluster), "the first records to be committed", every=0.5)
    own_cluster.publish("md.trades", records[1_000:2_000])
    stack.kill("kafka")
    wait_for(lambda: readiness(port) == 503, "the worker to say that it cannot work")
    time.sleep(20)
    assert worker.process.poll() is None, worker.text()[-3_000:]
    stack.start("kafka")
    own_cluster.publish("md.trades", records[2_000:])
    wait_for(lambda: everything_committed(own_cluster), "all offsets to be committed", timeout=100, every=0.5)
    wait_for(lambda: readiness(port) == 200, "the worker to say that it can work")
    assert worker.terminate() == 0
    check_against_model(own_cluster, records)


def readiness(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_topic_made_anew_under_the_same_tables_ends_the_worker(cluster: Cluster, start: Start) -> None:
    worker = start("process", "-c", cluster.config(processors=FAST))
    instrument = INSTRUMENTS[0]
    cluster.publish("md.trades", [make_trade(number, at=START + number, instrument=instrument) for number in range(1, 99)])
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)
    assert worker.terminate() == 0
    cluster.admin.delete_topics(["md.trades"], operation_timeout=10)["md.trades"].result(10)
    wait_for(lambda: "md.trades" not in cluster.admin.list_topics(timeout=10).topics, "the topic to be gone")
    apply_topics(cluster.settings)
    cluster.publish("md.trades", [make_trade(200, at=START + 200, instrument=instrument)])
    worker.start()
    assert worker.process.wait(60) == 1
    assert "the tables hold offset 97, the topic ends at 1: it lost its end, or was deleted and created again" in worker.text()


def test_worker_without_its_topics_says_so_and_ends(cluster: Cluster, start: Start) -> None:
    cluster.admin.delete_topics(["md.candles"], operation_timeout=10)["md.candles"].result(10)
    worker = start("process", "-c", cluster.config())
    assert worker.process.wait(20) == 1
    assert "topic md.candles does not exist: run `tapeline topics apply`" in worker.text()


def test_worker_of_another_partition_count_names_both_numbers(cluster: Cluster, start: Start) -> None:
    worker = start("process", "-c", cluster.config(topics={"partitions": 8}))
    assert worker.process.wait(20) == 1
    assert "md.trades has 4 partitions, 8 are configured" in worker.text()


def test_worker_without_a_broker_names_the_address_and_ends_within_ten_seconds(cluster: Cluster, start: Start) -> None:
    worker = start("process", "-c", cluster.config(kafka={"bootstrap": "127.0.0.1:1"}))
    assert worker.process.wait(12) == 3
    assert "Kafka broker at 127.0.0.1:1 is not reachable" in worker.text()
