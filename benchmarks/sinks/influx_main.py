"""The part of the benchmark that is InfluxDB's: contestants in turn, medians, and all points compared."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.sinks.influxdb import CONTESTANTS, read_back
from benchmarks.sinks.postgres import kafka_records
from market.trade import Trade
from runtime.memory import spare_the_collector
from runtime.settings import InfluxSettings
from sinks.stores._influxdb_session import Target
from sinks.stores.influxdb import InfluxStore
from tapeline.embedded import EmbeddedStack
from tapeline.options import parts_of

RATE = "points_per_cpu_second"
RATIO = "influx_vs_points_batching"


class WrongPoints(Exception):
    """A contestant did not bring in what it was given."""


def measured(trades: Sequence[Trade], rounds: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Figures by contestant, and their ratio; printed as well. Raises WrongPoints."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    wanted: list[Any] | None = None
    spare_the_collector()  # as the sink does, for both: the trades made before are nothing a contestant should look through
    sources = kafka_records(trades)
    folder = Path(tempfile.mkdtemp(prefix="tapeline-benchmark-"))
    try:
        with EmbeddedStack(folder, ["influxdb"], durable=False) as stack:
            url, org, token = parts_of("influxdb", stack.addresses.influxdb)
            target = Target(url, org, token, timeout=60.0)
            for turn in range(rounds * len(CONTESTANTS)):
                name = list(CONTESTANTS)[turn % len(CONTESTANTS)]
                settings = _buckets(target, turn)
                seconds[name].append(CONTESTANTS[name](target, settings, sources))
                found = read_back(target, settings.ticks_bucket)
                if len(found) != len(trades) or found != (wanted or found):
                    raise WrongPoints(
                        f"{name}: {len(found)} points of {len(trades)}, or others than {next(iter(CONTESTANTS))}'s"
                    )
                wanted = found
    finally:
        shutil.rmtree(folder)
    shown = {name: {RATE: len(trades) / median(runs), "client_cpu_seconds": median(runs)} for name, runs in seconds.items()}
    first, second = (figures[RATE] for figures in shown.values())
    _show(shown, first / second)
    return shown, {RATIO: first / second}


def _buckets(target: Target, turn: int) -> InfluxSettings:
    """Empty buckets of a turn's own."""
    names = {f"{kind}_bucket": f"bench_{turn}_{kind}" for kind in ("ticks", "history", "offsets")}
    settings = InfluxSettings(url=target.url, org=target.org, **names)
    store = InfluxStore(target, settings, sink="bench", writer="bench")
    store.make_buckets()
    store.close()
    return settings


def _show(shown: dict[str, dict[str, float]], ratio: float) -> None:
    console = Console(width=120)
    table = Table("contestant", "points per client CPU-s", "client CPU s", box=None, pad_edge=False)
    for name, figures in shown.items():
        table.add_row(name, f"{figures[RATE]:,.0f}", f"{figures['client_cpu_seconds']:.2f}")
    console.print(table)
    console.print(f"{RATIO:46} {ratio:8.2f}", highlight=False)
