"""The shared metrics and their names."""

import importlib

import pytest
from prometheus_client import generate_latest

from runtime import metrics
from runtime.metrics import REGISTRY, Hop


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    "name",
    [
        "tapeline_websocket_connections",
        "tapeline_messages_received_total",
        "tapeline_latency_seconds",
        "tapeline_candles_processed_total",
        "tapeline_memory_bytes",
        "tapeline_cache_hit_rate",
        "tapeline_records_in_total",
        "tapeline_records_out_total",
        "tapeline_dead_letters_total",
        "tapeline_duplicates_total",
        "tapeline_consumer_lag",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ],
)
def test_the_figures_an_operator_looks_for_are_served(name: str) -> None:
    assert f"# HELP {name} " in generate_latest(REGISTRY).decode()


def test_a_latency_falls_into_its_hop() -> None:
    labels = {"hop": "receive_to_client"}
    before = value("tapeline_latency_seconds_count", **labels)
    under_10ms = value("tapeline_latency_seconds_bucket", **labels, le="0.01")
    for seconds in (0.004, 0.02, -0.5):
        metrics.observe_latency(Hop.RECEIVE_TO_CLIENT, seconds)
    assert value("tapeline_latency_seconds_count", **labels) == before + 3
    assert value("tapeline_latency_seconds_bucket", **labels, le="0.01") == under_10ms + 2


def test_latency_is_told_apart_from_a_millisecond_to_ten_seconds() -> None:
    assert metrics.LATENCY_BUCKETS[0] == 0.001
    assert metrics.LATENCY_BUCKETS[-1] == 10
    assert list(metrics.LATENCY_BUCKETS) == sorted(metrics.LATENCY_BUCKETS)


@pytest.mark.parametrize("micros", [[500], [400, 600, 1_000], [500, 1_001, 20_000_000, 5_000, 5_001]])
def test_several_latencies_count_as_one_by_one(micros: list[int]) -> None:
    before = latencies(Hop.RECEIVE_TO_STORE), latencies(Hop.RECEIVE_TO_CLIENT)
    metrics.observe_many(Hop.RECEIVE_TO_STORE, micros)
    for each in micros:
        metrics.LATENCY.labels(Hop.RECEIVE_TO_CLIENT).observe(each / 1e6)
    after = latencies(Hop.RECEIVE_TO_STORE), latencies(Hop.RECEIVE_TO_CLIENT)
    together, single = ([now - was for now, was in zip(*pair, strict=True)] for pair in zip(after, before, strict=True))
    assert together == pytest.approx(single)


def latencies(hop: Hop) -> list[float]:
    name = "tapeline_latency_seconds"
    bounds = [*(str(bound) for bound in metrics.LATENCY_BUCKETS), "+Inf"]
    return [*(value(f"{name}_bucket", hop=hop, le=bound) for bound in bounds), value(f"{name}_sum", hop=hop)]


def test_the_hit_rate_of_a_cache_is_that_of_its_counted_look_ups() -> None:
    assert REGISTRY.get_sample_value("tapeline_cache_hit_rate", {"cache": "test"}) is None
    metrics.CACHE_REQUESTS.labels("test", "hit").inc(3)
    metrics.CACHE_REQUESTS.labels("test", "miss").inc()
    assert value("tapeline_cache_hit_rate", cache="test") == 0.75


def test_memory_is_measured() -> None:
    assert value("tapeline_memory_bytes") > 1e6


def test_the_module_can_be_imported_again() -> None:
    before = dict(vars(metrics))
    try:
        importlib.reload(metrics).RECORDS_IN.labels("md.trades").inc()
    finally:
        vars(metrics).update(before)  # others hold on to the first registry
