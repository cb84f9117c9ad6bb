"""Times of records: ahead of the clock that received them, or behind the record before."""

from __future__ import annotations

from typing import NamedTuple

from market.quality_event import QualityRule, Severity, of_whole
from market.rules.finding import Finding


class Place(NamedTuple):
    """Where a record stands in the order of its stream: by event time, then by the venue's sequence."""

    event_time: int
    sequence: int


def future_time(event_time: int, received_at: int, tolerance: int) -> Finding | None:
    """FUTURE_TIME when an event time lies more than `tolerance` microseconds ahead of the time of receipt."""
    ahead = event_time - received_at
    if ahead <= tolerance:
        return None
    return Finding(
        QualityRule.FUTURE_TIME,
        Severity.WARNING,
        "exchange_time",
        of_whole(event_time),
        of_whole(received_at),
        f"the venue's time is {ahead / 1e6:.3f} s ahead of the receiver's",
    )


def out_of_order(place: Place, last: Place | None) -> Finding | None:
    """OUT_OF_ORDER when a record comes after one of a later place."""
    if last is None or place >= last:
        return None
    behind = last.event_time - place.event_time
    field, observed, expected, detail = (
        ("exchange_time", place.event_time, last.event_time, f"{behind / 1e6:.3f} s before the latest record")
        if behind
        else ("sequence", place.sequence, last.sequence, "a lower sequence than the latest record of the same time")
    )
    return Finding(QualityRule.OUT_OF_ORDER, Severity.WARNING, field, of_whole(observed), of_whole(expected), detail)
