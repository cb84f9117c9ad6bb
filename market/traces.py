"""What positions leave behind that were closed and removed, so that what they brought counts in the profit of their day.

Traces of one instrument, currency, multiplier and settlement are one: what was held and paid at a time adds up. So a
portfolio has no more of them than it traded instruments lately, each with the beginnings that one position may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from market.beginnings import Beginning, Kept, added
from market.interval import DAY
from market.position import Position, Settlement

TRACES_KEPT = 14 * DAY
"""Microseconds after its last change that a trace is kept: a trading day may last as long as the longest holidays after it."""


class Trace(NamedTuple):
    """What is left of removed positions: flat since `updated_at`, and for `paid` (scale 24) in all.

    The other fields are those of `Position`.
    """

    instrument: str
    currency: str
    multiplier: int
    settlement: Settlement
    paid: int
    updated_at: int
    beginnings: tuple[Beginning, ...]
    known_since: int

    @property
    def flat(self) -> Position:
        """The position of which this is left, named as its instrument; what it brought besides trading is nothing."""
        return Position(
            position_id=self.instrument,
            instrument=self.instrument,
            currency=self.currency,
            multiplier=self.multiplier,
            settlement=self.settlement,
            **dict.fromkeys(("quantity", "cost", "fees", "funding", "dividends", "opened_at", "version"), 0),
            lots=(),
            realised_pnl=-self.paid,
            updated_at=self.updated_at,
            beginnings=self.beginnings,
            known_since=self.known_since,
        )


def lately(traces: Iterable[Trace], at: int) -> tuple[Trace, ...]:
    """Those that may still be of somebody's day."""
    return tuple(trace for trace in traces if trace.updated_at > at - TRACES_KEPT)


def left_behind(traces: Iterable[Trace], position: Position) -> tuple[Trace, ...]:
    """The traces with that of a flat position."""
    found = {trace[:4]: trace for trace in traces}
    new = _trace_of(position)
    before = found.get(new[:4])
    found[new[:4]] = new if before is None else _merged(before, new)
    return tuple(found.values())


def _trace_of(position: Position) -> Trace:
    since, beginnings = position.kept
    kind = position.instrument, position.currency, position.multiplier, position.settlement
    return Trace(*kind, position.paid, position.updated_at, beginnings, since)


def _merged(first: Trace, second: Trace) -> Trace:
    kepts = (Kept(each.known_since, each.beginnings) for each in (first, second))
    ends = (Beginning(each.updated_at, 0, each.paid) for each in (first, second))
    since, beginnings = added(*zip(kepts, ends, strict=True))
    updated_at = max(first.updated_at, second.updated_at)
    return first._replace(paid=first.paid + second.paid, updated_at=updated_at, beginnings=beginnings, known_since=since)
