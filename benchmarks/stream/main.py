"""The stream benchmark from its settings to its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from rich.console import Console

from benchmarks.result import keep
from benchmarks.stream.contestants.kafka_streams import ToolMissing, build
from benchmarks.stream.field import CONTESTANTS, LOADS
from benchmarks.stream.latency import run_live
from benchmarks.stream.launch import Prepare
from benchmarks.stream.measure import Stalled, WrongResult, run_over
from benchmarks.stream.options import OptionError, Options, read_options
from benchmarks.stream.processes import ProgramEnded
from benchmarks.stream.report import RATE, WARM, ratios, show
from benchmarks.stream.samples import Figures, best, medians
from benchmarks.stream.servers import Server, servers
from benchmarks.stream.written import Written, write_load

RESULT = Path(__file__).parent.parent / "out" / "stream.json"
WARM_RECORDS = 5_000_000
FAILED, WRONG_USE, TOOL_MISSING, INTERRUPTED = 1, 2, 3, 130


def main() -> int:
    """Run it; the exit code: 1 when candles differ or a contestant fails, 2 for a wrong setting, 3 without Maven or a JDK."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=160)
    try:
        options = read_options(os.environ, tuple(CONTESTANTS))
        if "kafka_streams" in options.contestants:
            build()
        results = _Benchmark(options, console).run()
    except OptionError as error:
        return _complain(str(error), WRONG_USE)
    except ToolMissing as error:
        return _complain(str(error), TOOL_MISSING)
    except subprocess.CalledProcessError as error:
        return _complain(f"building the Kafka Streams program failed: {error}", FAILED)
    except _ContestantFailed as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    show(results, console)
    if options.records < WARM_RECORDS:
        console.print(
            f"Kafka Streams is warm after half of {WARM_RECORDS:,} records; there were {options.records:,}.", highlight=False
        )
    keep(RESULT, results, ratios(results))
    return 0


def _complain(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


class _ContestantFailed(Exception):
    """The text names the contestant and what is wrong."""


class _Benchmark:
    """A run of everything; each run of a contestant has a consumer group of its own."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._entries = {name: CONTESTANTS[name] for name in options.contestants}
        self._runs = count(1)

    def run(self) -> dict[str, Figures]:
        loads = {entry.load for entry in self._entries.values()}
        with servers(name for name in LOADS if name in loads) as running:
            written = {name: self._write(name, server) for name, server in running.items()}
            results = {name: medians(found) for name, found in self._rounds(lambda name: self._throughput(name, written))}
            if self._options.live_seconds:
                for name, found in self._rounds(lambda name: self._live(name, running)):
                    results[name] |= best(found)
        return dict(results)

    def _rounds(self, measure: Callable[[str], Figures]) -> Iterator[tuple[str, list[Figures]]]:
        """Figures of all rounds by contestant; in each round every contestant has its turn."""
        rounds = [{name: measure(name) for name in self._entries} for _ in range(self._options.rounds)]
        for name in self._entries:
            yield name, [figures[name] for figures in rounds]

    def _write(self, name: str, server: Server) -> Written:
        load = LOADS[name]
        stretches = [(stretch, length(self._options.records)) for stretch, length in load.stretches.items()]
        self._say(f"writing {stretches[0][1]:,} records in batches of {load.batch_records}")
        return write_load(server, stretches, batch_records=load.batch_records, seed=self._options.seed)

    def _throughput(self, name: str, written: dict[str, Written]) -> dict[str, float]:
        entry = self._entries[name]
        load = written[entry.load]
        with self._named(name):
            launch = entry.prepare(load.server, self._group(name))
            found = run_over(load.server, launch, load.stretches[entry.stretch], self._log(load.server, launch.group))
        rates = f"{found[RATE]:,.0f} records per CPU-s, second half {found[WARM]:,.0f}"
        self._say(f"{launch.group}: {rates}, {found['peak_rss_mb']:,.0f} MB")
        return found

    def _live(self, name: str, running: dict[str, Server]) -> dict[str, float]:
        entry = self._entries[name]
        found: dict[str, float] = {}
        if entry.live:
            found |= self._live_run(name, entry.prepare, running[entry.load], idle=True)
        if entry.low_latency is not None:
            low = self._live_run(name, entry.low_latency, running[entry.load], idle=False)
            found |= {"low_" + figure: value for figure, value in low.items()}
        return found

    def _live_run(self, name: str, prepare: Prepare, server: Server, *, idle: bool) -> dict[str, float]:
        with self._named(name):
            launch = prepare(server, self._group(name))
            found = run_live(server, launch, self._options.live_seconds, self._log(server, launch.group), idle=idle)
        p50, p99, floor = (found[figure] for figure in ("latency_p50_ms", "latency_p99_ms", "append_p99_ms"))
        self._say(f"{launch.group}: live p50 {p50:.1f} ms, p99 {p99:.1f} ms (trades themselves appended: p99 {floor:.1f} ms)")
        return found

    def _group(self, name: str) -> str:
        return f"{name}_run{next(self._runs)}"

    def _log(self, server: Server, group: str) -> Path:
        return server.folder / f"{group}.log"

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except (WrongResult, Stalled, ProgramEnded, ValueError) as error:
            raise _ContestantFailed(f"{name}: {error}") from error
