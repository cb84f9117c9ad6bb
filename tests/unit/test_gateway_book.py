"""Whole books: snapshot and deltas as the gateway tells them, and the book a client keeps of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.local_book import LocalBook
from gateway.messages import Arrival, Source
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level
from tests.builders import INSTRUMENT, START
from tests.gateway_parts import HandTurnedLoop, Listener, make_hub

BOOK = {"action": "subscribe", "symbol": INSTRUMENT, "data_type": "BOOK"}

Sides = dict[int, int]


def depth(
    at: int, bids: Sides, asks: Sides | None = None, *, kind: DepthKind = DepthKind.DELTA, state: BookState = BookState.LIVE
) -> Depth:
    """A message of the feed about the book; prices and sizes are whole."""
    return Depth(INSTRUMENT, kind, levels(bids), levels(asks or {}), at, at, at - 1, None, START + at, START + at, state)


def levels(side: Sides) -> list[Level]:
    return [Level(price * ONE, size * ONE) for price, size in side.items()]


def arrivals(messages: list[Depth], first: int = 0) -> list[Arrival]:
    return [Arrival(Source("md.depth", 0, offset), message) for offset, message in enumerate(messages, first)]


def whole(at: int, bids: Sides, asks: Sides | None = None) -> Depth:
    return depth(at, bids, asks, kind=DepthKind.SNAPSHOT)


def told(listener: Listener) -> list[dict[str, Any]]:
    return listener.of_type("book_data")


def held(book: LocalBook) -> tuple[Sides, Sides]:
    sides = [{level.price // ONE: level.size // ONE for level in side} for side in (book.bids, book.asks)]
    return sides[0], sides[1]


def test_snapshot_then_deltas_that_name_the_message_before() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals([whole(0, {10: 1}, {11: 2}), depth(1, {9: 3})]))
    listener = Listener(hub)
    listener.say(**BOOK)
    hub.take(arrivals([depth(2, {10: 0}), depth(3, {8: 1})], 2))
    loop.settle()
    assert [(m["data"]["kind"], m["data"]["previous_offset"], m["metadata"]["offset"]) for m in told(listener)] == [
        ("SNAPSHOT", None, 1),
        ("DELTA", 1, 2),
        ("DELTA", 2, 3),
    ]
    assert told(listener)[0]["data"]["bids"] == [["10", "1"], ["9", "3"]]
    assert told(listener)[1]["data"]["bids"] == [["10", "0"]]


def test_state_that_is_not_live_is_told_once_without_levels_and_ends_with_a_snapshot() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals([whole(0, {10: 1})]))
    listener = Listener(hub)
    listener.say(**BOOK)
    gap = [depth(at, {9: 1}, state=BookState.GAP) for at in (1, 2)]
    hub.take(arrivals([*gap, depth(3, {8: 1}), whole(4, {7: 1})], 1))
    loop.settle()
    assert [(m["data"]["kind"], m["data"]["state"], m["data"]["bids"]) for m in told(listener)[1:]] == [
        ("DELTA", "GAP", []),
        ("SNAPSHOT", "LIVE", [["7", "1"]]),
    ]


def test_book_of_a_topic_made_anew_is_begun_anew() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals([whole(0, {10: 1})], 50))
    listener = Listener(hub)
    listener.say(**BOOK)
    hub.take(arrivals([whole(60, {5: 1})], 0))
    loop.settle()
    assert told(listener)[-1]["data"]["bids"] == [["5", "1"]]


def test_settings_that_would_make_a_book_wrong_are_refused() -> None:
    loop = HandTurnedLoop()
    listener = Listener(make_hub(loop, known=[INSTRUMENT]))
    for setting in ({"levels": 5}, {"max_rate": 1}, {"filter": {"op": "eq", "field": "state", "value": "LIVE"}}):
        listener.say(**BOOK, **setting)
    loop.settle()
    assert [error["data"]["name"] for error in listener.of_type("error")] == ["INVALID_SETTING"] * 3


changes = st.lists(
    st.tuples(st.dictionaries(st.integers(1, 9), st.integers(0, 5)), st.dictionaries(st.integers(11, 19), st.integers(0, 5))),
    min_size=1,
    max_size=30,
)


@given(changes, st.integers(0, 30), st.sets(st.integers(0, 30)))
def test_local_book_is_the_gateways_whenever_it_says_so(made: list[tuple[Sides, Sides]], joined: int, lost: set[int]) -> None:
    """A client that joins at any time and loses any messages never takes a wrong book for the venue's."""
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals([whole(0, {5: 1}, {15: 1})]))
    bids, asks = {5: 1}, {15: 1}
    listener, book, read = Listener(hub), LocalBook(), 0
    for number, (bid, ask) in enumerate(made, start=1):
        if number == joined % len(made) + 1:
            listener.say(**BOOK)
        hub.take(arrivals([depth(number, bid, ask)], number))
        loop.settle()
        for side, change in ((bids, bid), (asks, ask)):
            side.update(change)
            for price in [price for price, size in side.items() if not size]:
                del side[price]
        for message in told(listener)[read:]:
            if message["metadata"]["offset"] not in lost and not book.take(message):
                listener.say(**BOOK)
        read = len(told(listener))
        if book.is_live and number not in lost:
            assert held(book) == (bids, asks)


def test_missed_message_is_said_once_until_a_snapshot() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    hub.take(arrivals([whole(0, {10: 1})]))
    listener, book = Listener(hub), LocalBook()
    listener.say(**BOOK)
    hub.take(arrivals([depth(1, {9: 1}), depth(2, {8: 1}), depth(3, {7: 1})], 1))
    loop.settle()
    snapshot, _, second, third = told(listener)
    assert [book.take(message) for message in (snapshot, second, third)] == [True, False, True]
    assert not book.is_live
    listener.say(**BOOK)
    loop.settle()
    assert book.take(told(listener)[-1])
    assert (book.is_live, held(book)[0]) == (True, {10: 1, 9: 1, 8: 1, 7: 1})
