"""What our ingest keeps in memory while the broker stands still and frames go on coming as fast as they are taken."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.stream.measure import wait_until
from benchmarks.stream.processes import Program, ProgramEnded
from benchmarks.stream.servers import Server
from schemas.topics import TRADES
from tapeline.embedded import EmbeddedStack

_PROGRAM = "benchmarks.ingest.programs.tapeline_ingest"
_EVERY_SECONDS = 0.1
_LONGER_THAN_TELLING = 1.5
_MB = 1e6


def standstill(stack: EmbeddedStack, server: Server, seconds: float) -> dict[str, float]:
    """Memory before, at its peak, and what the second half of the standstill added. Raises ProgramEnded, Stalled."""
    command = [sys.executable, "-m", _PROGRAM, str(server.folder / "bench.yaml"), "endless:trades"]
    log, begun = server.folder / "slow.log", sum(server.ends(TRADES.name).values())
    with Program(command, log, {}) as program:
        wait_until(lambda: sum(server.ends(TRADES.name).values()) > begun + 100_000, program, "did not publish")
        before = program.usage()[1]
        stack.pause("kafka")
        try:
            halves = [_peak(program, seconds / 2) for _ in range(2)]
            taken = [_last_number(log)]
            _peak(program, _LONGER_THAN_TELLING)
            taken.append(_last_number(log))
        finally:
            stack.resume("kafka")
        wait_until(lambda: _last_number(log) > taken[1] + 100_000, program, "did not go on")
    if taken[0] != taken[1]:
        raise ProgramEnded(f"it went on reading: {taken[0]} frames were taken, then {taken[1]}")
    return {
        "rss_mb_before_standstill": before / _MB,
        "peak_rss_mb_at_standstill": max(halves) / _MB,
        "rss_mb_added_in_its_second_half": (halves[1] - halves[0]) / _MB,
    }


def _peak(program: Program, seconds: float) -> int:
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        program.check()
        most = max(most, program.usage()[1])
        time.sleep(_EVERY_SECONDS)
    return most


def _last_number(log: Path) -> int:
    """Frames taken, as told last."""
    return int([line for line in log.read_text(encoding="utf-8").splitlines() if line.isdecimal()][-1])
