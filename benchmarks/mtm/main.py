"""The mark-to-market benchmark from its settings to its exit code."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.mtm.contestants import plain_faust, tapeline
from benchmarks.mtm.live import Size, run_live
from benchmarks.mtm.load import RATE, START, batch, portfolios, sources, symbols
from benchmarks.mtm.report import ratios
from benchmarks.result import keep
from benchmarks.stream.measure import Stalled
from benchmarks.stream.options import OptionError, number
from benchmarks.stream.processes import ProgramEnded
from benchmarks.stream.samples import Figures, medians, percentile
from benchmarks.stream.servers import PARTITIONS, servers
from market.portfolio_totals import sum_lines
from market.valuation_record import Stamp, Valuation
from processors.holdings import compiled_arithmetic
from processors.valuing.sheets import compiled_totals
from processors.valuing.valuer import Valuer
from processors.valuing.writing import Read, Writer
from runtime.memory import spare_the_collector
from schemas.codec import Codec
from schemas.topics import VALUATIONS

RESULT = Path(__file__).parent.parent / "out" / "mtm.json"
FAILED, WRONG_USE = 1, 2
CHECKED = 20
ROUNDS = 3
WRITTEN = 5
"""All totals are written every so many rounds."""

_CODEC = Codec({(VALUATIONS.name, Valuation): 1}, lambda _: None)
_READ = Read(tuple(range(PARTITIONS)), {})


class WrongTotals(Exception):
    """A contestant's totals are not those of its lines; the text names the portfolio."""


def main() -> int:
    """Run it; the exit code: 1 where totals are wrong or the compiled code is missing, 2 for a wrong setting."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=160)
    try:
        size = Size(
            number(os.environ, "BENCH_PORTFOLIOS", 10_000, least=1),
            number(os.environ, "BENCH_POSITIONS", 100, least=1),
            number(os.environ, "BENCH_SYMBOLS", 500, least=1),
            number(os.environ, "BENCH_ROUNDS", 100, least=5),
        )
        live_rounds = number(os.environ, "BENCH_LIVE_ROUNDS", 20, least=0)
        if compiled_arithmetic() is None or compiled_totals() is None:
            raise WrongTotals("the compiled code was not built: make setup")
        results = dict[str, dict[str, float]]()
        for name in ("compiled", "plain"):
            results[name] = _measure(size, compiled=name == "compiled")
            _show(name, results[name], console)
        if live_rounds:
            for name, figures in _through_broker(size._replace(rounds=live_rounds)):
                results[name] = figures
                _show(name, figures, console)
    except KeyboardInterrupt:
        return 130
    except (OptionError, WrongTotals, Stalled, ProgramEnded) as error:
        print(error, file=sys.stderr)
        return WRONG_USE if isinstance(error, OptionError) else FAILED
    for name, ratio in ratios(results).items():
        console.print(f"{name:46} {ratio:8.2f}", highlight=False)
    keep(RESULT, results, ratios(results))
    return 0


def _show(name: str, figures: Figures, console: Console) -> None:
    for figure, value in figures.items():
        console.print(f"{name:12} {figure:36} {value:12,.2f}", highlight=False)


def _through_broker(size: Size) -> Iterator[tuple[str, dict[str, float]]]:
    """Our worker at full size, and beside plain Faust at one that it can do, in turns."""
    small = size._replace(
        portfolios=-(-size.portfolios // 10), positions=-(-size.positions // 10), rounds=-(-size.rounds // ROUNDS)
    )
    with servers(["live"]) as running:
        yield "live", run_live(running["live"], tapeline(running["live"]), size)
    rounds: dict[str, list[dict[str, float]]] = {"live_small": [], "plain_faust": []}
    for _ in range(ROUNDS):
        for name, contestant in ("live_small", tapeline), ("plain_faust", plain_faust):
            with servers([name]) as running:
                rounds[name].append(run_live(running[name], contestant(running[name]), small))
    yield from ((name, medians(figures)) for name, figures in rounds.items())


def _measure(size: Size, *, compiled: bool) -> dict[str, float]:
    """Figures in milliseconds but for what is named otherwise: by the clock, or where they say so in time of one core."""
    valuer, instruments = Valuer(sources(), lambda _: None, compiled=compiled), symbols(size.symbols)
    chance = random.Random(2)
    for record in batch([RATE, *instruments], 0, chance):
        valuer.put_price(record)
    for portfolio in portfolios(size.portfolios, size.positions, instruments, seed=1):
        valuer.put_portfolio(portfolio)
    valuer.revalue(START)
    spare_the_collector()  # as the worker does
    writer, names = Writer(valuer, _CODEC, PARTITIONS, compiled=compiled), list(valuer.portfolios)
    writer.write(names, Stamp(1, 0, START), _READ)
    weighing, batches, cpu, writing = list[float](), list[float](), list[float](), list[float]()
    for turn in range(1, size.rounds + 1):
        records = batch(instruments, turn, chance)
        began, cpu_began = time.perf_counter(), time.process_time()
        for record in records:
            valuer.put_price(record)
        valuer.revalue(START + turn)
        batches.append(1e3 * (time.perf_counter() - began))
        cpu.append(1e3 * (time.process_time() - cpu_began))
        cpu_began = time.process_time()
        valuer.weigh()
        weighing.append(1e3 * (time.process_time() - cpu_began))
        if turn % WRITTEN == 0:
            cpu_began = time.process_time()
            writer.write(names, Stamp(1, turn, START + turn), _READ)
            writing.append(1e3 * (time.process_time() - cpu_began))
    _check(valuer)
    millions = size.portfolios * size.positions / 1e6
    return {
        "full_revaluation_cpu_ms": percentile(weighing, 0.5),
        "full_revaluation_1m_positions_ms": percentile(weighing, 0.5) / millions,
        "batch_p50_ms": percentile(batches, 0.5),
        "batch_p99_ms": percentile(batches, 0.99),
        "batch_cpu_p50_ms": percentile(cpu, 0.5),
        "batch_cpu_p99_ms": percentile(cpu, 0.99),
        "all_totals_written_cpu_ms": percentile(writing, 0.5),
        "arrays_mb_1m_positions": valuer.nbytes / 1e6 / millions,
    }


def _check(valuer: Valuer) -> None:
    for portfolio_id in list(valuer.portfolios)[:CHECKED]:
        lines = valuer.lines(portfolio_id)
        if valuer.totals(portfolio_id) != sum_lines(valuer.portfolios[portfolio_id], lines, valuer.rates):
            raise WrongTotals(f"the totals of {portfolio_id} are not those of its lines")
