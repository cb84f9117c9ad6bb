"""What is counted of a minute until its score is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from market.quality_score import MINUTE, SECONDS

_SECOND = MINUTE.micros // SECONDS


@dataclass(slots=True)
class QualityMinute:
    """Plain data. `open_time` is None before the first record whose time is believed; `faulty` has a bit for each second."""

    open_time: int | None = None
    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    faulty: int = 0

    @property
    def faulty_seconds(self) -> int:
        """How many seconds have a fault."""
        return self.faulty.bit_count()

    def count(self, rule: str) -> None:
        """A rule was broken."""
        self.counts[rule] = self.counts.get(rule, 0) + 1

    def fault(self, begin: int, end: int) -> None:
        """The seconds from `begin` up to, and without, `end` are faulty, as far as they lie in this minute."""
        if self.open_time is None or begin >= end:
            return
        first = max(begin - self.open_time, 0) // _SECOND
        last = (min(end - self.open_time, MINUTE.micros) - 1) // _SECOND
        if first <= last:
            self.faulty |= ((1 << (last - first + 1)) - 1) << first
