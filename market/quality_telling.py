"""Which events are told: of each rule and severity at most one a period, summing up those between.

A flood of faults is no flood of events, and a small fault does not hide a great one.


The first is told at once. Later ones within the period are held, as one, and told with the first record after it. The clock is
that of receipt (the latest receive time or mark), so a replay tells the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from market.quality import INT
from market.quality_event import QualityEvent


@dataclass(slots=True)
class Told:
    """When an event of a rule and severity was told last, and what is held since. Plain data."""

    at: int
    held: QualityEvent | None = None


def tell(told: dict[str, Told], event: QualityEvent, now: int, period: int) -> QualityEvent | None:
    """The event to tell now that this one happened; None when it is held."""
    kind = f"{event.rule}|{event.severity}"
    known = told.get(kind)
    if known is None:
        told[kind] = Told(now)
        return event
    if known.held is not None:
        event = event._replace(occurrences=min(known.held.occurrences + 1, INT - 1))
    known.held = event
    return _release(known, now, period)


def due(told: dict[str, Told], now: int, period: int) -> list[QualityEvent]:
    """Events held for a period or longer."""
    released = [_release(known, now, period) for known in told.values()]
    return [event for event in released if event is not None]


def _release(known: Told, now: int, period: int) -> QualityEvent | None:
    if known.held is None or now - known.at < period:
        return None
    event, known.held, known.at = known.held, None, now
    return event
