"""What is aimed at in the mark-to-market benchmark. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.stream.report import Results

_RATIOS = {
    "full_revaluation_1m_positions_ms": ("compiled", "full_revaluation_1m_positions_ms"),
    "plain_full_revaluation_1m_positions_ms": ("plain", "full_revaluation_1m_positions_ms"),
    "p99_ms": ("compiled", "batch_p99_ms"),
    "cpu_p99_ms": ("compiled", "batch_cpu_p99_ms"),
    "mb_1m_positions": ("compiled", "arrays_mb_1m_positions"),
    "totals_acknowledged_p99_ms": ("live", "totals_p99_ms"),
    "end_to_end_p99_ms": ("live", "change_p99_ms"),
}
_VERSUS = ("plain_faust", "live_small", "totals_p50_ms")


def ratios(results: Results) -> Mapping[str, float]:
    """The figures that there are targets for, and how much longer plain Faust takes until all totals are appended."""
    found = {name: results[contestant][figure] for name, (contestant, figure) in _RATIOS.items() if contestant in results}
    slow, fast, figure = _VERSUS
    if slow in results and fast in results:
        found["vs_plain_faust"] = results[slow][figure] / results[fast][figure]
    return found
