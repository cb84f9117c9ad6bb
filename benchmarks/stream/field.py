"""Who runs, on which load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.stream.contestants.engine import engine
from benchmarks.stream.contestants.kafka_streams import kafka_streams
from benchmarks.stream.contestants.librdkafka import librdkafka, librdkafka_limit, librdkafka_swift
from benchmarks.stream.contestants.plain_faust import plain_faust
from benchmarks.stream.launch import Prepare


@dataclass(frozen=True)
class Load:
    """A load: records a Kafka batch, and how many records of those configured each of its stretches has, the longest first."""

    batch_records: int
    stretches: Mapping[str, Callable[[int], int]]


@dataclass(frozen=True)
class Entry:
    """A contestant: its load and stretch, how it is run, whether also on live trades, and how for the lowest latency."""

    prepare: Prepare
    load: str
    stretch: str
    live: bool = False
    low_latency: Prepare | None = None


def _all(records: int) -> int:
    return records


LOADS = {
    "big": Load(
        400, {"whole": _all, "fifth": lambda records: records // 5, "short": lambda records: min(records // 10, 40_000)}
    ),
    "small": Load(20, {"whole": lambda records: records * 2 // 5}),
}
CONTESTANTS = {
    "compiled": Entry(engine(), "big", "whole", live=True, low_latency=engine(commit_interval_seconds=0)),
    "compiled_small_batches": Entry(engine(), "small", "whole"),
    "full": Entry(engine(agents=["candles", "price_changes"], intervals=["1m", "5m", "15m", "1h", "4h", "1d"]), "big", "whole"),
    "plain": Entry(engine(compiled="off"), "big", "fifth"),
    "plain_faust": Entry(plain_faust, "big", "short"),
    "librdkafka": Entry(librdkafka, "big", "fifth", low_latency=librdkafka_swift),
    "librdkafka_limit": Entry(librdkafka_limit, "big", "whole"),
    "kafka_streams": Entry(kafka_streams, "big", "whole", live=True),
}
