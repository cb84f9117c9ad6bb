"""What a venue says about an order book, message by message, and the state of the book rebuilt from it.

A message is a snapshot (all levels) or a delta (levels that changed; size 0 removes one). `market.book` makes a book of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import MAX_CLOCK_SKEW, check_not_negative, check_positive, check_time, check_whole

_LIMIT = 10**PRECISION


class DepthKind(StrEnum):
    """SNAPSHOT: all levels the venue tells of. DELTA: levels that changed."""

    SNAPSHOT = "SNAPSHOT"
    DELTA = "DELTA"


class BookState(StrEnum):
    """Whether a book can be trusted.

    SYNCING: no snapshot yet. LIVE: the venue's book. GAP: a message was missed, or the checksum differs; only a snapshot mends
    it.
    """

    SYNCING = "SYNCING"
    LIVE = "LIVE"
    GAP = "GAP"


class Level(NamedTuple):
    """Size offered at a price, both unscaled at scale 12; size 0 in a delta removes the price.

    `text` is what the venue's checksum reads of the level, in the venue's own digits. Only books of venues with checksums keep
    it; it does not go on the wire.
    """

    price: int
    size: int
    text: str | None = None


class Depth(NamedTuple):
    """One message about the book of an instrument.

    The sequences are the venue's: those of the first and last change that the message sums up, and of the message before it;
    None where the venue gives none. `checksum` is the venue's, of its book after the message. `state` is that of the book
    after the message; SYNCING as long as no book has taken it in.
    """

    instrument: str
    kind: DepthKind
    bids: Sequence[Level]
    asks: Sequence[Level]
    first_sequence: int | None
    last_sequence: int | None
    previous_sequence: int | None
    checksum: int | None
    exchange_time: int | None
    received_at: int
    state: BookState = BookState.SYNCING
    published_at: int | None = None


def check_depth(depth: Depth, *, max_skew: int = MAX_CLOCK_SKEW) -> Depth:
    """Return a message unchanged whose figures can be those of a book. Raises DataValidationError naming the field.

    A crossed book is true as a statement of the venue and left to quality rules.
    """
    check_instrument(depth.instrument)
    for field, levels in (("bids", depth.bids), ("asks", depth.asks)):
        for price, size, _ in levels:
            if not (0 < price < _LIMIT and 0 <= size < _LIMIT):
                check_positive(price, field=field)
                check_not_negative(size, field=field)
    for field in ("first_sequence", "last_sequence", "previous_sequence", "checksum"):
        number = getattr(depth, field)
        if number is not None:
            check_whole(number, field=field)
    first, last = depth.first_sequence, depth.last_sequence
    if first is not None and last is not None and first > last:
        raise DataValidationError(
            "inconsistent", f"first_sequence: {first} is after last_sequence {last}", field="first_sequence"
        )
    check_time(depth.received_at, field="received_at")
    if depth.exchange_time is not None:
        check_time(depth.exchange_time, field="exchange_time", not_after=depth.received_at + max_skew)
    if depth.published_at is not None:
        check_time(depth.published_at, field="published_at")
    return depth
