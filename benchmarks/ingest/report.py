"""Ratios of the contestants' figures, and how both are shown. Ratios are pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.ingest.frames import LOADS
from benchmarks.stream.samples import Figures

FRAMES_RATE = "frames_per_cpu_second"

_RATIOS = {
    "vs_cryptofeed_confluent": ("compiled", "cryptofeed_confluent"),
    "plain_vs_cryptofeed_confluent": ("plain", "cryptofeed_confluent"),
    "vs_produce_limit": ("compiled", "produce_limit"),
}
_MAIN = "mixed"
"""The load whose ratios have no suffix: frames as they were recorded."""


def ratios(results: Mapping[str, Figures]) -> dict[str, float]:
    """The ratios for which both figures are there, of each load."""
    found = {}
    for load in LOADS:
        for name, (over, under) in _RATIOS.items():
            if f"{over}/{load}" in results and f"{under}/{load}" in results:
                suffix = "" if load == _MAIN else f"_{load}"
                found[name + suffix] = results[f"{over}/{load}"][FRAMES_RATE] / results[f"{under}/{load}"][FRAMES_RATE]
    return found


def show(results: Mapping[str, Figures], found: Figures, console: Console) -> None:
    """Print the table and the ratios."""
    table = Table("contestant / load", "frames per CPU-s", "frames/s", "peak RSS MB", box=None, pad_edge=False)
    for name, figures in results.items():
        rates = f"{figures[FRAMES_RATE]:,.0f}", f"{figures['frames_per_second']:,.0f}"
        table.add_row(name, *rates, f"{figures['peak_rss_mb']:,.0f}")
    console.print(table)
    _lines(found, console)


def show_slow(slow: Figures, console: Console) -> None:
    """Print what was seen while the broker stood still."""
    _lines(slow, console)


def _lines(figures: Figures, console: Console) -> None:
    for name, value in figures.items():
        console.print(f"{name:46} {value:8.2f}", highlight=False)
