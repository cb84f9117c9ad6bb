"""What is kept of the mark-to-market benchmark. Ratios are pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.stream.report import Results

_RATIOS = {
    "full_revaluation_1m_positions_ms": ("compiled", "full_revaluation_1m_positions_ms"),
    "plain_full_revaluation_1m_positions_ms": ("plain", "full_revaluation_1m_positions_ms"),
    "p99_ms": ("compiled", "batch_p99_ms"),
    "cpu_p99_ms": ("compiled", "batch_cpu_p99_ms"),
}


def ratios(results: Results) -> Mapping[str, float]:
    """The figures that there are targets for."""
    return {name: results[contestant][figure] for name, (contestant, figure) in _RATIOS.items() if contestant in results}


def keep(results: Results, path: Path) -> None:
    """Write the figures and ratios as JSON."""
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"contestants": results, "ratios": ratios(results)}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
