"""How a venue lets its listeners see that they missed nothing: rules of sequence, and checksums, as data.

A rule says of a delta whether it is the next one, an old one, or whether one was missed before it.

| rule | venues | the next delta |
|---|---|---|
| `unnumbered` | Kraken v1, Bitget v1, Coinbase | any; a checksum tells whether the book is right, if there is one |
| `by_previous_if_named` | OKX, Deribit, Bitfinex, Coinbase Advanced | names the one before it; any where it names none |
| `by_range` | Binance spot, Gate.io, Bitstamp | covers the update after the last one: U ≤ last + 1 ≤ u |
| `by_previous` | Binance futures | names the last one as the one before it (pu) |
| `by_one` | Bybit v5, Kraken Futures | has the next number |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from market.depth import Depth, Level
from market.errors import DataValidationError


class Step(Enum):
    """What a delta is to a book."""

    NEXT = "next"
    OLD = "old"
    MISSED = "missed"


SequenceRule = Callable[[Depth, int, bool], Step]
"""A delta, the last sequence in the book, and whether that is a snapshot's; raises DataValidationError (`missing_field`)."""

Checksum = Callable[[Sequence[Level], Sequence[Level]], int]
"""The venue's checksum of the best bids and the best asks, best first."""


def unnumbered(_depth: Depth, _last: int, _from_snapshot: bool) -> Step:
    """Every delta follows the one before it."""
    return Step.NEXT


def by_range(depth: Depth, last: int, _from_snapshot: bool) -> Step:
    """The delta sums up the updates `first_sequence` to `last_sequence`, each update has a number of its own.

    Binance, "How to manage a local order book correctly" (spot): drop what ends at or before the snapshot's `lastUpdateId`; the
    first to apply has U ≤ lastUpdateId + 1 ≤ u; afterwards each U is the last u + 1. Gate.io's `spot.order_book_update` has the
    same rule; Bitstamp's diffs have times for numbers, and each covers all since the one before it. Sizes are absolute, so a
    delta that begins before the end of the book and reaches beyond it is applied.
    """
    first, until = _given(depth.first_sequence, "first_sequence"), _given(depth.last_sequence, "last_sequence")
    if until <= last:
        return Step.OLD
    return Step.NEXT if first <= last + 1 else Step.MISSED


def by_previous(depth: Depth, last: int, from_snapshot: bool) -> Step:
    """The delta names the last update of the one before it; numbers have holes.

    Binance, "How to manage a local order book correctly" (USD-M futures): drop what ends before the snapshot's `lastUpdateId`;
    the first to apply has U ≤ lastUpdateId ≤ u; afterwards each `pu` is the last `u`.
    """
    until, previous = _given(depth.last_sequence, "last_sequence"), _given(depth.previous_sequence, "previous_sequence")
    if previous == last:
        return Step.NEXT
    if from_snapshot and _given(depth.first_sequence, "first_sequence") <= last <= until:
        return Step.NEXT
    return Step.OLD if until <= last else Step.MISSED


def by_previous_if_named(depth: Depth, last: int, _from_snapshot: bool) -> Step:
    """The delta names the number of the one before it, where it has numbers at all.

    OKX, "Order book channel", "Sequence ID": after maintenance the numbers begin anew, in a message that still names the last
    one before it; a message without changes has the number of the one before it. Deribit names it `prev_change_id`. Bitfinex
    and Coinbase Advanced Trade number all frames of a connection, so their feeds name the last one of the book, or one that
    was missed since.
    """
    return Step.NEXT if depth.last_sequence is None or depth.previous_sequence == last else Step.MISSED


def by_one(depth: Depth, last: int, _from_snapshot: bool) -> Step:
    """Each message has a number, one more than the one before it (Bybit v5 `orderbook`: `u`; Kraken Futures `book`: `seq`)."""
    number = _given(depth.last_sequence, "last_sequence")
    if number <= last:
        return Step.OLD
    return Step.NEXT if number == last + 1 else Step.MISSED


@dataclass(frozen=True, slots=True)
class BookRules:
    """How the books of one channel of a venue are kept.

    `fetched`: the snapshot is asked for beside the stream, so it may be older than deltas that came before it; they are kept
    for it. Otherwise the venue sends the snapshot in the stream, before the deltas that follow it. `checked_levels` of each
    side go into the checksum. A book that the venue tells of to a fixed number of levels has `max_levels`: what falls beyond
    is removed by the listener, without a message.
    """

    step: SequenceRule = unnumbered
    fetched: bool = False
    checksum: Checksum | None = None
    checked_levels: int = 0
    max_levels: int | None = None

    @property
    def is_numbered(self) -> bool:
        """Whether every message carries its sequence."""
        return self.step not in (unnumbered, by_previous_if_named)


def _given(sequence: int | None, field: str) -> int:
    if sequence is None:
        raise DataValidationError("missing_field", f"{field}: the venue's rule of sequence needs it", field=field)
    return sequence
