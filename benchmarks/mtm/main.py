"""The mark-to-market benchmark from its settings to its exit code."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.mtm.load import RATE, START, batch, portfolios, sources, symbols
from benchmarks.mtm.report import keep, ratios
from benchmarks.stream.options import OptionError, number
from benchmarks.stream.samples import percentile
from market.portfolio_totals import sum_lines
from processors.holdings import compiled_weigh
from processors.valuing.valuer import Valuer

RESULT = Path(__file__).parent.parent / "out" / "mtm.json"
FAILED, WRONG_USE = 1, 2
CHECKED = 20


class WrongTotals(Exception):
    """A contestant's totals are not those of its lines; the text names the portfolio."""


class _Size(NamedTuple):
    portfolios: int
    positions: int
    symbols: int
    rounds: int


def main() -> int:
    """Run it; the exit code: 1 where totals are wrong or the compiled code is missing, 2 for a wrong setting."""
    console = Console(width=160)
    try:
        size = _Size(
            number(os.environ, "BENCH_PORTFOLIOS", 10_000, least=1),
            number(os.environ, "BENCH_POSITIONS", 100, least=1),
            number(os.environ, "BENCH_SYMBOLS", 500, least=1),
            number(os.environ, "BENCH_ROUNDS", 100, least=5),
        )
        if compiled_weigh() is None:
            raise WrongTotals("the compiled code was not built: make setup")
        results = {name: _measure(size, compiled=name == "compiled") for name in ("compiled", "plain")}
    except (OptionError, WrongTotals) as error:
        print(error, file=sys.stderr)
        return WRONG_USE if isinstance(error, OptionError) else FAILED
    figures = list(results["compiled"])
    table = Table("contestant", *figures, box=None)
    for name, found in results.items():
        table.add_row(name, *(f"{found[figure]:,.2f}" for figure in figures))
    console.print(table)
    for name, ratio in ratios(results).items():
        console.print(f"{name:46} {ratio:8.2f}", highlight=False)
    keep(results, RESULT)
    return 0


def _measure(size: _Size, *, compiled: bool) -> dict[str, float]:
    """Figures in milliseconds but for what is named otherwise: by the clock, or where they say so in time of one core."""
    valuer, instruments = Valuer(sources(), lambda _: None, compiled=compiled), symbols(size.symbols)
    chance = random.Random(2)
    for record in batch([RATE, *instruments], 0, chance):
        valuer.put_price(record)
    for portfolio in portfolios(size.portfolios, size.positions, instruments, seed=1):
        valuer.put_portfolio(portfolio)
    valuer.revalue(START)
    weighing, batches, cpu, readings = list[float](), list[float](), list[float](), list[float]()
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
    for _ in range(5):
        cpu_began = time.process_time()
        for portfolio_id in valuer.portfolios:
            valuer.totals(portfolio_id)
        readings.append(1e3 * (time.process_time() - cpu_began))
    _check(valuer)
    millions = size.portfolios * size.positions / 1e6
    return {
        "full_revaluation_cpu_ms": percentile(weighing, 0.5),
        "full_revaluation_1m_positions_ms": percentile(weighing, 0.5) / millions,
        "batch_p50_ms": percentile(batches, 0.5),
        "batch_p99_ms": percentile(batches, 0.99),
        "batch_cpu_p50_ms": percentile(cpu, 0.5),
        "batch_cpu_p99_ms": percentile(cpu, 0.99),
        "all_totals_read_cpu_ms": percentile(readings, 0.5),
        "arrays_mb_1m_positions": valuer.nbytes / 1e6 / millions,
    }


def _check(valuer: Valuer) -> None:
    for portfolio_id in list(valuer.portfolios)[:CHECKED]:
        lines = valuer.lines(portfolio_id)
        if valuer.totals(portfolio_id) != sum_lines(valuer.portfolios[portfolio_id], lines, valuer.rates):
            raise WrongTotals(f"the totals of {portfolio_id} are not those of its lines")
