"""How long a worker takes to be processing again, with its data folder kept and without it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.ending import exit_code
from benchmarks.result import keep
from benchmarks.stream.contestants.engine import engine
from benchmarks.stream.launch import Launch
from benchmarks.stream.load import FIRST_ID, LoadRecord, SchemaIds, TradeEncoder, unscaled
from benchmarks.stream.measure import wait_until
from benchmarks.stream.options import number
from benchmarks.stream.processes import Program
from benchmarks.stream.servers import Progress, Server, servers
from benchmarks.stream.written import Sender
from market.decimals import ONE
from schemas.topics import TRADES, changelog

RESULT = Path(__file__).parent.parent / "out" / "restart.json"
INSTRUMENTS = 2_000
"""Many, as a candle is held for a day only: so the keys fit into hours."""
_MINUTE = 60_000_000
_GROUP = "restart"
_BUILD_SECONDS = 1_800.0
_START_SECONDS = 600.0
_CLOSED = "closed-candles"


class ManyCandles:
    """A trade stream in which every instrument has one trade a minute: a closed candle for each."""

    def __init__(self, schema_ids: SchemaIds, instruments: list[str], start: int) -> None:
        self._encoder = TradeEncoder(schema_ids, instruments)
        self._count = len(instruments)
        self._start = start
        self._minute = 0

    def minute(self) -> Iterator[LoadRecord]:
        """The trades of the next minute."""
        step, opens = _MINUTE // self._count, self._start + self._minute * _MINUTE
        number = FIRST_ID + self._minute
        self._minute += 1
        size = unscaled(ONE)
        for index in range(self._count):
            value = self._encoder.trade(index, number, 100 * ONE + number, size, b"\x02\x00", opens + index * step)
            yield LoadRecord(index, value, None)


def main() -> int:
    """Run it; the exit code."""
    return exit_code(_run, "the worker")


def _run() -> None:
    keys = number(os.environ, "BENCH_KEYS", 1_000_000, least=INSTRUMENTS)
    rounds = number(os.environ, "BENCH_ROUNDS", 3, least=1)
    with servers(["restart"]) as running:
        figures = _measure(running["restart"], keys // INSTRUMENTS, rounds)
    console = Console(width=160)
    for name, value in figures.items():
        console.print(f"{name:24} {value:12,.1f}", highlight=False)
    keep(RESULT, {"compiled": figures}, {})


def _measure(server: Server, minutes: int, rounds: int) -> dict[str, float]:
    names = [f"sim:R{index:04d}-USD" for index in range(INSTRUMENTS)]
    sender = Sender(server, 400, names)
    start = (int(time.time()) // 60 - minutes - 60) * _MINUTE
    stream = ManyCandles(server.schema_ids, names, start)
    launch = engine()(server, _GROUP)
    for _ in range(minutes):
        _send(stream, sender)
    server.start_group_at(_GROUP, TRADES.name, dict.fromkeys(sender.sent, 0))
    build = _seconds_until_done(server, launch, sender, _BUILD_SECONDS)
    kept = []
    for _ in range(rounds):
        _send(stream, sender)
        kept.append(_seconds_until_done(server, launch, sender, _START_SECONDS))
    _send(stream, sender)
    shutil.rmtree(server.folder / _GROUP)
    empty = _seconds_until_done(server, launch, sender, _START_SECONDS)
    keys = server.count(changelog(_GROUP, _CLOSED).name)
    return {"keys": keys, "build_seconds": build, "kept_folder_seconds": median(kept), "empty_folder_seconds": empty}


def _send(stream: ManyCandles, sender: Sender) -> None:
    for record in stream.minute():
        sender.send(record)


def _seconds_until_done(server: Server, launch: Launch, sender: Sender, limit: float) -> float:
    """Seconds from a worker's start until it has committed all that was sent; then it is stopped."""
    sender.flush()
    progress = Progress(server, _GROUP, TRADES.name, dict.fromkeys(sender.sent, 0))
    total = sum(sender.sent.values())
    try:
        with Program(launch.command, server.folder / f"{_GROUP}.log", launch.environment) as program:
            began = time.monotonic()
            wait_until(lambda: progress.records() == total, program, "was not processing again", limit)
            return time.monotonic() - began
    finally:
        progress.close()
