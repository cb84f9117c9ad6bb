"""What a benchmark leaves behind: its figures and ratios as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

Figures = Mapping[str, float]


def keep(path: Path, contestants: Mapping[str, Figures], ratios: Figures, **more: object) -> None:
    """Write the figures of each contestant, and the ratios between them."""
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"contestants": contestants, "ratios": ratios, **more}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
