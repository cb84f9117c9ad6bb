import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import CandleEventKind, candle_of
from market.candle_series import CandleSeries, SeriesState
from market.interval import parse_interval
from schemas.partitioning import partition_of
from schemas.topics import CANDLES, DEAD_LETTERS, TOPICS, TRADES, Topic, changelog
from tests.builders import INSTRUMENT, START, make_trade


def test_key_of_a_candle_is_finer_than_its_partition() -> None:
    series = CandleSeries(INSTRUMENT, SeriesState(), {}, intervals=[parse_interval("1m")], grace=0, source=("t", 0))
    (event,) = series.apply(make_trade(), 0)[1]
    assert event.kind is CandleEventKind.NEW
    assert event.open == candle_of(make_trade()).open
    assert CANDLES.place(event) == (f"{INSTRUMENT}|1m|{START}".encode(), INSTRUMENT)


def test_key_of_a_trade_is_its_instrument() -> None:
    assert TRADES.place(make_trade()) == (INSTRUMENT.encode(), INSTRUMENT)


@pytest.mark.parametrize(
    ("text", "murmur2"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_partitioner_agrees_with_javas(text: str, murmur2: int) -> None:
    # The hashes are the vectors of Kafka's own unit test of its partitioner.
    assert partition_of(text, 1_000_003) == (murmur2 & 0x7FFFFFFF) % 1_000_003


@given(st.text(min_size=1), st.integers(1, 64))
def test_partition_lies_within_the_topic(text: str, partitions: int) -> None:
    assert 0 <= partition_of(text, partitions) < partitions


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_every_topic_is_stamped_by_the_broker_and_documented(topic: Topic) -> None:
    assert topic.config(1)["message.timestamp.type"] == "LogAppendTime"
    assert len(topic.doc) > 10
    assert topic.records


def test_topics_by_instrument_share_the_configured_partition_count() -> None:
    assert TRADES.partitions(12) == CANDLES.partitions(12) == changelog("app", "candles").partitions(12) == 12
    assert DEAD_LETTERS.partitions(12) == 1


def test_compacted_topic_keeps_what_a_slow_reader_still_needs() -> None:
    assert CANDLES.config(1)["min.compaction.lag.ms"] == "3600000"
    assert changelog("app", "candles").config(2)["cleanup.policy"] == "compact"
