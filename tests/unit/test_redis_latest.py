"""Redis: whose latest value a record is, and which of two is the later one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigurationError
from runtime.settings import load
from schemas.topics import TRADES, Topic
from sinks.store import KafkaRecord
from sinks.stores import redis
from sinks.stores._redis_latest import TOPICS, latest_of, sortable
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START, make_trade

LONGS = st.integers(-(2**63), 2**63 - 1)
MARKS = {"TimeMark", "GapMark"}


@given(st.tuples(LONGS, LONGS), st.tuples(LONGS, LONGS))
def test_text_of_versions_sorts_as_they_do(first: tuple[int, int], second: tuple[int, int]) -> None:
    assert (sortable(first) < sortable(second)) == (first < second)
    assert (sortable(first) == sortable(second)) == (first == second)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_record_of_the_topics_but_marks_is_the_latest_of_something(topic: Topic) -> None:
    for kind in topic.records:
        latest = latest_of(example(kind))
        assert (latest is None) == (kind.__name__ in MARKS)
        if latest is not None:
            assert latest.name
            assert sortable(latest.version)


def test_row_of_a_trade_has_its_bytes_and_expires_by_the_brokers_time() -> None:
    store = redis.create(load(environ={}, overrides=["redis.ttl_seconds=60"]), sink="redis", writer="me")
    row = store.row(make_trade(7, at=START), KafkaRecord(TRADES.name, 1, 5, b"key", b"bytes", 1_000_000))
    assert row is not None
    assert (row.key, row.offset, row.value) == (f"tapeline:md.trades:{INSTRUMENT}", 5, b"bytes")
    assert row.expires_at == 1_060_000
    assert row.version == sortable((START, 7, 5))


def test_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"redis\.url"):
        load(environ={}, overrides=["redis.url=http://127.0.0.1"])
