"""History of the local exchange: every trade of the range once, in order, and taken up where it was ended."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest

from ingest import feeds
from ingest.backfill import Backfill, BackfillFailed, TellingVenue, VenueHistory
from ingest.bookmarks import Bookmarks
from ingest.feed import Subscription
from ingest.quota import Allowances
from ingest.rest import RestClient
from market.trade import Trade
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.exchange.binance import BinanceSpot
from tests.exchange.exchange import Exchange
from tests.exchange.server import answer_of
from tests.ingest_parts import FakeClock, recorded_trades

pytestmark = pytest.mark.anyio

TRADES = Subscription(INSTRUMENT, "trade")
NOW = 1_800_000_000_000_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    return recorded_trades()[:3_500]


class Kept:
    """Takes records; `room_for` limits how many before it fails."""

    def __init__(self, room_for: int = 10_000) -> None:
        self.records: list[Record] = []
        self.room_for = room_for

    def publish(self, record: Record) -> bool:
        if len(self.records) >= self.room_for:
            raise ConnectionError("ended")
        self.records.append(record)
        return True

    async def room(self) -> None:
        raise AssertionError

    async def flush(self, timeout: float) -> int:
        return 0

    def poll(self) -> None:
        """Nothing has failed."""


def backfill(there: Exchange, kept: Kept, marks: Path, shares: list[float]) -> tuple[Backfill, RestClient]:
    venue = feeds.load("binance")
    assert isinstance(venue, TellingVenue)
    clock = FakeClock(NOW)
    rest = RestClient(venue, clock, Allowances(), base_url=there.rest_url, proxy=None)
    told = lambda _stream, _records, share: shares.append(share)  # noqa: E731
    history = VenueHistory(venue, rest, clock, 5_000_000)
    return Backfill(history, clock, kept, Bookmarks(marks), told=told), rest


def times() -> list[tuple[int, str]]:
    return [(data["T"] * 1000, str(data["t"])) for data in (json.loads(frame)["data"] for frame in tape())]


async def test_a_range_is_published_once_and_taken_up_after_an_end(tmp_path: Path) -> None:
    there, kept, marks, shares = Exchange(BinanceSpot(), tape()), Kept(room_for=1_500), tmp_path / "marks.json", list[float]()
    begin, end = times()[200][0], times()[3_000][0]
    expected = [number for at, number in times() if begin <= at < end]
    async with there:
        await there.play()
        there.rest_refusals = [answer_of(HTTPStatus.TOO_MANY_REQUESTS, Retry_After="5")]
        work, rest = backfill(there, kept, marks, shares)
        with pytest.raises(ConnectionError):
            await work.run([(TRADES, begin, end)])
        await rest.close()
        kept.room_for = 10_000
        del kept.records[1_000:]  # what the broker had of the second page
        work, rest = backfill(there, kept, marks, shares)
        await work.run([(TRADES, begin, end)])
        asked = len(there.asked)
        await work.run([(TRADES, begin, end)])
        assert len(there.asked) == asked, "what is done is not asked for again"
        await rest.close()
    trades = [record for record in kept.records if isinstance(record, Trade)]
    assert [trade.trade_id for trade in trades] == expected
    assert {trade.origin for trade in trades} == {"backfill"}
    assert shares[-1] == 1.0


async def test_a_venue_that_does_not_answer_ends_it_with_its_words(tmp_path: Path) -> None:
    there = Exchange(BinanceSpot(), tape())
    async with there:
        there.rest_refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE, b"maintenance")] * 8
        work, rest = backfill(there, Kept(), tmp_path / "marks.json", [])
        with pytest.raises(BackfillFailed, match="not answered after 8 attempts"):
            await work.run([(TRADES, 0, NOW)])
        await rest.close()


async def test_a_venue_that_refuses_what_is_asked_ends_it_at_once_with_its_words(tmp_path: Path) -> None:
    there = Exchange(BinanceSpot(), tape())
    async with there:
        there.rest_refusals = [answer_of(HTTPStatus.BAD_REQUEST, b"parameter 'startTime' is invalid")]
        work, rest = backfill(there, Kept(), tmp_path / "marks.json", [])
        with pytest.raises(BackfillFailed, match="HTTP status 400: parameter 'startTime' is invalid"):
            await work.run([(TRADES, 0, NOW)])
        assert len(there.asked) == 1
        await rest.close()
