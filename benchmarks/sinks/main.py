"""The benchmark of the stores from its settings to its exit code."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import psycopg
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.table import Table

from benchmarks.result import keep
from benchmarks.sinks import influx_main
from benchmarks.sinks.latency import latency
from benchmarks.sinks.postgres import CONTESTANTS
from benchmarks.stream.measure import Stalled
from benchmarks.stream.options import OptionError, number
from benchmarks.stream.processes import ProgramEnded
from market.trade import Trade
from sinks.stores._postgres_session import Target
from sinks.stores.postgres import PostgresStore
from tapeline.embedded import EmbeddedStack

RESULT = Path(__file__).parent.parent / "out" / "sinks.json"
START = 1_723_161_600_000_000
RATE = "rows_per_cpu_second"
_RATIOS = {"postgres_vs_executemany": ("store", "executemany"), "postgres_vs_merge_limit": ("store", "limit")}
_INSTRUMENTS = 200

Figures = dict[str, float]


def main() -> int:
    """Run it; the exit code: 1 when rows are missing or the sink does not work, 2 for a wrong setting."""
    try:
        rows, rounds = number(os.environ, "BENCH_ROWS", 100_000, least=1_000), number(os.environ, "BENCH_ROUNDS", 3, least=1)
        seconds = number(os.environ, "BENCH_SECONDS", 20, least=10)
    except OptionError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    trades = _trades(rows)
    results: dict[str, list[Figures]] = {name: [] for name in CONTESTANTS}
    folder = Path(tempfile.mkdtemp(prefix="tapeline-benchmark-"))
    try:
        with EmbeddedStack(folder, ["postgres"], durable=False) as stack:
            for turn in range(rounds * len(CONTESTANTS)):
                name = list(CONTESTANTS)[turn % len(CONTESTANTS)]
                results[name].append(_run(stack.addresses.postgres, name, trades, turn))
            waits = latency(stack.addresses.postgres, seconds)
    except (WrongRows, ProgramEnded, Stalled) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    finally:
        shutil.rmtree(folder)
    shown = {name: {figure: median(each[figure] for each in runs) for figure in runs[0]} for name, runs in results.items()}
    ratios = {name: shown[over][RATE] / shown[under][RATE] for name, (over, under) in _RATIOS.items()}
    _show(shown, ratios)
    _show_latency(waits)
    try:
        influx_shown, influx_ratios = influx_main.measured(trades, rounds)
    except influx_main.WrongPoints as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    shown, ratios = shown | influx_shown, ratios | influx_ratios
    keep(RESULT, shown, ratios, latency=waits)
    return 0


class WrongRows(Exception):
    """A contestant did not bring in what it was given."""


def _run(dsn: str, name: str, trades: list[Trade], turn: int) -> Figures:
    """One contestant on a database of its own, with the partition made and an offset to advance."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE bench_{turn}".encode())
    own = make_conninfo(dsn, dbname=f"bench_{turn}")
    PostgresStore(Target(own), sink="bench", writer="bench").migrate()
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute("SELECT make_month('trades', '2024-08-01'), make_month('trades', '2024-09-01')")
        connection.execute("INSERT INTO sink_offsets VALUES ('bench', 'md.trades', 0, 0, 'id', 'bench')")
    with CONTESTANTS[name](own, trades) as run:
        figures = run.figures(len(trades))
    with psycopg.connect(own, autocommit=True) as connection:
        found = connection.execute("SELECT count(*), (SELECT next_offset FROM sink_offsets) FROM trades").fetchone()
    if found != (len(trades), len(trades)):
        raise WrongRows(f"{name}: rows and offset are {found}, not {len(trades)} each")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE bench_{turn} WITH (FORCE)".encode())
    return figures


def _trades(count: int) -> list[Trade]:
    chance = random.Random(1)
    trades = []
    for offset in range(count):
        time, price = START + offset * 211, chance.randrange(10**9, 7 * 10**16)
        side = chance.choice(("buy", "sell"))
        size, name, text = chance.randrange(10**7, 10**13), f"binance:C{offset % _INSTRUMENTS}-USDT", str(10**9 + offset)
        trades.append(Trade(name, text, offset, price, size, side, time, time + 777, text, text))  # type: ignore[arg-type]
    return trades


def _show(shown: dict[str, Figures], ratios: dict[str, float]) -> None:
    console = Console(width=120)
    table = Table("contestant", "rows per CPU-s", "rows/s", "client CPU s", "backend CPU s", box=None, pad_edge=False)
    for name, figures in shown.items():
        cpu = f"{figures['client_cpu_seconds']:.2f}", f"{figures['backend_cpu_seconds']:.2f}"
        table.add_row(name, f"{figures[RATE]:,.0f}", f"{figures['rows_per_second']:,.0f}", *cpu)
    console.print(table)
    for name, value in ratios.items():
        console.print(f"{name:46} {value:8.2f}", highlight=False)


def _show_latency(waits: dict[str, float]) -> None:
    figures = ", ".join(
        f"{name.removesuffix('_ms').replace('_', ' ')} {value:.0f} ms" for name, value in waits.items() if name != "trades"
    )
    Console(width=120).print(
        f"record to queryable at 5,000 trades/s: {figures} ({waits['trades']:,.0f} trades)", highlight=False
    )
