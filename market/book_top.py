"""The best levels of a book with what is computed from them: spread, imbalance, microprice.

All figures are derived from the sizes and prices stated, none is smoothed; where a side is empty they are None, never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from market.decimals import divide_half_even, ratio
from market.depth import BookState, Level
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.quality import check_figure, check_id, check_positive, check_time, check_whole

LEVELS = 20
"""Levels of each side that are told by default."""


class BookTop(NamedTuple):
    """The best levels of a book, best first, after the message that the source fields name.

    `spread` is a price difference (scale 12, negative where the book is crossed), `imbalance` a ratio (scale 12) from -1 (all
    size asks) to 1 (all size bids) over the levels told, `microprice` a price (scale 12). `sequence` is the venue's.
    """

    instrument: str
    state: BookState
    bids: Sequence[Level]
    asks: Sequence[Level]
    spread: int | None
    imbalance: int | None
    microprice: int | None
    is_crossed: bool
    sequence: int | None
    exchange_time: int | None
    received_at: int
    source_topic: str
    source_partition: int
    source_offset: int


class Side(Protocol):
    """The levels of one side of a book."""

    @property
    def top(self) -> Level | None:
        """The best level."""

    def best(self, number: int) -> list[Level]:
        """The best levels, best first; all where there are fewer."""


class OrderBook(Protocol):
    """What has a top: a `market.book.Book`, or whatever follows one."""

    @property
    def state(self) -> BookState:
        """Whether it can be trusted."""

    @property
    def bids(self) -> Side:
        """The bids."""

    @property
    def asks(self) -> Side:
        """The asks."""

    @property
    def last_sequence(self) -> int | None:
        """The venue's number of the last change in the levels."""

    @property
    def exchange_time(self) -> int | None:
        """The venue's time of the last change in the levels."""


def spread(bid: Level | None, ask: Level | None) -> int | None:
    """Best ask less best bid."""
    return None if bid is None or ask is None else ask.price - bid.price


def imbalance(bids: Sequence[Level], asks: Sequence[Level]) -> int | None:
    """(B - A) / (B + A) at scale 12, half-even; B and A are the sizes of all these bids and asks.

    Cartea, Donnelly, Jaimungal, "Enhancing trading strategies with order book signals" (2018), eq. 1, there for the best level.
    """
    bid_size, ask_size = sum(level.size for level in bids), sum(level.size for level in asks)
    return ratio(bid_size - ask_size, bid_size + ask_size) if bid_size and ask_size else None


def microprice(bid: Level | None, ask: Level | None) -> int | None:
    """(ask price × bid size + bid price × ask size) / (bid size + ask size) at scale 12, half-even: the mid by sizes.

    Gatheral, Oomen, "Zero-intelligence realized variance estimation" (2010), where it has this name. Stoikov, "The micro-price"
    (2018), calls it the weighted mid-price and estimates another one from history.
    """
    if bid is None or ask is None:
        return None
    return divide_half_even(ask.price * bid.size + bid.price * ask.size, bid.size + ask.size)


def top_of(
    book: OrderBook, *, instrument: str, received_at: int, source: tuple[str, int, int], levels: int = LEVELS
) -> BookTop:
    """The top of a book; `source` is topic, partition and offset of the message that made it so."""
    bids, asks = book.bids.best(levels), book.asks.best(levels)
    between = spread(book.bids.top, book.asks.top)
    return BookTop(
        instrument=instrument,
        state=book.state,
        bids=tuple([Level(price, size) for price, size, _ in bids]),
        asks=tuple([Level(price, size) for price, size, _ in asks]),
        spread=between,
        imbalance=imbalance(bids, asks),
        microprice=microprice(book.bids.top, book.asks.top),
        is_crossed=between is not None and between <= 0,
        sequence=book.last_sequence,
        exchange_time=book.exchange_time,
        received_at=received_at,
        source_topic=source[0],
        source_partition=source[1],
        source_offset=source[2],
    )


def check_book_top(top: BookTop) -> BookTop:
    """Return a top unchanged whose levels are sorted and whose figures are those of the levels. Raises DataValidationError."""
    check_instrument(top.instrument)
    _check_side(top.bids, "bids", -1)
    _check_side(top.asks, "asks", 1)
    _check_derived(top)
    if top.sequence is not None:
        check_whole(top.sequence, field="sequence")
    check_time(top.received_at, field="received_at")
    if top.exchange_time is not None:
        check_time(top.exchange_time, field="exchange_time")
    check_id(top.source_topic, field="source_topic")
    return top


def _check_side(levels: Sequence[Level], field: str, sign: int) -> None:
    for level in levels:
        check_positive(level.price, field=field)
        check_positive(level.size, field=field)
    if any(sign * level.price >= sign * after.price for level, after in pairwise(levels)):
        raise DataValidationError("inconsistent", f"{field}: not sorted from the best level on", field=field)


def _check_derived(top: BookTop) -> None:
    bid, ask = top.bids[0] if top.bids else None, top.asks[0] if top.asks else None
    derived = {"spread": spread(bid, ask), "imbalance": imbalance(top.bids, top.asks), "microprice": microprice(bid, ask)}
    for field, wanted in derived.items():
        stated = getattr(top, field)
        if stated is not None:
            check_figure(stated, field=field)
        if stated != wanted:
            raise DataValidationError("inconsistent", f"{field}: not that of the levels", field=field)
    if top.is_crossed != (top.spread is not None and top.spread <= 0):
        raise DataValidationError("inconsistent", "is_crossed: not so by the levels", field="is_crossed")
