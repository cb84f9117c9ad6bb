"""Where trades of an instrument may be missing, as its gap marks tell.

A healed stretch stays healed, so that a replay that tells of its gap again changes nothing. The memory is bounded:
beyond MAX_GAPS the oldest healed ones are forgotten, then the oldest of all, and time before the end of such a one counts as
a gap from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

MAX_GAPS = 64


class Gap(NamedTuple):
    """A stretch of event time (microseconds, end exclusive) whose trades are missing, or came later (`healed`)."""

    begin: int
    end: int
    healed: bool = False


@dataclass(slots=True)
class KnownGaps:
    """Plain data, so that it can be stored. `known` is in the order told; what lies before `floor` counts as a gap."""

    known: list[Gap] = field(default_factory=list)
    floor: int = 0

    def tell(self, begin: int, end: int) -> bool:
        """Remember a gap; False when that changes nothing: it was told before, or lies within a healed stretch."""
        if Gap(begin, end) in self.known or self._is_healed(begin, end):
            return False
        self._remember(Gap(begin, end))
        return True

    def heal(self, begin: int, end: int) -> bool:
        """Heal a stretch and all gaps that lie wholly within it; False when that changes nothing."""
        if self._is_healed(begin, end):
            return False
        self.known = [gap for gap in self.known if gap.begin < begin or gap.end > end]
        self._remember(Gap(begin, end, healed=True))
        return True

    def touches(self, begin: int, end: int) -> bool:
        """Whether trades may be missing within these times."""
        return begin < self.floor or any(not gap.healed and gap.begin < end and gap.end > begin for gap in self.known)

    def forget(self, before: int) -> None:
        """Forget gaps that end at or before a time."""
        self.known = [gap for gap in self.known if gap.end > before]

    def _is_healed(self, begin: int, end: int) -> bool:
        return any(gap.healed and gap.begin <= begin and end <= gap.end for gap in self.known)

    def _remember(self, gap: Gap) -> None:
        self.known.append(gap)
        if len(self.known) <= MAX_GAPS:
            return
        oldest = min(self.known, key=lambda gap: (not gap.healed, gap.end))
        self.known.remove(oldest)
        if not oldest.healed:
            self.floor = max(self.floor, oldest.end)
