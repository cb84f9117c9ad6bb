"""Gaps, as the gap marks in the trade stream tell of them."""

from __future__ import annotations

from market.quality_event import QualityRule, Severity, of_whole
from market.rules.finding import Finding
from market.trade import GapMark


def begin_of(mark: GapMark, latest: int) -> int | None:
    """Where a gap begins: where its mark says, else at the latest time of the stream (0: there is none before)."""
    return latest or None if mark.begin is None else mark.begin


def gap(mark: GapMark, latest: int) -> Finding:
    """GAP for the stretch that trades are missing from; INFO when they came later, or when the stream just begins."""
    begin = begin_of(mark, latest)
    if begin is None:
        return Finding(QualityRule.GAP, Severity.INFO, None, None, None, "the stream begins")
    length = max(mark.end - begin, 0)
    severity, detail = (
        (Severity.INFO, "the trades missed came later")
        if mark.healed
        else (Severity.WARNING, f"trades may be missing from the {length / 1e6:.3f} s up to {mark.end}")
    )
    return Finding(QualityRule.GAP, severity, None, of_whole(length), None, detail)
