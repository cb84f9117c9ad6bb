"""How commands went: accepted, refused by reason, how long it took. Pure; told to each only of the portfolios it may see.

The time is that from the command's append to its answer being read here. An answer that comes again, because its command was
sent again or a worker has died, is counted apart.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from market.portfolio_reply import PortfolioReply, Reason

LATEST = 10_000
"""Answers whose times are kept for the percentiles."""

PERCENTILES = (50, 95, 99)


class CommandStats:
    """Counts since `since` (microseconds); answers of the time before are not counted."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._outcomes: dict[str, Counter[Reason | None]] = {}
        self._repeated = Counter[str]()
        self._latest: deque[tuple[str, int]] = deque(maxlen=LATEST)
        self._answered_to: dict[int, int] = {}

    def take(self, reply: PortfolioReply, now: int) -> None:
        """Count an answer read at `now`."""
        if reply.source_offset <= self._answered_to.get(reply.source_partition, -1):
            self._repeated[reply.portfolio_id] += 1
            return
        self._answered_to[reply.source_partition] = reply.source_offset
        if reply.decided_at < self.since:  # a command of before, or one that was answered before
            self._repeated[reply.portfolio_id] += 1
            return
        self._outcomes.setdefault(reply.portfolio_id, Counter())[reply.reason] += 1
        self._latest.append((reply.portfolio_id, max(0, now - reply.decided_at)))

    def describe(self, holds: Callable[[str], bool]) -> dict[str, Any]:
        """What is to be told to whom these portfolios are shown."""
        outcomes = Counter[Reason | None]()
        for portfolio_id, counted in self._outcomes.items():
            if holds(portfolio_id):
                outcomes += counted
        refused = {reason.value: count for reason, count in sorted(outcomes.items(), key=str) if reason is not None}
        times = sorted(micros for portfolio_id, micros in self._latest if holds(portfolio_id))
        return {
            "since": self.since,
            "accepted": outcomes[None],
            "refused": refused,
            "conflicts": outcomes[Reason.STALE_VERSION],
            "repeated": sum(count for portfolio_id, count in self._repeated.items() if holds(portfolio_id)),
            "latency_micros": {f"p{percent}": _percentile(times, percent) for percent in PERCENTILES},
            "measured": len(times),
        }


class RevaluationStats:
    """Counts of what was asked for here."""

    def __init__(self) -> None:
        self._failed = Counter[str]()
        self._valued = Counter[str]()
        self._latest: deque[tuple[str, int]] = deque(maxlen=LATEST)

    def valued(self, portfolio_id: str, micros: int) -> None:
        """Count one that was there after this time."""
        self._valued[portfolio_id] += 1
        self._latest.append((portfolio_id, max(0, micros)))

    def failed(self, portfolio_id: str) -> None:
        """Count one that was refused, or not there in time."""
        self._failed[portfolio_id] += 1

    def describe(self, holds: Callable[[str], bool]) -> dict[str, Any]:
        """What is to be told to whom these portfolios are shown."""
        times = sorted(micros for portfolio_id, micros in self._latest if holds(portfolio_id))
        return {
            "valued": sum(count for portfolio_id, count in self._valued.items() if holds(portfolio_id)),
            "failed": sum(count for portfolio_id, count in self._failed.items() if holds(portfolio_id)),
            "latency_micros": {f"p{percent}": _percentile(times, percent) for percent in PERCENTILES},
            "measured": len(times),
        }


def _percentile(ordered: list[int], percent: int) -> int | None:
    """The nearest-rank percentile; None of nothing."""
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None
