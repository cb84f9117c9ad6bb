"""Which tops of a book are told, and what they hold."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book_side import BookSide
from market.book_top import BookTop, check_book_top
from market.book_tops import BookHead, BookTops, TopRules
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level
from tests.builders import INSTRUMENT, START

PERIOD = 100_000


def tops(**kwargs: Any) -> BookTops[BookSide]:
    sides = BookSide(is_bid=True), BookSide(is_bid=False)
    return BookTops(INSTRUMENT, BookHead(), *sides, source=("md.depth", 3), rules=TopRules(), **kwargs)


def message(
    kind: DepthKind = DepthKind.DELTA,
    state: BookState = BookState.LIVE,
    *,
    bids: dict[int, int] | None = None,
    asks: dict[int, int] | None = None,
    at: int = 0,
    sequence: int | None = None,
) -> Depth:
    """A message with whole prices and sizes, received `at` microseconds after a full minute."""
    found, others = ([Level(price * ONE, size * ONE) for price, size in (side or {}).items()] for side in (bids, asks))
    return Depth(INSTRUMENT, kind, found, others, None, sequence, None, None, START + at - 5, START + at, state)


SNAPSHOT = message(DepthKind.SNAPSHOT, bids={99: 1, 98: 2}, asks={101: 3, 102: 1}, sequence=7)


def shape(top: BookTop | None) -> tuple[str, list[int], list[int], int | None] | None:
    if top is None:
        return None
    check_book_top(top)
    return top.state.value, [bid.price // ONE for bid in top.bids], [ask.price // ONE for ask in top.asks], top.sequence


def test_snapshot_is_told_with_its_figures_and_source() -> None:
    top = tops().apply(SNAPSHOT, 41)
    assert shape(top) == ("LIVE", [99, 98], [101, 102], 7)
    assert top is not None
    assert (top.spread, top.received_at, top.exchange_time) == (2 * ONE, START, START - 5)
    assert (top.source_topic, top.source_partition, top.source_offset) == ("md.depth", 3, 41)


def test_deltas_change_the_levels_and_one_top_a_period_is_told() -> None:
    book = tops()
    book.apply(SNAPSHOT, 0)
    assert book.apply(message(bids={100: 1}, at=PERIOD - 1), 1) is None
    assert shape(book.apply(message(asks={101: 0}, at=PERIOD, sequence=9), 2)) == ("LIVE", [100, 99, 98], [102], 9)
    assert book.apply(message(at=PERIOD + 1), 3) is None
    assert book.apply(message(at=2 * PERIOD - 1), 4) is None
    assert book.apply(message(at=2 * PERIOD), 5) is not None


def test_clock_that_goes_back_does_not_silence_the_book() -> None:
    book = tops()
    book.apply(SNAPSHOT, 0)
    assert book.apply(message(at=-3600 * 10**6), 1) is not None


@pytest.mark.parametrize("state", [BookState.GAP, BookState.SYNCING])
def test_change_of_state_is_told_at_once_and_once_with_the_levels_before(state: BookState) -> None:
    book = tops()
    book.apply(SNAPSHOT, 0)
    assert shape(book.apply(message(state=state, bids={50: 1}, at=1, sequence=8), 1)) == (state.value, [99, 98], [101, 102], 7)
    assert book.apply(message(state=state, bids={51: 1}, at=PERIOD), 2) is None
    again = SNAPSHOT._replace(bids=[Level(90 * ONE, ONE)], received_at=START + PERIOD + 1)
    assert shape(book.apply(again, 3)) == ("LIVE", [90], [101, 102], 7)


def test_book_met_in_the_middle_is_syncing_until_its_snapshot() -> None:
    book = tops()
    assert shape(book.apply(message(bids={99: 1}), 0)) == ("SYNCING", [], [], None)
    assert book.apply(message(bids={98: 1}, at=PERIOD), 1) is None
    assert shape(book.apply(SNAPSHOT, 2)) == ("LIVE", [99, 98], [101, 102], 7)


def test_message_at_or_below_the_last_offset_changes_nothing() -> None:
    book = tops()
    book.apply(SNAPSHOT, 5)
    before = book.head.applied_offset, list(book.bids)
    assert [book.apply(message(bids={100: 1}, at=PERIOD), offset) for offset in (4, 5)] == [None, None]
    assert (book.head.applied_offset, list(book.bids)) == before


def test_book_with_a_message_missing_is_in_gap_until_its_next_snapshot() -> None:
    book = tops()
    book.miss(0)
    assert book.state.value == "SYNCING"
    book.apply(SNAPSHOT, 1)
    book.miss(1)
    assert book.state.value == "LIVE"
    book.miss(3)
    assert book.apply(message(bids={100: 1}), 3) is None
    assert shape(book.apply(message(bids={100: 1}, at=1), 4)) == ("GAP", [99, 98], [101, 102], 7)
    assert shape(book.apply(SNAPSHOT, 5)) == ("LIVE", [99, 98], [101, 102], 7)


def test_tops_up_to_the_settled_offset_are_not_told_again_but_count() -> None:
    book = tops(settled=1)
    assert book.apply(SNAPSHOT, 0) is None
    assert book.apply(message(at=PERIOD), 1) is None
    assert book.apply(message(at=PERIOD + 1), 2) is None
    assert book.apply(message(at=2 * PERIOD), 3) is not None


@given(st.lists(st.tuples(st.sampled_from(BookState), st.sampled_from(DepthKind), st.integers(0, PERIOD)), max_size=60))
def test_no_two_live_tops_are_of_one_period_and_no_state_goes_untold(found: list[tuple[BookState, DepthKind, int]]) -> None:
    book, at, told = tops(), 0, list[BookTop]()
    for offset, (state, kind, step) in enumerate(found):
        at += step
        top = book.apply(message(kind, state, bids={99: 1}, at=at), offset)
        told += [top] if top else []
        assert told[-1].state is book.state
    for before, after in pairwise(told):
        assert before.state is not after.state or after.received_at // PERIOD > before.received_at // PERIOD
