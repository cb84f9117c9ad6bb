"""Handing records to the broker: where they go, what happens when they cannot."""

import asyncio
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ingest.publisher import CHECK, ROOM_FOR_ORIGINAL, Undelivered
from market.dead_letter import DeadLetter
from market.errors import DataPublishError
from market.feed_status import FeedState, FeedStatus
from market.trade import GapMark, TimeMark
from runtime import metrics
from schemas.partitioning import partition_of
from schemas.records import Record
from tests.builders import INSTRUMENT, START, make_trade
from tests.ingest_parts import NOW, PARTITIONS, Bench

LETTER = DeadLetter("binance:trade", None, None, "ingest", "malformed_json", "no JSON", None, None, b"{", False, START)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# where records go


@pytest.mark.parametrize("record", [make_trade(), TimeMark(INSTRUMENT, START), GapMark(INSTRUMENT, None, START)])
def test_trade_stream_goes_to_the_partition_of_its_instrument(bench: Bench, record: Record) -> None:
    assert bench.publisher.publish(record)
    ((topic, key, _, partition),) = bench.producer.sent
    assert (topic, key, partition) == ("md.trades", INSTRUMENT.encode(), partition_of(INSTRUMENT, PARTITIONS))


def test_record_is_stamped_when_it_is_published(bench: Bench) -> None:
    bench.publisher.publish(make_trade())
    assert bench.sent() == [make_trade()._replace(published_at=NOW)]


def test_topics_that_are_not_by_instrument_have_one_partition(bench: Bench) -> None:
    bench.publisher.publish(FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "r", START))
    bench.publisher.publish(LETTER)
    assert [(topic, key, partition) for topic, key, _, partition in bench.producer.sent] == [
        ("md.status", f"binance:trade:{INSTRUMENT}".encode(), 0),
        ("dlq", b"binance:trade", 0),
    ]


# when the queue is full


def test_full_queue_is_told_and_nothing_is_sent() -> None:
    bench = Bench(room=1)
    assert bench.publisher.publish(make_trade(1))
    assert not bench.publisher.publish(make_trade(2))
    assert len(bench.producer.sent) == 1


def test_room_comes_when_the_broker_has_answered() -> None:
    bench = Bench(room=1)
    bench.publisher.publish(make_trade(1))
    asyncio.run(bench.publisher.room())
    assert bench.publisher.publish(make_trade(2))
    assert bench.publisher.counts.waits == 1


# what does not fit


def test_record_that_does_not_fit_its_schema_becomes_a_dead_letter(bench: Bench) -> None:
    assert bench.publisher.publish(make_trade()._replace(price=10**40))
    (letter,) = bench.sent()
    assert isinstance(letter, DeadLetter)
    assert (letter.source, letter.reason, letter.key) == ("md.trades", "too_large", INSTRUMENT.encode())
    assert b"trade_id='1'" in (letter.value or b"")
    assert bench.publisher.counts.refused == {"too_large": 1}


def test_dead_letter_waits_for_room_too() -> None:
    bench = Bench(room=0)
    assert not bench.publisher.publish(make_trade()._replace(price=10**40))
    assert bench.publisher.counts.refused == {}


def test_large_original_is_cut_to_what_one_message_holds(bench: Bench) -> None:
    assert bench.publisher.publish(LETTER._replace(value=b"x" * 3_000_000))
    ((_, _, message, _),) = bench.producer.sent
    assert len(message) < 1_000_000
    (letter,) = bench.sent()
    assert isinstance(letter, DeadLetter)
    assert letter.value == b"x" * ROOM_FOR_ORIGINAL
    assert letter.truncated


def test_message_that_the_client_finds_too_large_becomes_a_dead_letter(bench: Bench) -> None:
    produce, refused = bench.producer.produce, KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))

    def refuse_trades(topic: str, *rest: Any) -> None:
        if topic == "md.trades":
            raise refused
        produce(topic, *rest)

    bench.producer.produce = refuse_trades  # type: ignore[method-assign,assignment]  # the edge of a client we cannot reach
    assert bench.publisher.publish(make_trade())
    assert [topic for topic, *_ in bench.producer.sent] == ["dlq"]


def test_other_refusals_of_the_client_are_raised(bench: Bench) -> None:
    bench.producer.refuse = KafkaException(KafkaError(KafkaError._STATE))
    with pytest.raises(DataPublishError, match=r"md\.trades"):
        bench.publisher.publish(make_trade())


# what the broker says


def test_deliveries_are_counted_by_topic(bench: Bench) -> None:
    bench.publisher.publish(make_trade())
    bench.publisher.publish(LETTER)
    bench.publisher.poll()
    assert bench.publisher.counts.delivered == {"md.trades": 1, "dlq": 1}


def test_answers_are_taken_in_while_publishing(bench: Bench) -> None:
    for number in range(250):
        bench.publisher.publish(make_trade(number))
    assert bench.publisher.counts.delivered["md.trades"] >= 150


def test_failed_delivery_is_counted_shown_and_ends_publishing(bench: Bench) -> None:
    bench.producer.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    bench.publisher.publish(make_trade(1))
    with pytest.raises(Undelivered, match=r"not delivered to the broker: md\.trades: .*timed out"):
        bench.publisher.poll()
    assert bench.publisher.counts.failed == {"md.trades": 1}
    assert bench.publisher.has_failed
    bench.producer.error = None
    with pytest.raises(Undelivered):
        bench.publisher.publish(make_trade(2))
    assert len(bench.producer.sent) == 1
    assert "timed out" in (bench.health.told[CHECK] or "")


def test_lost_brokers_are_shown_until_a_record_is_delivered(bench: Bench) -> None:
    bench.producer.options["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert bench.health.told[CHECK]
    bench.publisher.publish(make_trade(1))
    bench.publisher.poll()
    assert bench.health.told[CHECK] is None


def test_latency_is_that_of_records_handed_over() -> None:
    bench, histogram = Bench(room=1), metrics.LATENCY.labels(metrics.Hop.RECEIVE_TO_PUBLISH)
    before = sum(bucket.get() for bucket in histogram._buckets)
    assert [bench.publisher.publish(make_trade(number)) for number in (1, 2, 2)] == [True, False, False]
    assert sum(bucket.get() for bucket in histogram._buckets) == before + 1


def test_one_lost_connection_is_no_trouble(bench: Bench) -> None:
    bench.producer.options["error_cb"](KafkaError(KafkaError._TRANSPORT))
    assert bench.health.told == {}


def test_broken_client_ends_publishing_loudly(bench: Bench) -> None:
    bench.producer.options["error_cb"](KafkaError(KafkaError._FATAL, "out of order", fatal=True))
    with pytest.raises(DataPublishError, match="cannot go on: out of order"):
        bench.publisher.publish(make_trade())


def test_flush_says_how_many_are_left(bench: Bench) -> None:
    bench.publisher.publish(make_trade())
    bench.producer.holds_back = True
    assert asyncio.run(bench.publisher.flush(0.1)) == 1
    bench.producer.holds_back = False
    assert asyncio.run(bench.publisher.flush(0.1)) == 0
