"""Runs a contestant on live trades: latency percentiles, CPU meanwhile, and the CPU it takes when nothing comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.stream.launch import Launch
from benchmarks.stream.live import Sent, appended_after, latencies, send_live
from benchmarks.stream.measure import WrongResult, await_ready, wait_until
from benchmarks.stream.outputs import read_messages, read_outputs
from benchmarks.stream.processes import Program
from benchmarks.stream.programs.librdkafka_candles import decode
from benchmarks.stream.samples import percentile
from benchmarks.stream.servers import Offsets, Progress, Server
from schemas.topics import TRADES

DROPPED_SECONDS = 10.0
"""What is sent before does not count: a contestant warms up."""
IDLE_SECONDS = 20.0
_SETTLE_SECONDS = 3.0


def run_live(server: Server, launch: Launch, seconds: float, log: Path, *, idle: bool) -> dict[str, float]:
    """Figures of a contestant at 5,000 trades a second. Raises WrongResult, Stalled, ProgramEnded."""
    assert launch.output is not None
    assert launch.decode is not None
    start = server.ends(TRADES.name)
    server.start_group_at(launch.group, TRADES.name, start)
    before = server.ends(launch.output)
    progress = Progress(server, launch.group, TRADES.name, start)
    with Program(launch.command, log, launch.environment) as program:
        await_ready(server, launch.group, program)
        time.sleep(_SETTLE_SECONDS)
        cpu, began = program.usage()[0], time.monotonic()
        sent = send_live(server, seconds, seed=1)
        share = (program.usage()[0] - cpu) / (time.monotonic() - began)
        records = sum(server.ends(TRADES.name).values()) - sum(start.values())
        wait_until(lambda: progress.records() == records, program, "did not commit all live trades")
        figures = {"live_cpu_percent": 100 * share}
        if idle:
            figures["idle_cpu_percent"] = _idle(program)
    progress.close()
    try:
        found = latencies(sent, read_outputs(server, launch.output, before, launch.decode), _since(sent))
    except ValueError as error:
        raise WrongResult(str(error)) from error
    floor = appended_after(sent, _trades(server, start), _since(sent))
    return {**figures, **_percentiles("latency", found), **_percentiles("append", floor)}


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p50_ms": percentile(values, 0.50), f"{name}_p99_ms": percentile(values, 0.99)}


def _trades(server: Server, start: Offsets) -> Iterator[tuple[str, int, int]]:
    """Instrument, id and append time of the trades behind these offsets."""
    trade_head = b"\0" + server.schema_ids.trade.to_bytes(4, "big")
    for message in read_messages(server, TRADES.name, start):
        value = message.value()
        if value is not None and value.startswith(trade_head):
            yield (message.key() or b"").decode(), decode(value)[0], message.timestamp()[1]


def _since(sent: list[Sent]) -> int:
    return sent[0].time + round(DROPPED_SECONDS * 1e6)


def _idle(program: Program) -> float:
    """CPU per cent of a core while nothing comes."""
    time.sleep(_SETTLE_SECONDS)
    cpu, began = program.usage()[0], time.monotonic()
    time.sleep(IDLE_SECONDS)
    return 100 * (program.usage()[0] - cpu) / (time.monotonic() - began)
