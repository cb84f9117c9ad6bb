"""Books rebuilt from recorded traffic against the best prices that the venue told beside them."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from market.book import Book
from market.book_rules import BookRules
from market.depth import BookState, Depth
from market.quote import Quote
from tests.counted import show
from tests.venue_data import BITFINEX, COINBASE, DERIBIT, KRAKEN_FUTURES, recorded

Top = tuple[int | None, int | None, int | None, int | None]
"""Bid, ask, and their sizes."""


class Told:
    """The tops that the book of an instrument has had, with the venue's time of each."""

    def __init__(self) -> None:
        self.tops: list[tuple[int | None, Top]] = []
        self._book = Book(BookRules())

    def take(self, depth: Depth) -> None:
        self._book.apply(depth)
        bid, ask = self._book.bids.top, self._book.asks.top
        prices = bid and bid.price, ask and ask.price
        self.tops.append((depth.exchange_time, (*prices, bid and bid.size, ask and ask.size)))


def now(told: Told, _quote: Quote) -> list[Top]:
    """The top when the ticker came."""
    return [told.tops[-1][1]] if told.tops else []


def by_its_time(told: Told, quote: Quote) -> list[Top]:
    """The last top of the time that the ticker tells, or one before it."""
    assert quote.exchange_time is not None
    until = [top for time, top in told.tops if time is not None and time <= quote.exchange_time]
    return until[-1:]


def at_any_time(told: Told, _quote: Quote) -> list[Top]:
    """All tops that there were until the ticker came."""
    return [top for _, top in told.tops]


@pytest.mark.parametrize(
    ("venue", "paths", "when", "with_sizes", "equal", "others", "early"),
    [
        pytest.param("kraken_futures", KRAKEN_FUTURES, now, False, 107, 0, 0, id="kraken_futures"),
        pytest.param("deribit", DERIBIT, by_its_time, True, 89, 0, 0, id="deribit"),
        pytest.param("coinbase", COINBASE, now, False, 100, 0, 7, id="coinbase"),
        pytest.param("bitfinex", BITFINEX, at_any_time, False, 13, 1, 7, id="bitfinex"),
    ],
)
def test_best_prices_of_tickers_are_those_of_the_books(
    capsys: pytest.CaptureFixture[str],
    venue: str,
    paths: Sequence[Path],
    when: Callable[[Told, Quote], list[Top]],
    with_sizes: bool,
    equal: int,
    others: int,
    early: int,
) -> None:
    """`early` is the first ticker of an instrument, which tells of the time before the recording or before the book.

    A ticker of Deribit comes before or after the message about the book that it goes with, so their times decide. Those of
    Bitfinex are told some seconds late, so only whether the book had such a top before is asked; one is of a top in between.
    """
    books: dict[str, Told] = {}
    asked: set[str] = set()
    found: Counter[str] = Counter()
    quotes: list[Quote] = []
    for record in recorded(venue, *paths)[0]:
        if isinstance(record, Depth):
            assert record.state is BookState.LIVE
            books.setdefault(record.instrument, Told()).take(record)
        elif isinstance(record, Quote) and when is not by_its_time:
            _count(found, asked, books, record, when, with_sizes)
        elif isinstance(record, Quote):
            quotes.append(record)
    for quote in quotes:
        _count(found, asked, books, quote, when, with_sizes)
    show(capsys, f"{venue}: {found['equal']} of {found['equal'] + found['other']} tickers have the best prices of the book")
    assert (found["equal"], found["other"], found["early"]) == (equal, others, early)


def _count(
    found: Counter[str],
    asked: set[str],
    books: dict[str, Told],
    quote: Quote,
    when: Callable[[Told, Quote], list[Top]],
    with_sizes: bool,
) -> None:
    is_first = quote.instrument not in asked
    asked.add(quote.instrument)
    columns = 4 if with_sizes else 2
    tops = {top[:columns] for top in when(books.setdefault(quote.instrument, Told()), quote)}
    told = (quote.bid, quote.ask, quote.bid_size, quote.ask_size)[:columns]
    found["equal" if told in tops else "early" if is_first else "other"] += 1
