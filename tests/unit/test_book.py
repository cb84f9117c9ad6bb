"""The order book against a plain dict: any updates, cut anywhere; and every rule of sequence by its own words."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book import MOST_KEPT, Book
from market.book_rules import BookRules, SequenceRule, by_one, by_previous, by_previous_if_named, by_range, unnumbered
from market.book_side import BookSide
from market.book_top import check_book_top, imbalance, microprice, spread, top_of
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level, check_depth
from market.errors import DataValidationError
from tests.builders import INSTRUMENT, START

SYNCING, LIVE, GAP = BookState.SYNCING, BookState.LIVE, BookState.GAP
Side = dict[int, int]
Change = tuple[list[tuple[int, int]], list[tuple[int, int]]]


def levels(pairs: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    return tuple(Level(price * ONE, size * ONE) for price, size in pairs)


def snapshot(
    bids: Sequence[tuple[int, int]] = (),
    asks: Sequence[tuple[int, int]] = (),
    *,
    at: int | None = None,
    checksum: int | None = None,
) -> Depth:
    return Depth(INSTRUMENT, DepthKind.SNAPSHOT, levels(bids), levels(asks), None, at, None, checksum, None, START)


def delta(
    first: int | None = None,
    last: int | None = None,
    previous: int | None = None,
    *,
    bids: Sequence[tuple[int, int]] = (),
    asks: Sequence[tuple[int, int]] = (),
    checksum: int | None = None,
) -> Depth:
    return Depth(INSTRUMENT, DepthKind.DELTA, levels(bids), levels(asks), first, last, previous, checksum, START, START)


def sides(book: Book) -> tuple[Side, Side]:
    return {level.price // ONE: level.size // ONE for level in book.bids}, {a.price // ONE: a.size // ONE for a in book.asks}


def changed(side: Side, changes: Sequence[tuple[int, int]]) -> Side:
    for price, size in changes:
        side = {**side, price: size}
    return {price: size for price, size in side.items() if size}


PAIRS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=8)
CHANGES: st.SearchStrategy[list[Change]] = st.lists(st.tuples(PAIRS, PAIRS), max_size=25)


# one side


@given(PAIRS, st.booleans(), st.integers(0, 10))
def test_side_is_the_sorted_dict_of_its_levels(pairs: list[tuple[int, int]], is_bid: bool, most: int) -> None:
    one_by_one, at_once = BookSide(is_bid=is_bid), BookSide(is_bid=is_bid)
    for level in levels(pairs):
        one_by_one.put(level)
    at_once.replace(levels(pairs))
    wanted = [(price * ONE, size * ONE) for price, size in sorted(changed({}, pairs).items(), reverse=is_bid)]
    for side in (one_by_one, at_once):
        assert [(level.price, level.size) for level in side] == wanted
        assert [level[:2] for level in side.best(most)] == wanted[:most]
        assert side.top == (Level(*wanted[0]) if wanted else None)
        cut = side.trim(most)
        assert {level.price for level in cut} == {price for price, _ in wanted[most:]}
        assert all(level.size == 0 for level in cut)
        assert [level[:2] for level in side] == wanted[:most]


# a book, whole and cut


@given(CHANGES, CHANGES, st.integers(0, 25), st.integers(1, 3))
def test_book_equals_a_dict_and_after_a_missed_delta_nothing_until_a_snapshot(
    before: list[Change], after: list[Change], cut: int, missed: int
) -> None:
    book, bids, asks = Book(BookRules(by_one)), dict[int, int](), dict[int, int]()
    number = 7
    assert book.state is SYNCING
    book.apply(snapshot(at=number))
    for changes in before:
        number += 1
        bids, asks = changed(bids, changes[0]), changed(asks, changes[1])
        told = book.apply(delta(last=number, bids=changes[0], asks=changes[1]))
        assert told is not None
        assert (told.state, book.state, book.last_sequence) == (LIVE, LIVE, number)
        assert sides(book) == (bids, asks)
    number += missed
    for changes in after[:cut]:
        number += 1
        told = book.apply(delta(last=number, bids=changes[0], asks=changes[1]))
        assert told is not None
        assert (told.state, book.state) == (GAP, GAP)
        assert sides(book) == (bids, asks)
        assert book.fault
    full = list(changed({}, [(price, 1) for price in range(1, 9)]).items())
    told = book.apply(snapshot(full, full, at=number))
    assert told is not None
    assert (told.state, book.state, book.fault) == (LIVE, LIVE, None)
    assert sides(book) == (dict(full), dict(full))


@given(CHANGES, st.integers(0, 25), st.integers(0, 25))
def test_fetched_snapshot_joins_the_stream_wherever_it_was_taken(changes: list[Change], taken: int, came: int) -> None:
    """The snapshot is the venue's book after `taken` deltas; it comes when `came` of them have been received."""
    taken, came = min(taken, len(changes)), min(came, len(changes))
    states: list[tuple[Side, Side]] = [({}, {})]
    for bids, asks in changes:
        states.append((changed(states[-1][0], bids), changed(states[-1][1], asks)))
    deltas = [delta(10 * n + 1, 10 * n + 10, bids=bids, asks=asks) for n, (bids, asks) in enumerate(changes)]
    book = Book(BookRules(by_range, fetched=True))
    for one in deltas[:came]:
        told = book.apply(one)
        assert told is not None
        assert told.state is SYNCING
    fetched = snapshot(list(states[taken][0].items()), list(states[taken][1].items()), at=10 * taken)
    told = book.apply(fetched)
    assert told is not None
    assert (told.state, book.last_sequence) == (LIVE, 10 * max(taken, came))
    assert sides(book) == states[max(taken, came)]
    assert {level.price // ONE: level.size // ONE for level in told.bids} == states[max(taken, came)][0]
    for number, one in enumerate(deltas[came:], start=came + 1):
        assert (book.apply(one) is None) == (number <= taken)
    assert (sides(book), book.state) == (states[-1] if changes else states[0], LIVE)


@given(CHANGES, st.integers(1, 12))
def test_listener_without_the_rules_has_the_same_book(changes: list[Change], most: int) -> None:
    book, bids, asks = Book(BookRules(max_levels=most)), dict[int, int](), dict[int, int]()
    for number, (bid_changes, ask_changes) in enumerate(changes):
        message = snapshot if number % 9 == 0 else delta
        told = book.apply(message(bids=bid_changes, asks=ask_changes))
        assert told is not None
        assert told.state is LIVE
        if told.kind is DepthKind.SNAPSHOT:
            bids, asks = {}, {}
        bids = changed(bids, [(level.price // ONE, level.size // ONE) for level in told.bids])
        asks = changed(asks, [(level.price // ONE, level.size // ONE) for level in told.asks])
        assert (bids, asks) == sides(book)
        assert max(len(bids), len(asks)) <= most


def test_fetched_snapshot_that_the_kept_deltas_do_not_follow_is_a_gap_until_a_newer_one() -> None:
    book = Book(BookRules(by_range, fetched=True))
    book.apply(delta(20, 25, bids=[(1, 1)]))
    book.apply(delta(26, 30, bids=[(2, 1)]))
    told = book.apply(snapshot([(9, 9)], at=10))
    assert told is not None
    assert (told.state, book.fault) == (GAP, "20…25 does not follow 10")
    book.apply(delta(31, 35, bids=[(3, 1)]))
    told = book.apply(snapshot([(9, 9)], at=27))
    assert told is not None
    assert (told.state, told.last_sequence, book.last_sequence) == (LIVE, 35, 35)
    assert sides(book)[0] == {9: 9, 2: 1, 3: 1}


def test_deltas_kept_for_a_snapshot_are_bounded_and_those_forgotten_make_a_gap() -> None:
    book = Book(BookRules(by_range, fetched=True))
    for number in range(1, MOST_KEPT + 3):
        book.apply(delta(number, number, bids=[(number % 30 + 1, number % 7)]))
    told = book.apply(snapshot(at=1))
    assert told is not None
    assert (told.state, book.fault) == (GAP, "3…3 does not follow 1")
    told = book.apply(snapshot(at=2))
    assert told is not None
    assert (told.state, book.last_sequence) == (LIVE, MOST_KEPT + 2)


def test_fetched_snapshot_that_the_book_has_overtaken_is_refused() -> None:
    book = Book(BookRules(by_range, fetched=True))
    book.apply(snapshot([(9, 9)], at=10))
    book.apply(delta(11, 12, bids=[(9, 1)]))
    assert book.apply(snapshot([(9, 9)], at=11)) is None
    assert (sides(book)[0], book.state) == ({9: 1}, LIVE)


def test_snapshot_of_the_stream_always_counts() -> None:
    book = Book(BookRules(by_one))
    book.apply(snapshot([(9, 9)], at=1_000))
    book.apply(snapshot([(5, 5)], at=1))
    assert (sides(book)[0], book.last_sequence, book.state) == ({5: 5}, 1, LIVE)


# rules of sequence


@pytest.mark.parametrize(
    ("rule", "message", "state"),
    [
        (by_range, delta(101, 105), LIVE),
        (by_range, delta(99, 101), LIVE),
        (by_range, delta(90, 100), None),
        (by_range, delta(102, 105), GAP),
        (by_previous, delta(95, 110, 80), LIVE),
        (by_previous, delta(95, 100, 80), LIVE),
        (by_previous, delta(110, 120, 100), LIVE),
        (by_previous, delta(90, 99, 80), None),
        (by_previous, delta(110, 120, 105), GAP),
        (by_one, delta(None, 101), LIVE),
        (by_one, delta(None, 100), None),
        (by_one, delta(None, 102), GAP),
        (by_previous_if_named, delta(None, 105, 100), LIVE),
        (by_previous_if_named, delta(None, 3, 100), LIVE),
        (by_previous_if_named, delta(None, 100, 100), LIVE),
        (by_previous_if_named, delta(None, 105, 104), GAP),
        (by_previous_if_named, delta(), LIVE),
        (unnumbered, delta(), LIVE),
    ],
)
def test_delta_after_a_snapshot_at_100(rule: SequenceRule, message: Depth, state: BookState | None) -> None:
    book = Book(BookRules(rule))
    book.apply(snapshot([(1, 1)], at=100))
    told = book.apply(message)
    assert (told and told.state) == state


def test_futures_delta_names_the_one_before_it_once_the_book_follows_the_stream() -> None:
    book = Book(BookRules(by_previous, fetched=True))
    book.apply(snapshot(at=100))
    book.apply(delta(95, 110, 80))
    assert book.apply(delta(105, 120, 104)) is not None
    assert (book.state, book.fault) == (GAP, "105…120 after 104 does not follow 110")


@pytest.mark.parametrize(
    ("rule", "message", "field"),
    [
        (by_range, delta(None, 101), "first_sequence"),
        (by_range, delta(101, None), "last_sequence"),
        (by_previous, delta(101, 102), "previous_sequence"),
        (by_one, delta(), "last_sequence"),
        (by_one, snapshot(), "last_sequence"),
    ],
)
def test_message_that_lacks_what_the_rule_needs_is_refused_and_changes_nothing(
    rule: SequenceRule, message: Depth, field: str
) -> None:
    for book in (Book(BookRules(rule)), Book(BookRules(rule, fetched=True))):
        book.apply(snapshot([(1, 1)], at=100))
        with pytest.raises(DataValidationError) as caught:
            book.apply(message)
        assert (caught.value.reason, caught.value.field) == ("missing_field", field)
        assert (sides(book)[0], book.state) == ({1: 1}, LIVE)


# checksums


def best_sizes(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    assert all(level.text is not None for level in (*bids, *asks))
    return sum(int(level.text or 0) for level in (*bids, *asks))


def texted(depth: Depth) -> Depth:
    return depth._replace(bids=[level._replace(text=str(level.size // ONE)) for level in depth.bids])


def test_checksum_is_over_the_best_levels_after_the_message() -> None:
    book = Book(BookRules(checksum=best_sizes, checked_levels=2))
    told = book.apply(texted(snapshot([(1, 100), (2, 20), (3, 3)], checksum=23)))
    assert told is not None
    assert (told.state, [level.text for level in told.bids]) == (LIVE, [None] * 3)
    book.apply(texted(delta(bids=[(3, 0)], checksum=120)))
    assert book.state is LIVE


def test_book_with_another_checksum_is_a_gap_until_a_snapshot() -> None:
    book = Book(BookRules(checksum=best_sizes, checked_levels=2))
    book.apply(texted(snapshot([(1, 1)], checksum=1)))
    told = book.apply(texted(delta(bids=[(2, 2)], checksum=4)))
    assert told is not None
    assert (told.state, book.fault) == (GAP, "the checksum of the book is 3, the venue's is 4")
    told = book.apply(texted(delta(bids=[(3, 0)], checksum=3)))
    assert told is not None
    assert told.state is GAP
    book.apply(texted(snapshot([(1, 1)], checksum=1)))
    assert (book.state, book.fault) == (LIVE, None)


# figures


def test_figures_of_the_top() -> None:
    book = Book(BookRules())
    book.apply(snapshot([(99, 1), (98, 5)], [(101, 3), (102, 1)]))
    top = top_of(book, instrument=INSTRUMENT, received_at=START, source=("md.depth", 1, 2), levels=1)
    assert (top.spread, top.imbalance, top.microprice) == (2 * ONE, -ONE // 2, 99 * ONE + ONE // 2)
    assert ([level.price for level in top.bids], top.is_crossed, top.state) == ([99 * ONE], False, LIVE)
    assert check_book_top(top) is top
    deeper = top_of(book, instrument=INSTRUMENT, received_at=START, source=("md.depth", 1, 2))
    assert deeper.imbalance == ONE // 5
    assert check_book_top(deeper) is deeper


def test_side_that_is_empty_leaves_the_figures_unknown() -> None:
    book = Book(BookRules())
    book.apply(snapshot([(99, 1)]))
    top = top_of(book, instrument=INSTRUMENT, received_at=START, source=("md.depth", 1, 2))
    assert (top.spread, top.imbalance, top.microprice, top.is_crossed) == (None, None, None, False)
    assert check_book_top(top) is top


@pytest.mark.parametrize("bid", [101, 102])
def test_crossed_book_is_told(bid: int) -> None:
    book = Book(BookRules())
    book.apply(snapshot([(bid, 1)], [(101, 1)]))
    assert book.is_crossed
    top = top_of(book, instrument=INSTRUMENT, received_at=START, source=("md.depth", 1, 2))
    assert (top.is_crossed, top.spread) == (True, (101 - bid) * ONE)


@given(st.integers(1, 10**20), st.integers(1, 10**20), st.integers(1, 10**20), st.integers(1, 10**20))
def test_microprice_lies_between_bid_and_ask(bid: int, ask: int, bid_size: int, ask_size: int) -> None:
    low, high = sorted((bid, ask))
    found = microprice(Level(low, bid_size), Level(high, ask_size))
    assert found is not None
    assert low <= found <= high
    assert spread(Level(low, 1), Level(high, 1)) == high - low
    ratio = imbalance([Level(low, bid_size)], [Level(high, ask_size)])
    assert ratio is not None
    assert -ONE <= ratio <= ONE


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (snapshot()._replace(instrument="nonsense"), "bad_instrument", "instrument"),
        (snapshot()._replace(bids=[Level(0, 1)]), "not_positive", "bids"),
        (snapshot()._replace(asks=[Level(1, -1)]), "negative", "asks"),
        (snapshot()._replace(asks=[Level(10**38, 1)]), "too_large", "asks"),
        (delta(5, 4), "inconsistent", "first_sequence"),
        (delta(5, 2**63), "too_large", "last_sequence"),
        (snapshot(checksum=2**63), "too_large", "checksum"),
        (delta()._replace(exchange_time=START + 5_000_001), "future_time", "exchange_time"),
        (delta()._replace(received_at=START // 1000), "bad_time", "received_at"),
    ],
)
def test_nonsense_in_a_message_is_refused_by_its_field(message: Depth, reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_depth(message)
    assert (caught.value.reason, caught.value.field) == (reason, field)
