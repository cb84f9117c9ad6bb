"""Figures of the sinks beside those all stages share (`runtime.metrics`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client import Histogram

from market.dead_letter import DeadLetter
from runtime import metrics
from runtime.logs import get_logger
from runtime.metrics import REGISTRY, Hop, observe_latency
from sinks.store import Batch, Partition

BATCH_RECORDS = Histogram(
    "tapeline_store_batch_records",
    "Records of a batch, with those that leave no row.",
    ["store"],
    buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000),
    registry=REGISTRY,
)
WRITE_SECONDS = Histogram(
    "tapeline_store_write_seconds",
    "Time the store took to commit a batch.",
    ["store"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)

log = get_logger(__name__)


class Figures:
    """What a worker counts, for the store of this name."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._batch_records = BATCH_RECORDS.labels(store)
        self._write_seconds = WRITE_SECONDS.labels(store)

    def stored(self, batch: Batch, changed: Mapping[str, int], seconds: float, now: int) -> None:
        """Count a committed batch; its latency is that of the record received first. `now` in microseconds."""
        self._batch_records.observe(sum(batch.records.values()))
        self._write_seconds.observe(seconds)
        for table, rows in changed.items():
            metrics.ROWS_STORED.labels(self._store, table).inc(rows)
        for topic, count in batch.records.items():
            metrics.RECORDS_IN.labels(topic).inc(count)
        received = min((entry.received_at for entry in batch.entries if entry.received_at is not None), default=None)
        if received is not None:
            observe_latency(Hop.RECEIVE_TO_STORE, (now - received) / 1e6)

    def refused(self, letters: Iterable[DeadLetter]) -> None:
        """Count letters that the brokers have."""
        counts = Counter((letter.source, letter.reason) for letter in letters)
        for (topic, reason), count in counts.items():
            metrics.DEAD_LETTERS.labels(topic, reason).inc(count)
            log.warning("records refused", topic=topic, reason=reason, count=count)

    def lags(self, lags: Mapping[Partition, int]) -> None:
        """Note how many records are still to be stored."""
        for (topic, partition), lag in lags.items():
            metrics.CONSUMER_LAG.labels(topic, partition).set(lag)

    def outage(self, part: str) -> None:
        """Count a failure that is waited out."""
        metrics.ERRORS.labels(f"sink_{part}").inc()
