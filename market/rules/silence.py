"""Streams that have gone quiet: live by their time marks, but without trades."""

from __future__ import annotations

from dataclasses import dataclass

from market.quality_event import QualityRule, Severity, of_whole
from market.rules.finding import Finding


@dataclass(slots=True)
class Silence:
    """When the last trade was heard (event time, or of the first mark where there was none; 0: nothing yet). Plain data."""

    heard_at: int = 0
    is_stale: bool = False

    def mark(self, time: int, limit: int) -> Finding | None:
        """Time has come to `time`: STALE when that is `limit` microseconds or more after the last trade, told once."""
        self.heard_at = self.heard_at or time
        silent = time - self.heard_at
        if self.is_stale or silent < limit:
            return None
        self.is_stale = True
        return _finding(Severity.WARNING, silent, limit, f"no trade for {silent / 1e6:.3f} s")

    def trade(self, time: int, latest: int, limit: int) -> Finding | None:
        """A trade came, in a stream whose latest time is `latest`: INFO when it ends a silence."""
        silent = time - self.heard_at
        self.heard_at = max(self.heard_at, time)
        if not self.is_stale or latest - self.heard_at >= limit:
            return None
        self.is_stale = False
        return _finding(Severity.INFO, silent, limit, f"a trade again after {silent / 1e6:.3f} s")


def _finding(severity: Severity, silent: int, limit: int, detail: str) -> Finding:
    return Finding(QualityRule.STALE, severity, None, of_whole(silent), of_whole(limit), detail)
