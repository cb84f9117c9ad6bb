"""Sides of a book on pages against plain ones, and what of them is stored."""

from hypothesis import given
from hypothesis import strategies as st

from market.book_side import BookSide
from market.decimals import ONE, PRECISION
from market.depth import Level
from processors.book_pages import PAGES, PagedSide, page_of
from processors.states.books import decode_levels_page, encode_levels_page

PRICES = st.integers(1, 60).map(lambda number: number * ONE) | st.integers(1, 10**PRECISION - 1)
LEVELS = st.lists(st.builds(Level, PRICES, st.integers(0, 3) | st.integers(0, 10**PRECISION - 1), st.none()), max_size=30)
CHANGES = st.lists(st.tuples(st.booleans(), LEVELS), max_size=8)


def change(side: BookSide, is_whole: bool, levels: list[Level]) -> None:
    if is_whole:
        side.replace(levels)
    else:
        for level in levels:
            side.put(level)


def stored_levels(pages: dict[int, bytes]) -> list[Level]:
    return [level for page in pages.values() for level in decode_levels_page(page)[1]]


@given(st.booleans(), CHANGES)
def test_touched_pages_are_all_that_must_be_stored(is_bid: bool, changes: list[tuple[bool, list[Level]]]) -> None:
    plain, paged, pages = BookSide(is_bid=is_bid), PagedSide(is_bid=is_bid), dict[int, bytes]()
    for is_whole, levels in changes:
        change(plain, is_whole, levels)
        change(paged, is_whole, levels)
        pages |= {number: encode_levels_page(5, encoded) for number, encoded in paged.take_touched()}
        assert list(paged) == list(plain)
        again = PagedSide(is_bid=is_bid, levels=stored_levels(pages))
        assert list(again) == list(plain)
        assert list(again.take_touched()) == []
        assert all(decode_levels_page(page)[0] == 5 for page in pages.values())


@given(LEVELS)
def test_what_is_told_again_touches_nothing(levels: list[Level]) -> None:
    paged = PagedSide(is_bid=True, levels=levels)
    paged.replace(list(paged))
    paged.put(Level(10**PRECISION, 0))
    assert not paged.touched


@given(PRICES)
def test_page_of_a_price_is_one_of_them(price: int) -> None:
    assert 0 <= page_of(price) < PAGES


def test_neighbours_share_a_page_and_distant_prices_do_not() -> None:
    tick = ONE // 100
    assert len({page_of(61_000 * ONE + number * tick) for number in range(500)}) <= 3
    assert len({page_of(61_000 * ONE + number * 10 * ONE) for number in range(100)}) == 100
