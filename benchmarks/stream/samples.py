"""What the operating system and the broker say of a run, and the figures that follow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

Figures = Mapping[str, float]
"""Figure by name; the name ends with the unit."""


class Sample(NamedTuple):
    """A moment of a run: seconds since its start, CPU seconds (user and system) and records committed so far, bytes of RSS."""

    seconds: float
    cpu: float
    records: int
    rss: int


def at_records(samples: Sequence[Sample], records: float) -> tuple[float, float]:
    """(seconds, CPU seconds) when so many records were committed, interpolated between the samples around that moment.

    Raises ValueError when the samples end before.
    """
    for before, after in pairwise(samples):
        if before.records <= records <= after.records and before.records < after.records:
            share = (records - before.records) / (after.records - before.records)
            seconds = before.seconds + share * (after.seconds - before.seconds)
            return seconds, before.cpu + share * (after.cpu - before.cpu)
    raise ValueError(f"no sample reaches {records:.0f} records")


def run_figures(samples: Sequence[Sample]) -> dict[str, float]:
    """Figures of a run whose first sample is taken when its partitions were assigned and whose last when all was committed.

    Start-up ends with the first commit; the plain rates are those from there on, so that neither the records before nor the
    work on them count. Raises ValueError when the run was too short to be measured.
    """
    assigned, last = samples[0], samples[-1]
    begun = next(sample for sample in samples if sample.records)
    half = last.records / 2
    half_seconds, half_cpu = at_records(samples, half)
    if not begun.cpu < last.cpu > half_cpu:
        raise ValueError("the run was too short to be measured: give it more records")
    return {
        "records": last.records,
        "records_per_cpu_second": (last.records - begun.records) / (last.cpu - begun.cpu),
        "records_per_cpu_second_second_half": half / (last.cpu - half_cpu),
        "records_per_cpu_second_from_assignment": last.records / (last.cpu - assigned.cpu),
        "records_per_cpu_second_with_start": last.records / last.cpu,
        "records_per_second": (last.records - begun.records) / (last.seconds - begun.seconds),
        "records_per_second_second_half": half / (last.seconds - half_seconds),
        "cpu_seconds": last.cpu,
        "start_cpu_seconds": begun.cpu,
        "peak_rss_mb": max(sample.rss for sample in samples) / 1e6,
    }


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """The median of each figure over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: median(figures[name] for figures in rounds if name in figures) for name in names}


def best(rounds: Sequence[Figures]) -> dict[str, float]:
    """The lowest of each figure over rounds: for times by the clock, which other work on the machine only makes longer."""
    return {name: min(figures[name] for figures in rounds) for name in rounds[0]}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)
    return ordered[max(0, int(rank) - 1)]
