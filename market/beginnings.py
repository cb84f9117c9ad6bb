"""What a position was before it was changed, so that its profit since a time is known though it was traded since.

Of each quarter hour in which there was a change, what was held before the first one is remembered. The time that a day is
measured from is the begin of a quarter hour (`market.price_choice`); where a calendar says another one, what was held then is
not known if there was a change before in the same quarter hour. What is older than a long weekend is forgotten, and of a
position that is traded around the clock what is older than 26 hours: the day began later.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from market.interval import DAY, QUARTER_HOUR

KEPT = 4 * DAY
"""Microseconds that a beginning is remembered for, counted back from the last change."""

MOST = 104
"""Beginnings that are remembered of a position."""


class Beginning(NamedTuple):
    """What was held (scale 12) before a change at `at` (microseconds), and what had been paid for it in all (scale 24).

    `paid` is cost less realised profit: what fills and corrections have cost, less what they have brought.
    """

    at: int
    quantity: int
    paid: int


class Began(NamedTuple):
    """What was held at a time and what had been paid; so it was until a change at `until`, None where there was none since."""

    quantity: int
    paid: int
    until: int | None


class Kept(NamedTuple):
    """Beginnings in their order, complete for times from `since` on (microseconds)."""

    since: int
    beginnings: tuple[Beginning, ...]


def remember(kept: Kept, found: Beginning) -> Kept:
    """What is remembered when there is a change to what was `found`."""
    since, before = kept
    found = found._replace(at=max(found.at, before[-1].at)) if before else found
    if before and _quarter(before[-1].at) == _quarter(found.at):
        return kept
    return _bounded(Kept(since, (*before, found)))


def _bounded(kept: Kept) -> Kept:
    """Without what is forgotten of it; it has a beginning."""
    since, beginnings = kept
    oldest = bisect_left(beginnings, beginnings[-1].at - KEPT, key=_time)
    dropped = max(oldest, len(beginnings) - MOST)
    if dropped:
        since = max(since, _quarter(beginnings[dropped - 1].at) + QUARTER_HOUR)
    return Kept(since, beginnings[dropped:])


def added(*each: tuple[Kept, Beginning]) -> Kept:
    """What is remembered of several together, each with what it is now; what was held and paid adds up."""
    changed = dict[int, int]()
    for kept, _ in each:
        for one in kept.beginnings:
            changed[_quarter(one.at)] = min(one.at, changed.get(_quarter(one.at), one.at))
    beginnings = []
    for quarter, at in sorted(changed.items()):
        found = [next((one for one in kept.beginnings if one.at >= quarter), now) for kept, now in each]
        beginnings.append(Beginning(at, sum(one.quantity for one in found), sum(one.paid for one in found)))
    whole = Kept(max(kept.since for kept, _ in each), tuple(beginnings))
    return _bounded(whole) if beginnings else whole


def find(kept: Kept, time: int) -> Began | None:
    """What was held at a time at or before the last change; None where it is not known."""
    number = bisect_left(kept.beginnings, time, key=_time)
    is_blurred = number > 0 and _quarter(kept.beginnings[number - 1].at) == _quarter(time)
    if time < kept.since or is_blurred or number == len(kept.beginnings):
        return None
    found = kept.beginnings[number]
    return Began(found.quantity, found.paid, found.at)


def _quarter(time: int) -> int:
    return time - time % QUARTER_HOUR


def _time(beginning: Beginning) -> int:
    return beginning.at
