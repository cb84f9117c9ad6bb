"""Topics that lost records, were made anew, or have another shape than the worker was told."""

from __future__ import annotations

import re

from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic  # type: ignore[attr-defined]  # not in its __all__

from processors.configured import state_topics
from tapeline.commands.topics import apply_topics
from tests.cluster import wait_for
from tests.faults import verdict
from tests.faults.rig import CANDLES, TRADES, Rig, Worker
from tests.faults.trading import Shape

REFUSED_WITHIN = 30.0


def ended(worker: Worker, mark: int = 0) -> str:
    """What a worker said that ended by itself, and not in good order."""
    assert worker.process.wait(REFUSED_WITHIN) not in (0, None)
    last = worker.text_since(mark).splitlines()[-1]  # the line for the operator; what ends before it may say more
    assert "Traceback" not in last, last
    return last


def test_records_that_expired_unread_end_the_worker_and_are_passed_over_only_when_told(rig: Rig) -> None:
    story = rig.story()
    third = len(story.records) // 3
    worker = rig.worker()
    rig.publish(story.records[:third])
    rig.wait_done(worker)
    assert worker.terminate() == 0
    rig.publish(story.records[third : 2 * third])
    ends = rig.cluster.ends(TRADES)
    before, committed = rig.read(TRADES), rig.committed()
    gone = [TopicPartition(TRADES, number, end - 1 - rig.seed) for number, end in ends.items() if end - committed[number] > 9]
    for answer in rig.cluster.admin.delete_records(gone).values():
        answer.result(10)

    mark = len(worker.log.read_bytes())
    worker.start()
    said = ended(worker, mark)
    assert any(f"{TRADES}[{one.partition}]: everything before offset {committed[one.partition]}" in said for one in gone), said
    assert rig.committed() == committed

    rig.publish(story.records[2 * third :])
    told = rig.worker("told", processors={"worker": {"on_expired": "continue"}})
    rig.wait_done(told)
    assert told.metric("tapeline_errors_total", kind="expired_unread") == len(gone)
    begins = {one.partition: one.offset for one in gone}
    kept = [one for one in before if one.offset < committed[one.partition] or one.offset >= begins.get(one.partition, 0)]
    seen = {(one.partition, one.offset): one for one in [*kept, *rig.read(TRADES)]}
    stream = [one for _, one in sorted(seen.items())]
    wanted = verdict.expected(stream, story.instruments)
    verdict.check_candles(wanted, rig.read(CANDLES))


def test_changelog_that_is_gone_or_made_anew_under_kept_tables_is_refused(rig: Rig) -> None:
    is_made_anew = rig.seed != 3
    story = rig.story(Shape(trades=600))
    worker = rig.worker(processors={"store": "rocksdict"})
    rig.publish(story.records)
    rig.wait_done(worker)
    assert worker.terminate() == 0
    before = [len(rig.read(topic)) for topic in (CANDLES, "dlq")]
    settings = rig.settings()
    topics = [topic.name for topic in state_topics(settings)]
    lost = topics[rig.seed % len(topics)]
    rig.cluster.admin.delete_topics([lost], operation_timeout=10)[lost].result(10)
    wait_for(lambda: lost not in rig.cluster.admin.list_topics(timeout=10).topics, "the changelog to be gone")
    if is_made_anew:
        apply_topics(settings)
    mark = len(worker.log.read_bytes())
    worker.start()
    said = ended(worker, mark)
    assert lost in said, said
    assert "tapeline topics apply" in said, said
    if is_made_anew:
        assert str(rig.folder / "state-worker") in said, f"it does not say which folder holds the tables: {said}"
    assert [len(rig.read(topic)) for topic in (CANDLES, "dlq")] == before


def test_changelog_of_another_partition_count_is_refused_with_both_numbers(rig: Rig) -> None:
    topics = [topic.name for topic in state_topics(rig.settings())]
    wrong, count = topics[rig.seed % len(topics)], rig.seed
    rig.cluster.admin.delete_topics([wrong], operation_timeout=10)[wrong].result(10)
    wait_for(lambda: wrong not in rig.cluster.admin.list_topics(timeout=10).topics, "the changelog to be gone")
    rig.cluster.admin.create_topics([NewTopic(wrong, num_partitions=count)])[wrong].result(10)
    worker = rig.worker()
    assert re.search(rf"{wrong} has {count} partitions, 4 are configured", ended(worker))


def test_trade_stream_grown_from_four_to_eight_partitions_is_refused_with_both_numbers(spoiling_rig: Rig) -> None:
    rig = spoiling_rig
    worker = rig.worker(processors={"store": "rocksdict"})
    rig.publish(rig.story(Shape(trades=100)).records)
    rig.wait_done(worker)
    assert worker.terminate() == 0
    rig.cluster.admin.create_partitions([NewPartitions(TRADES, 8)])[TRADES].result(10)
    mark = len(worker.log.read_bytes())
    worker.start()
    assert f"{TRADES} has 8 partitions, 4 are configured" in ended(worker, mark)
