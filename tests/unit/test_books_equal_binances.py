"""Books rebuilt from recorded Binance traffic against the best bid and ask that the venue itself told of the same update."""

from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import pytest

from market.book import Book
from market.book_rules import BookRules
from market.depth import BookState, Depth, DepthKind
from market.quote import Quote
from schemas.records import Record
from tests.counted import show
from tests.ingest_parts import CRYPTOFEED, FUTURES, FUTURES_LISTING, SAMPLE, SPOT, SPOT_LISTING, played_files

BETWEEN_TICKERS = {50093478174, 50093480542}
"""Two deltas of the sample end within a burst of changes, three and four updates after the last bookTicker and before the
next one. The best bid the venue told at either ticker was gone in between (in the second case a trade had just taken all of
it), and no bookTicker was sent of that. The book has it right: the ones before and after are equal, and so are the tickers
that have a delta's own update id."""

Top = tuple[int | None, int | None, int | None, int | None]


def tops(records: Iterable[Record], instrument: str) -> list[tuple[int, Top]]:
    """Sequence and top after each message of a book that a listener without the venue's rules rebuilds, while it is LIVE."""
    book, found = Book(BookRules()), list[tuple[int, Top]]()
    for record in records:
        if isinstance(record, Depth) and record.instrument == instrument and record.state is BookState.LIVE:
            book.apply(record)
            bid, ask = book.bids.top, book.asks.top
            top = (*(bid[:2] if bid else (None, None)), *(ask[:2] if ask else (None, None)))
            if found and found[-1][0] == record.last_sequence:
                assert found[-1][1] == top  # told whole once more
            else:
                found.append((record.last_sequence or 0, top))
    return found


def told(records: Iterable[Record], instrument: str) -> dict[int, Top]:
    quotes = (record for record in records if isinstance(record, Quote) and record.instrument == instrument)
    return {quote.sequence or 0: (quote.bid, quote.bid_size, quote.ask, quote.ask_size) for quote in quotes}


def test_book_of_the_sample_has_the_top_that_the_venue_told(capsys: pytest.CaptureFixture[str]) -> None:
    records = played_files(*SAMPLE)
    states = [record.state for record in records if isinstance(record, Depth)]
    assert states == [BookState.SYNCING] * 3 + [BookState.LIVE] * (6_496 - 3 + 10)
    tickers = told(records, "binance:BTC-USDT")
    numbers = sorted(tickers)
    same_id, compared, different = 0, 0, set()
    for sequence, top in tops(records, "binance:BTC-USDT"):
        at = bisect_right(numbers, sequence) - 1
        compared += 1
        if tickers[numbers[at]] != top:
            different.add(sequence)
        if numbers[at] == sequence:
            same_id += 1
            assert tickers[sequence] == top
    show(capsys, f"binance spot: {compared} tops, {same_id} of them with a bookTicker's own id; different: {sorted(different)}")
    assert (compared, same_id, different) == (6_493, 1_072, BETWEEN_TICKERS)


def test_who_begins_to_read_in_the_middle_has_the_book_with_the_next_snapshot() -> None:
    records = played_files(*SAMPLE)
    wholes = [
        number for number, record in enumerate(records) if isinstance(record, Depth) and record.kind is DepthKind.SNAPSHOT
    ]
    assert len(wholes) == 11
    from_the_start, from_the_middle = tops(records, "binance:BTC-USDT"), tops(records[wholes[7] :], "binance:BTC-USDT")
    assert from_the_middle == from_the_start[-len(from_the_middle) :]


@pytest.mark.parametrize(
    ("listing", "stream", "answers", "compared"),
    [
        (SPOT_LISTING, SPOT, CRYPTOFEED / "BINANCE-20211012" / "BINANCE.http.0.0.gz", 26),
        (FUTURES_LISTING, FUTURES, CRYPTOFEED / "BINANCE_FUTURES-20210722" / "BINANCE_FUTURES.http.0.0.gz", 50),
    ],
    ids=["spot", "futures"],
)
def test_books_joined_from_stream_and_rest_have_the_tops_that_the_venue_told(
    capsys: pytest.CaptureFixture[str], listing: Path, stream: Path, answers: Path, compared: int
) -> None:
    records = played_files(listing, stream, answers)
    last: dict[str, BookState] = {record.instrument: record.state for record in records if isinstance(record, Depth)}
    assert len(last) == 4
    assert set(last.values()) == {BookState.LIVE}
    found = 0
    for instrument in last:
        tickers = told(records, instrument)
        for sequence, top in tops(records, instrument):
            if sequence in tickers:
                found += 1
                assert tickers[sequence] == top, (instrument, sequence)
    show(capsys, f"{stream.parent.name}: {found} tops with a bookTicker's own id equal it")
    assert found == compared
