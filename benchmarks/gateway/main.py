"""The gateway's benchmark from its settings to its exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmarks.ending import exit_code
from benchmarks.gateway import contestants
from benchmarks.gateway.contestants import Running
from benchmarks.gateway.measure import run
from benchmarks.gateway.publisher import BareLoop, Publisher, publisher
from benchmarks.gateway.report import Results, ratios, show
from benchmarks.result import keep
from benchmarks.stream.load import instrument_names
from benchmarks.stream.measure import Stalled
from benchmarks.stream.options import number
from benchmarks.stream.samples import medians
from benchmarks.stream.servers import Server, servers
from tapeline.load.figures import Figures
from tapeline.load.plan import LoadPlan
from tapeline.load.runner import Load, load

RESULT = Path(__file__).parent.parent / "out" / "gateway.json"
CLIENTS = 1_000
FEW, MANY = 20, 100
"""Of 500 symbols, so many for each client."""
LADDER = (20_000, 40_000, 60_000, 80_000, 100_000, 130_000, 160_000, 200_000)
"""Rates at which the broadcasting server is tried, until it does not deliver all."""
ALL = 0.9999


class _Options(NamedTuple):
    rounds: int
    seconds: int
    processes: int
    large: int


class _Bench(NamedTuple):
    """What every run needs."""

    options: _Options
    server: Server
    publisher: Publisher
    bare: Connection
    results: Results
    console: Console


def main() -> int:
    """Run it; the exit code."""
    return exit_code(_run, "a server")


def _run() -> None:
    console, results = Console(width=160), Results()
    options = _Options(
        number(os.environ, "BENCH_ROUNDS", 3, least=1),
        number(os.environ, "BENCH_SECONDS", 5, least=1),
        number(os.environ, "BENCH_PROCESSES", 1, least=1),
        number(os.environ, "BENCH_LARGE", 10_000, least=0),
    )
    try:
        with servers(["gateway"]) as running, publisher(running["gateway"]) as sending:
            sending.one_of_each()
            with BareLoop(running["gateway"]).running() as bare:
                _all(_Bench(options, running["gateway"], sending, bare, results, console))
    finally:
        if results:
            show(results, console)
            keep(RESULT, {title: medians(rounds) for title, rounds in results.items()}, ratios(results))


def _all(bench: _Bench) -> None:
    highest = 0
    with contestants.broadcast(bench.server) as running, _clients(bench, running, CLIENTS, FEW) as (plan, clients):
        for rate in LADDER:
            if _measured(bench, f"broadcast_{rate}", running, clients, plan, rate)["delivered"] < ALL:
                break
            highest = rate
    with contestants.gateway(bench.server, CLIENTS) as running:
        with _clients(bench, running, CLIENTS, FEW) as (plan, clients):
            for rate, title in ((20_000, "gateway_20k"), (highest, f"gateway_{highest}"), (200_000, "gateway_200k")):
                for _ in range(bench.options.rounds if rate else 0):
                    _measured(bench, title, running, clients, plan, rate, with_rest=title == "gateway_200k")
        with _clients(bench, running, CLIENTS, MANY) as (plan, clients):
            for _ in range(bench.options.rounds):
                _measured(bench, "gateway_1m", running, clients, plan, 1_000_000)
    if bench.options.large:
        with (
            contestants.gateway(bench.server, bench.options.large) as running,
            _clients(bench, running, bench.options.large, FEW) as (plan, clients),
        ):
            for _ in range(bench.options.rounds):
                _measured(bench, "gateway_10k_clients", running, clients, plan, 50_000)


@contextmanager
def _clients(bench: _Bench, running: Running, clients: int, per_client: int) -> Iterator[tuple[LoadPlan, Load]]:
    """Clients that are connected and subscribed. Raises Stalled when not all are."""
    plan = LoadPlan("127.0.0.1", running.port, instrument_names(), clients, per_client, tokens=running.tokens)
    with load(plan, bench.options.processes) as connected:
        opened = connected.connect()
        subscribed = connected.subscribe()
        if subscribed < clients:
            raise Stalled(f"let {subscribed} of {clients} clients in: {connected.count().ended}")
        if running.tokens:
            figures: Figures = {"handshakes_per_second": opened.clients / opened.seconds}
            bench.results.setdefault("handshakes", []).append(figures)
        yield plan, connected


def _measured(
    bench: _Bench, title: str, running: Running, clients: Load, plan: LoadPlan, rate: int, *, with_rest: bool = False
) -> Figures:
    figures = run(running, clients, plan, bench.publisher, bench.bare, rate, bench.options.seconds, with_rest=with_rest)
    bench.results.setdefault(title, []).append(figures)
    bench.console.print(f"{title:22} {figures['delivered']:7.2%} of {figures['wanted_per_second']:11,.0f}/s", highlight=False)
    return figures
