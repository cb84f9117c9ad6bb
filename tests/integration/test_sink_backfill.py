"""Recorded traffic of several venues into the database: as many rows as the topics have distinct keys."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from sinks.stores._postgres_tables import TABLES
from tests.cluster import Cluster, Service, wait_for
from tests.ingest_parts import ALL_DATA, SPOT
from tests.sink_running import TABLE_OF, TOPICS, Sink, Start, columns_of
from tests.venue_data import KRAKEN, OKX, WHOLE_BITGET, WHOLE_KRAKEN

WHOLE_BINANCE = tuple(sorted(ALL_DATA.glob("hftbacktest/spot/btcusdt_*.gz")))
WHOLE = (
    *(("binance", WHOLE_BINANCE), ("kraken", WHOLE_KRAKEN), ("bitget", WHOLE_BITGET)),
    *(("binance", WHOLE_BINANCE),) * 3,
)
COMMITTED = (("binance", (SPOT,)), ("kraken", KRAKEN), ("okx", OKX), ("binance", (SPOT,)))
"""Venues and their recordings; the first one's are played again at the end, as by someone who begins anew."""

LEAST_OF_WHOLE = 300_000
HAS_WHOLE = bool(WHOLE_BINANCE) and all(path.exists() for _, paths in WHOLE for path in paths)


@pytest.mark.timeout(600)
def test_backfill_ends_with_a_row_for_each_distinct_key(cluster: Cluster, start: Start, database: str) -> None:
    sink = Sink(cluster, start, database)
    worker = sink.start()
    for venue, paths in WHOLE if HAS_WHOLE else COMMITTED:
        backfill = replayed(start, venue, paths, sink.config())
        assert backfill.process.wait(300) == 0, backfill.text()
    wait_for(sink.is_level, "the recordings to be stored", timeout=300, every=0.5)
    assert worker.terminate() == 0

    keys, records = distinct_keys(cluster)
    assert {table: sink.database.query(f"SELECT count(*) FROM {table}") for table in keys} == {
        table: [(len(each),)] for table, each in keys.items()
    }
    assert keys["trades"]
    assert records > sum(map(len, keys.values()))
    assert records >= (LEAST_OF_WHOLE if HAS_WHOLE else 1)
    assert [letter.record.reason for letter in cluster.read("dlq")] == []


def replayed(start: Start, venue: str, paths: tuple[Path, ...], config: Path) -> Service:
    return start("replay", *paths, "--venue", venue, "--speed", "max", "--times", "recorded", "-c", config)


def distinct_keys(cluster: Cluster) -> tuple[dict[str, set[tuple[Any, ...]]], int]:
    """The keys that lie in the topics, by table, and how many records there are."""
    keys: defaultdict[str, set[tuple[Any, ...]]] = defaultdict(set)
    records = 0
    for topic in TOPICS:
        for stored in cluster.read(topic):
            if type(stored.record) in TABLE_OF:
                table, _ = TABLE_OF[type(stored.record)]
                fields = columns_of(stored)
                keys[table].add(tuple(fields[column] for column in TABLES[table].key))
                records += 1
    return keys, records
