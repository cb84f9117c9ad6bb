"""Ratios of the contestants' figures, and how both are shown. Ratios are pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.stream.samples import Figures

WARM = "records_per_cpu_second_second_half"
RATE = "records_per_cpu_second"

_RATIOS = {
    "compiled_vs_kafka_streams_warm": (("compiled", RATE), ("kafka_streams", WARM)),
    "compiled_small_batches_vs_kafka_streams_warm": (("compiled_small_batches", RATE), ("kafka_streams", WARM)),
    "plain_vs_kafka_streams_warm": (("plain", RATE), ("kafka_streams", WARM)),
    "full_vs_compiled": (("full", RATE), ("compiled", RATE)),
    "plain_vs_plain_faust": (("plain", RATE), ("plain_faust", RATE)),
    "rss_vs_kafka_streams": (("compiled", "peak_rss_mb"), ("kafka_streams", "peak_rss_mb")),
    "latency_p99_vs_kafka_streams": (("compiled", "latency_p99_ms"), ("kafka_streams", "latency_p99_ms")),
    "low_latency_p50_vs_librdkafka": (("compiled", "low_latency_p50_ms"), ("librdkafka", "low_latency_p50_ms")),
    "low_latency_p99_vs_librdkafka": (("compiled", "low_latency_p99_ms"), ("librdkafka", "low_latency_p99_ms")),
    "kafka_streams_warm_vs_librdkafka_limit": (("kafka_streams", WARM), ("librdkafka_limit", RATE)),
}
_COLUMNS = {
    "records per CPU-s": (RATE, 0),
    "second half": (WARM, 0),
    "from assignment": ("records_per_cpu_second_from_assignment", 0),
    "with start": ("records_per_cpu_second_with_start", 0),
    "records/s": ("records_per_second", 0),
    "RSS MB": ("peak_rss_mb", 0),
    "p50 ms": ("latency_p50_ms", 1),
    "p99 ms": ("latency_p99_ms", 1),
    "low p50 ms": ("low_latency_p50_ms", 1),
    "low p99 ms": ("low_latency_p99_ms", 1),
    "append p99 ms": ("append_p99_ms", 1),
    "idle CPU %": ("idle_cpu_percent", 1),
}

Results = Mapping[str, Figures]
"""Figures by contestant."""


def ratios(results: Results) -> dict[str, float]:
    """The ratios for which both figures are there."""
    return {
        name: results[over][figure] / results[under][base]
        for name, ((over, figure), (under, base)) in _RATIOS.items()
        if figure in results.get(over, {}) and base in results.get(under, {})
    }


def show(results: Results, console: Console) -> None:
    """Print the table and the ratios."""
    columns = {title: what for title, what in _COLUMNS.items() if any(what[0] in figures for figures in results.values())}
    table = Table("contestant", *columns, box=None, pad_edge=False)
    for name, figures in results.items():
        table.add_row(name, *(_cell(figures.get(figure), digits) for figure, digits in columns.values()))
    console.print(table)
    for name, value in ratios(results).items():
        console.print(f"{name:46} {value:8.2f}", highlight=False)


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
