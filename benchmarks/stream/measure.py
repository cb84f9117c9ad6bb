"""Runs a contestant over a stretch of the load: its figures, and whether its candles are right."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.stream.fold import first_difference
from benchmarks.stream.launch import Launch
from benchmarks.stream.outputs import final_versions, read_outputs
from benchmarks.stream.processes import Program
from benchmarks.stream.samples import Sample, run_figures
from benchmarks.stream.servers import Offsets, Progress, Server
from benchmarks.stream.written import Stretch
from schemas.topics import TRADES

EVERY = 0.05
START_SECONDS = 120.0
STALL_SECONDS = 120.0


class WrongResult(Exception):
    """A contestant's candles are not what the trades make; the text names the first difference."""


class Stalled(Exception):
    """A contestant does not go on."""


def run_over(server: Server, launch: Launch, stretch: Stretch, log: Path) -> dict[str, float]:
    """Figures of a contestant over a stretch. Raises WrongResult, Stalled, ProgramEnded."""
    server.start_group_at(launch.group, TRADES.name, stretch.start)
    before = server.ends(launch.output) if launch.output else {}
    refused = server.count(launch.refusals) if launch.refusals else 0
    with Program(launch.command, log, launch.environment) as program:
        began = time.monotonic()
        await_ready(server, launch.group, program)
        samples = _samples(server, launch.group, stretch, program, began)
    figures = run_figures(samples)
    if launch.refusals and server.count(launch.refusals) != refused:
        raise WrongResult(f"{launch.refusals} has grown by {server.count(launch.refusals) - refused} records")
    if launch.output:
        figures["records_out"] = sum(server.ends(launch.output).values()) - sum(before.values())
        _check_candles(server, launch, stretch, before)
    return figures


def await_ready(server: Server, group: str, program: Program) -> None:
    """Wait until a contestant has been given its partitions."""
    wait_until(lambda: server.group_is_ready(group), program, "was not given its partitions")


def wait_until(condition: Callable[[], bool], program: Program, complaint: str, seconds: float = START_SECONDS) -> None:
    """Wait for a condition while the program runs. Raises Stalled with the complaint."""
    deadline = time.monotonic() + seconds
    while not condition():
        program.check()
        if time.monotonic() > deadline:
            raise Stalled(f"it {complaint} within {seconds:.0f} s")
        time.sleep(EVERY)


def _samples(server: Server, group: str, stretch: Stretch, program: Program, began: float) -> list[Sample]:
    progress = Progress(server, group, TRADES.name, stretch.start)
    samples = [_sample(program, began, 0)]
    moved = time.monotonic()
    try:
        while samples[-1].records < stretch.records:
            program.check()
            time.sleep(EVERY)
            records = progress.records()
            samples.append(_sample(program, began, records))
            if records > samples[-2].records:
                moved = time.monotonic()
            elif time.monotonic() - moved > STALL_SECONDS:
                raise Stalled(f"it has stood at {records} of {stretch.records} records for {STALL_SECONDS:.0f} s")
    finally:
        progress.close()
    return samples


def _sample(program: Program, began: float, records: int) -> Sample:
    cpu, rss = program.usage()
    return Sample(time.monotonic() - began, cpu, records, rss)


def _check_candles(server: Server, launch: Launch, stretch: Stretch, before: Offsets) -> None:
    assert launch.output is not None
    assert launch.decode is not None
    versions = final_versions(read_outputs(server, launch.output, before, launch.decode))
    difference = first_difference(stretch.expected, {key: version.candle for key, version in versions.items()})
    if difference:
        raise WrongResult(difference)
    still_open = [key for key, version in versions.items() if not version.closed]
    if still_open:
        raise WrongResult(f"{len(still_open)} candles did not close, such as {min(still_open)}")
