"""Holes before the records that come: whose they are, and what follows."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError, KafkaTimeoutError
from faust.types import TP

from processors.expiry import Extent, OnExpired, RecordsLost, check_hole
from processors.transport.consumer import BatchConsumer
from runtime.metrics import REGISTRY

PLACE = TP("md.trades", 0)


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset, timestamp=0, timestamp_type=1, key=b"", value=b"")


class Consumer(BatchConsumer):
    """The consumer's own code over a log in memory, from which the next poll gives what there is."""

    def __init__(self, log: range, *, read: int | None, on_expired: OnExpired = "fail") -> None:
        self.transport = SimpleNamespace(
            readers={PLACE.topic: 1}, has_views=False, on_expired=on_expired, healing=(), on_lost=self._note_lost
        )
        self.app = SimpleNamespace(rebalancing=False, rebalancing_count=1, consumer_generation_id=7)
        self.log_of_topic, self.flow_active, self.suspend_flow = log, True, asyncio.Event()
        self._read_offset: dict[TP, int | None] = {PLACE: read}
        self._delivered: dict[TP, tuple[int, int]] = {}
        self._asked_again: dict[TP, tuple[int, int]] = {}
        self._buffered_partitions: set[TP] = set()
        self.got: list[tuple[int, int]] = []
        self.sought: list[int] = []
        self.lost: list[RecordsLost] = []
        self.unanswered = 0
        self.is_revoked = False

    def _note_lost(self, lost: RecordsLost) -> None:
        self.lost.append(lost)

    @property
    def should_stop(self) -> bool:
        return False

    async def callback(self, message: Any) -> None:
        self.got.append((message.value.first_offset, message.value.last_offset))

    async def wait_first(self, first: Any, second: Any) -> None:
        await first
        second.close()

    async def seek_wait(self, partitions: dict[TP, int]) -> None:
        if self.is_revoked:
            raise IllegalStateError("not assigned")
        self.sought += partitions.values()

    async def perform_seek(self) -> None:
        raise AssertionError("recovery seeks at the end of each rebalance")

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        if self.unanswered:
            self.unanswered -= 1
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, self.log_of_topic.start)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, self.log_of_topic.stop)

    def highwater(self, tp: TP) -> int:
        return self.log_of_topic.stop

    def polls(self, *found: range) -> Consumer:
        async def deliver() -> None:
            for offsets in found:
                await self._deliver(1, {PLACE: [record(offset) for offset in offsets]}, None)

        asyncio.run(deliver())
        return self


def counted() -> float:
    return REGISTRY.get_sample_value("tapeline_errors_total", {"kind": "expired_unread"}) or 0.0


def test_records_that_expired_unread_end_the_worker_with_the_offsets_and_a_way_on() -> None:
    consumer = Consumer(range(500, 505), read=100).polls(range(500, 505), range(500, 505))
    (lost,) = consumer.lost
    assert "md.trades[0]: everything before offset 100 is processed, the topic has 500 to 505" in str(lost)
    assert "processors.worker.on_expired" in str(lost)
    assert (consumer.got, consumer.sought, lost.exit_code) == ([], [100], 1)


def test_worker_told_to_continue_goes_on_with_the_oldest_record_and_counts() -> None:
    before = counted()
    consumer = Consumer(range(500, 505), read=100, on_expired="continue").polls(range(500, 505), range(500, 505))
    assert (consumer.got, consumer.lost) == ([(500, 504)], [])
    assert consumer._read_offset[PLACE] == 505
    assert counted() == before + 1


def test_hole_inside_the_log_is_passed_over_when_it_is_there_the_second_time() -> None:
    before = counted()
    consumer = Consumer(range(200), read=100).polls(range(103, 110), range(103, 110))
    assert (consumer.got, consumer.sought, consumer.lost) == ([(103, 109)], [100], [])
    assert counted() == before


def test_records_left_out_by_one_fetch_are_delivered_by_the_next() -> None:
    consumer = Consumer(range(200), read=100).polls(range(103, 110), range(100, 110))
    assert (consumer.got, consumer.lost) == ([(100, 109)], [])


@pytest.mark.parametrize("on_expired", ["fail", "continue"])
def test_topic_that_ends_before_the_offset_wanted_ends_the_worker_whatever_is_set(on_expired: OnExpired) -> None:
    consumer = Consumer(range(7), read=100, on_expired=on_expired).polls(range(7), range(7))
    assert consumer.got == []
    assert "the topic has 0 to 7: it lost its end, or was deleted and created again" in str(consumer.lost[0])


def test_records_read_again_after_a_seek_are_no_sign_of_a_loss() -> None:
    consumer = Consumer(range(200), read=100).polls(range(90, 95), range(90, 95), range(100, 110))
    assert (consumer.got, consumer.lost) == ([(100, 109)], [])


def test_broker_that_does_not_say_where_a_partition_begins_is_asked_again() -> None:
    consumer = Consumer(range(500, 505), read=100)
    consumer.unanswered = 1
    consumer.polls(range(500, 505), range(500, 505))
    assert (consumer.got, consumer.lost) == ([], [])
    consumer.polls(range(500, 505), range(500, 505))
    assert (consumer.got, len(consumer.lost), consumer.sought) == ([], 1, [100, 100])


def test_partition_taken_away_while_it_is_asked_again_is_left_alone() -> None:
    consumer = Consumer(range(200), read=100)
    consumer.is_revoked = True
    assert consumer.polls(range(103, 110), range(103, 110)).got == []


def test_partition_never_committed_begins_where_its_records_begin() -> None:
    assert Consumer(range(500, 505), read=None).polls(range(500, 505)).got == [(500, 504)]


def test_what_was_fetched_while_the_flow_was_stopped_is_dropped_without_a_seek() -> None:
    consumer = Consumer(range(200), read=100)
    consumer.flow_active = False
    consumer.polls(range(100, 110))
    assert (consumer.got, consumer.sought, consumer._read_offset[PLACE]) == ([], [], 100)


@pytest.mark.parametrize(("begin", "expired"), [(100, 0), (0, 0), (101, 1), (160, 60)])
def test_records_expired_are_those_between_the_offset_wanted_and_the_first_there_is(begin: int, expired: int) -> None:
    assert check_hole("t", 0, 100, Extent(begin, 200), "continue") == expired
    assert check_hole("t", 0, 200, Extent(200, 200), "fail") == 0


def test_topic_that_heals_is_read_on_whatever_is_set() -> None:
    consumer = Consumer(range(500, 505), read=100, on_expired="fail")
    consumer.transport.healing = {PLACE.topic}
    consumer.polls(range(500, 505), range(500, 505))
    assert (consumer.got, consumer.lost) == ([(500, 504)], [])
