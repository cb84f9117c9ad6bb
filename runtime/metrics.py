"""The Prometheus metrics shared by the stages, with uniform names, on a registry of their own.

A stage counts by `metrics.RECORDS_IN.labels("md.trades").inc()`; in a hot loop it keeps the child that `labels` returns.
A metric only one stage needs is defined in that stage with `registry=metrics.REGISTRY` and a name beginning with
`tapeline_`. Labels must come from small closed sets (topics, feeds, reasons): never a client id, never a message text.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
"""Ours rather than the library's global one, so that a second import in a test finds no name taken."""

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUCKETS_MICROS = tuple(round(bound * 1e6) for bound in LATENCY_BUCKETS)


class Hop(StrEnum):
    """A stretch of a tick's way, from the moment its frame was received."""

    RECEIVE_TO_PUBLISH = "receive_to_publish"
    RECEIVE_TO_PROCESS = "receive_to_process"
    RECEIVE_TO_STORE = "receive_to_store"
    RECEIVE_TO_GATEWAY = "receive_to_gateway"
    RECEIVE_TO_CLIENT = "receive_to_client"


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"tapeline_{name}", meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"tapeline_{name}", meaning, labels, registry=REGISTRY)


WEBSOCKET_CONNECTIONS = _gauge("websocket_connections", "Open WebSocket connections by peer: venue or client.", "peer")
RECONNECTS = _counter("reconnects", "Connections opened again after a loss.", "feed")
MESSAGES_RECEIVED = _counter("messages_received", "WebSocket messages received.", "peer", "channel")
MESSAGES_SENT = _counter("messages_sent", "WebSocket messages delivered to clients.", "channel")

RECORDS_IN = _counter("records_in", "Kafka records read.", "topic")
RECORDS_OUT = _counter("records_out", "Kafka records acknowledged by the broker.", "topic")
DUPLICATES = _counter("duplicates", "Records recognised as seen before and not counted again.", "topic")
DEAD_LETTERS = _counter("dead_letters", "Records sent to the dead-letter topic.", "topic", "reason")
CONSUMER_LAG = _gauge("consumer_lag", "Records between the position and the end of the partition.", "topic", "partition")

TRADES_PROCESSED = _counter("trades_processed", "Trades read by the processors, repeated ones among them.")
CANDLES_PROCESSED = _counter("candles_processed", "Candle events published.", "interval", "event")
ROWS_STORED = _counter("rows_stored", "Rows written and committed.", "store", "table")
CACHE_REQUESTS = _counter("cache_requests", "Look-ups in a cache by result: hit or miss.", "cache", "result")
ERRORS = _counter("errors", "Faults that were handled, by kind.", "kind")

LATENCY = Histogram(
    "tapeline_latency_seconds",
    "Time since the frame was received, at the end of a hop.",
    ["hop"],
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
MEMORY = _gauge("memory_bytes", "Resident memory of this process.")
MEMORY.set_function(lambda: float(psutil.Process().memory_info().rss))


class _CacheHitRate(Collector):
    """Derives the hit rate from the counted look-ups at each scrape, so that it has no state to drift."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield one figure from 0 to 1 for each cache that was asked at least once."""
        counts: dict[str, dict[str, float]] = defaultdict(lambda: {"hit": 0.0, "miss": 0.0})
        for sample in next(iter(CACHE_REQUESTS.collect())).samples:
            if sample.name.endswith("_total"):
                counts[sample.labels["cache"]][sample.labels["result"]] = sample.value
        rate = GaugeMetricFamily("tapeline_cache_hit_rate", "Share of look-ups answered by the cache.", labels=["cache"])
        for cache, count in counts.items():
            if asked := count["hit"] + count["miss"]:
                rate.add_metric([cache], count["hit"] / asked)
        yield rate


REGISTRY.register(_CacheHitRate())
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def observe_latency(hop: Hop, seconds: float) -> None:
    """Count one latency at the end of a hop; clocks may differ, so a negative one counts as 0."""
    LATENCY.labels(hop).observe(max(0.0, seconds))


_latency_of = lru_cache(LATENCY.labels)
"""The child of a hop; the library's own way to it costs more than what is counted there."""


def observe_many(hop: Hop, micros: Sequence[int]) -> None:
    """Take in how long several records took, in microseconds; the histogram's own way is one by one, with two locks each.

    There must be at least one.
    """
    histogram = _latency_of(hop)
    first, last = bisect_left(_BUCKETS_MICROS, min(micros)), bisect_left(_BUCKETS_MICROS, max(micros))
    numbers = {first: len(micros)} if first == last else Tally(bisect_left(_BUCKETS_MICROS, each) for each in micros)
    for bucket, number in numbers.items():
        histogram._buckets[bucket].inc(number)  # noqa: SLF001  # it has no other way to take in several
    histogram._sum.inc(sum(micros) / 1e6)  # noqa: SLF001
