"""Books rebuilt from recorded traffic against the checksum that the venue sent with every message."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.book import Book
from market.book_rules import BookRules
from market.depth import BookState, Depth
from market.feed_status import FeedState, FeedStatus
from schemas.records import Record
from tests.counted import show
from tests.ingest_parts import played
from tests.venue_data import (
    BITGET,
    GATEIO,
    KRAKEN,
    NO_WHOLE,
    OKX,
    WHOLE_BITGET,
    WHOLE_BYBIT,
    WHOLE_KRAKEN,
    book_states,
    recorded,
)


def whole(venue: str, paths: Sequence[Path], checksums: int, messages: int) -> object:
    missing = not paths or not all(path.exists() for path in paths)
    return pytest.param(
        venue, paths, checksums, messages, marks=pytest.mark.skipif(missing, reason=NO_WHOLE), id=f"{venue}, whole"
    )


@pytest.mark.parametrize(
    ("venue", "paths", "checksums", "messages"),
    [
        pytest.param("okx", OKX, 290, 290, id="okx"),
        pytest.param("kraken", KRAKEN, 503, 506, id="kraken"),
        pytest.param("bitget", BITGET, 112, 112, id="bitget"),
        whole("kraken", WHOLE_KRAKEN, 4_269, 4_279),
        whole("bitget", WHOLE_BITGET, 443 + 194, 443 + 194),
    ],
)
def test_every_checksum_is_that_of_the_book(
    capsys: pytest.CaptureFixture[str], venue: str, paths: Sequence[Path], checksums: int, messages: int
) -> None:
    depths = [record for record in recorded(venue, *paths)[0] if isinstance(record, Depth)]
    assert {depth.state for depth in depths} == {BookState.LIVE}
    told = sum(depth.checksum is not None for depth in depths)
    show(capsys, f"{venue}: {told} checksums of {len(depths)} messages about books are those of the rebuilt books")
    assert (told, len(depths)) == (checksums, messages)


@pytest.mark.parametrize(
    ("venue", "paths", "of_book", "nth"),
    [
        ("okx", OKX, b'"channel":"books","instId":"BTC-USDT"}', 40),
        ("kraken", KRAKEN, b'"book-1000","OCEAN/XBT"]', 50),
        ("bitget", BITGET, b'"channel":"books","instId":"AVAXUSDT"}', 28),
        ("gateio", GATEIO, b'"s":"OMG_USDT"', 20),
    ],
)
def test_message_that_is_left_out_shows_and_the_book_is_not_trusted_any_more(
    venue: str, paths: Sequence[Path], of_book: bytes, nth: int
) -> None:
    """The proof that the checksums and numbers above were looked at: with one message less they tell of it.

    A checksum covers the best levels alone: a message that changes others only is not missed (7 of these 56 of Bitget).
    """
    items = list(read_recordings(paths))
    told = [number for number, item in enumerate(items) if isinstance(item, Frame) and of_book in item.data]
    left_out = told[nth]
    records = played(items[:left_out] + items[left_out + 1 :], venue)
    lost = [record for record in records if isinstance(record, Depth) and record.state is BookState.GAP]
    assert len({depth.instrument for depth in lost}) == 1
    whole_book = [record for record in records if isinstance(record, Depth) and record.instrument == lost[0].instrument]
    assert whole_book[-len(lost) :] == lost
    assert len(lost) > len(told) // 4
    (status,) = [record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.GAP]
    assert status.instrument == lost[0].instrument
    assert re.search("does not follow|checksum", status.reason)


@pytest.mark.parametrize(
    ("venue", "paths", "states"),
    [
        pytest.param("gateio", GATEIO, {"LIVE": 168, "SYNCING": 10}, id="gateio"),
        pytest.param(
            "bybit",
            WHOLE_BYBIT,
            {"LIVE": 797},
            id="bybit, whole",
            marks=pytest.mark.skipif(not WHOLE_BYBIT, reason=NO_WHOLE),
        ),
    ],
)
def test_numbered_messages_follow_each_other(venue: str, paths: Sequence[Path], states: dict[str, int]) -> None:
    assert book_states(recorded(venue, *paths)[0]) == states


@pytest.mark.parametrize(("venue", "paths"), [("okx", OKX), ("kraken", KRAKEN), ("bitget", BITGET), ("gateio", GATEIO)])
def test_listener_without_the_rules_of_the_venue_has_a_book_that_is_not_crossed(venue: str, paths: Sequence[Path]) -> None:
    books: dict[str, Book] = {}
    records: list[Record] = recorded(venue, *paths)[0]
    for record in records:
        if isinstance(record, Depth) and record.state is BookState.LIVE:
            book = books.setdefault(record.instrument, Book(BookRules()))
            book.apply(record)
            assert not book.is_crossed
            assert all(level.text is None for level in (*record.bids, *record.asks))
    assert books
