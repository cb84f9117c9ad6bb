"""The ingest benchmark from its settings to its exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

from rich.console import Console

from benchmarks.ending import exit_code
from benchmarks.ingest import peer
from benchmarks.ingest.frames import LOADS, recorded, repeated
from benchmarks.ingest.options import Options, read_options
from benchmarks.ingest.report import FRAMES_RATE, ratios, show, show_slow
from benchmarks.ingest.slow_broker import standstill
from benchmarks.result import keep
from benchmarks.stream.processes import ROOT, ProgramEnded
from benchmarks.stream.samples import Figures, medians
from benchmarks.stream.servers import Server
from tapeline.embedded import EmbeddedStack

RESULT = Path(__file__).parent.parent / "out" / "ingest.json"
PROGRAMS = "benchmarks.ingest.programs"
TOOL_MISSING = 3
_LONGEST_RUN = 600.0

Command = Callable[[Server, Path, str], Sequence[str | Path]]


def _ours(program: str) -> Command:
    return lambda server, frames, _topic: [sys.executable, "-m", f"{PROGRAMS}.{program}", server.folder / "bench.yaml", frames]


def _cryptofeed(server: Server, frames: Path, topic: str) -> Sequence[str | Path]:
    return [peer.python(), Path(__file__).parent / "programs" / "cryptofeed_feed.py", frames, server.bootstrap, topic]


def _limit(server: Server, frames: Path, topic: str) -> Sequence[str | Path]:
    return [sys.executable, "-m", f"{PROGRAMS}.produce_limit", server.folder / "bench.yaml", frames, topic]


CONTESTANTS: dict[str, Command] = {
    "compiled": _ours("tapeline_ingest"),
    "plain": _ours("tapeline_plain"),
    "cryptofeed_confluent": _cryptofeed,
    "produce_limit": _limit,
}
_OWN_TOPIC = ("cryptofeed_confluent", "produce_limit")


def main() -> int:
    """Run it; the exit code: 1 when records are missing, 2 for a wrong setting, 3 where cryptofeed cannot be installed."""
    try:
        return exit_code(_run, "ingest")
    except peer.PeerMissing as error:
        print(error, file=sys.stderr)
        return TOOL_MISSING


def _run() -> None:
    options = read_options(os.environ, tuple(CONTESTANTS), tuple(LOADS))
    if "cryptofeed_confluent" in options.contestants:
        peer.python()
    console = Console(width=140)
    with _broker() as (stack, server):
        results = _rounds(options, server)
        found = ratios(results)
        show(results, found, console)
        slow = standstill(stack, server, options.slow_seconds) if options.slow_seconds else {}
    show_slow(slow, console)
    keep(RESULT, results, found, slow_broker=slow)


def _rounds(options: Options, server: Server) -> dict[str, Figures]:
    """Figures by contestant and load; in each round each of them has its turn."""
    runs = count(1)
    files = {load: _write(server.folder / f"{load}.frames", load, options.frames) for load in options.loads}
    rounds = [
        {
            f"{contestant}/{load}": _measure(server, contestant, files[load], options.frames, next(runs))
            for load in options.loads
            for contestant in options.contestants
        }
        for _ in range(options.rounds)
    ]
    return {name: medians([figures[name] for figures in rounds]) for name in rounds[0]}


def _write(path: Path, load: str, number: int) -> Path:
    path.write_bytes(b"\n".join(islice(repeated(recorded(LOADS[load])), number)))
    return path


def _measure(server: Server, contestant: str, frames: Path, number: int, run: int) -> Figures:
    topic = f"bench.{run}"
    if contestant in _OWN_TOPIC:
        server.create_topic(topic)
    command = [os.fspath(part) for part in CONTESTANTS[contestant](server, frames, topic)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LONGEST_RUN)
    if done.returncode:
        raise ProgramEnded(f"{contestant}: it ended with code {done.returncode}:\n{done.stderr[-2_000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if figures["failed"] or figures["delivered"] < number:
        raise ProgramEnded(f"{contestant}: {figures['delivered']:.0f} records of {number} frames were delivered")
    return {**figures, FRAMES_RATE: number / figures["cpu_seconds"], "frames_per_second": number / figures["seconds"]}


@contextmanager
def _broker() -> Iterator[tuple[EmbeddedStack, Server]]:
    """A broker with our topics, in a temporary folder; `bench.yaml` there has its settings."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-benchmark-"))
    try:
        work = folder / "work"
        work.mkdir()
        with EmbeddedStack(folder / "stack", ["kafka", "registry"], durable=False) as stack:
            yield stack, Server("bench", stack.addresses.kafka, stack.addresses.registry, work)
    finally:
        shutil.rmtree(folder)
