"""The benchmark's settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.stream.options import names, number


class Options(NamedTuple):
    """`frames` of a run, rounds, names of contestants and of loads, seconds for which the broker stands still (0: not)."""

    frames: int
    rounds: int
    contestants: tuple[str, ...]
    loads: tuple[str, ...]
    slow_seconds: int


def read_options(environment: Mapping[str, str], contestants: tuple[str, ...], loads: tuple[str, ...]) -> Options:
    """Read BENCH_FRAMES, BENCH_ROUNDS, BENCH_CONTESTANTS, BENCH_LOADS, BENCH_SLOW_SECONDS. Raises OptionError."""
    return Options(
        frames=number(environment, "BENCH_FRAMES", 300_000, least=1_000),
        rounds=number(environment, "BENCH_ROUNDS", 5, least=1),
        contestants=names(environment, "BENCH_CONTESTANTS", contestants),
        loads=names(environment, "BENCH_LOADS", loads),
        slow_seconds=number(environment, "BENCH_SLOW_SECONDS", 20, least=0),
    )
