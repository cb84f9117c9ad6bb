"""How far a backfill has come, kept in a file; pages cut out of what a venue answers."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import feeds, service
from ingest.backfill import TellingVenue
from ingest.bookmarks import BookmarkError, Bookmarks, own_bookmarks
from ingest.feed import Subscription
from ingest.feeds._pages import trades_page
from ingest.rest_venue import Page, Place
from market.trade import Trade
from runtime.settings import Settings
from tests.builders import START, make_trade

TRADES = Subscription("binance:BTC-USDT", "trade")


def test_a_place_is_found_again_whatever_the_end_and_others_begin_at_their_beginning(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "marks.json"
    marks = Bookmarks(path)
    assert marks.place((TRADES, 5, 9)) == Place(5)
    marks.put((TRADES, 5, 9), Place(7, 41))
    again = Bookmarks(path)
    assert again.place((TRADES, 5, 9)) == Place(7, 41)
    assert again.place((TRADES, 5, 10)) == Place(7, 41)
    assert again.place((TRADES, 5, 7)) is None
    assert again.place((TRADES, 6, 9)) == Place(6)


def test_what_is_done_is_gone_on_from_for_a_later_end_and_never_gone_back_to(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    Bookmarks(path).finish((TRADES, 5, 9), Place(8))
    marks = Bookmarks(path)
    assert [marks.place((TRADES, 5, end)) for end in (6, 9, 10)] == [None, None, Place(8)]
    marks.put((TRADES, 5, 20), Place(8, 41))
    assert [marks.place((TRADES, 5, end)) for end in (9, 10)] == [None, Place(8, 41)]


def test_a_file_of_old_that_said_done_by_no_place_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    entry = {"instrument": TRADES.instrument, "channel": TRADES.channel, "begin": 5, "end": 9, "place": None}
    path.write_text(json.dumps([entry, entry | {"begin": 6, "place": [7, 41]}]))
    marks = Bookmarks(path)
    assert (marks.place((TRADES, 5, 9)), marks.place((TRADES, 6, 9))) == (Place(5), Place(7, 41))


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text('{"no": "list"}')
    with pytest.raises(BookmarkError, match=r"marks\.json cannot be read"):
        Bookmarks(path)


def test_a_file_is_of_one_backfill_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "marks.json"
    in_use = pytest.raises(BookmarkError, match=r"marks\.json is in use by another backfill")
    with own_bookmarks(path), in_use, own_bookmarks(path):
        pass
    with own_bookmarks(path) as marks:
        marks.finish((TRADES, 5, 9), Place(7))


def test_backfill_of_a_file_in_use_ends_before_it_asks_anybody(tmp_path: Path) -> None:
    venue = feeds.load("binance")
    assert isinstance(venue, TellingVenue)
    plan = service.BackfillPlan(venue, [(TRADES, 5, 9)], tmp_path / "marks.json")

    async def second() -> None:
        await service.backfill(Settings(), plan, asyncio.Event(), told=lambda _stream, _records, _share: None)

    with own_bookmarks(plan.bookmarks), pytest.raises(BookmarkError, match=r"marks\.json is in use"):
        asyncio.run(second())


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    marks = Bookmarks(tmp_path / "elsewhere.json")
    marks._path = tmp_path / "file" / "marks.json"
    with pytest.raises(BookmarkError, match="cannot be written"):
        marks.put((TRADES, 5, 9), Place(7))


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 10), st.integers(0, 100))
def test_pages_hold_every_trade_before_the_end_once(steps: list[int], most: int, end: int) -> None:
    times = [sum(steps[: number + 1]) for number in range(len(steps))]
    tape = [make_trade(number, at=START + at) for number, at in enumerate(times)]
    found: list[Trade] = []
    place: Place | None = Place(START, 0)
    while place is not None:
        since = place.number or 0
        page: Page = trades_page(tape[since : since + most], START + end, most)
        found += [record for record in page.records if isinstance(record, Trade)]
        place = page.next
    assert found == [trade for trade in tape if trade.event_time < START + end]
