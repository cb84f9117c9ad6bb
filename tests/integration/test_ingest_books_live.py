"""Binance's order books live: joined from deltas and asked-for snapshots, mended after gaps, within the venue's limits."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest

from ingest import feeds
from ingest.capture import Capture
from ingest.feed import Subscription
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from market.depth import BookState, Depth
from market.feed_status import FeedState
from tests.builders import INSTRUMENT
from tests.exchange import faults
from tests.exchange.binance import BinanceSpot
from tests.exchange.books import LocalBook
from tests.exchange.exchange import Exchange
from tests.exchange.listener import Listener
from tests.exchange.server import answer_of
from tests.ingest_parts import SAMPLE, played

pytestmark = pytest.mark.anyio

BOOK = Subscription(INSTRUMENT, "depth@100ms")
TOPIC = "btcusdt@depth@100ms"
LEVELS = 200


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def recorded() -> tuple[LocalBook, list[bytes]]:
    """The book at the snapshot of the recording, and the deltas of its first minute."""
    book, deltas = LocalBook(), []
    for item in read_recordings(SAMPLE[:1]):
        if isinstance(item, Frame) and b'"lastUpdateId"' in item.data[:20]:
            snapshot = json.loads(item.data)
            book.put(snapshot["bids"], snapshot["asks"])
            book.number = snapshot["lastUpdateId"]
        elif isinstance(item, Frame) and TOPIC.encode() in item.data[:40]:
            deltas.append(item.data)
        if len(deltas) == 600:
            break
    return book, deltas


def exchange() -> Exchange:
    book, deltas = recorded()
    made = Exchange(BinanceSpot(), deltas)
    made.books[TOPIC] = book
    return made


def is_the_exchanges(listener: Listener, venue: Exchange) -> bool:
    """Whether the book rebuilt from the records is the exchange's, as far as its snapshots reach."""
    return listener.best(INSTRUMENT, LEVELS) == venue.books[TOPIC].best(LEVELS)


async def test_deltas_are_joined_with_the_snapshot_by_the_venues_rule() -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        await venue.listened_to(1)
        while listener.book_state(INSTRUMENT) is not BookState.LIVE:  # the market goes on while the snapshot is on its way
            await venue.play(3)
            await listener.until(lambda: len(listener.depths(INSTRUMENT)) >= venue.position)
        await venue.play(300)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        states = [depth.state for depth in listener.depths(INSTRUMENT)]
        assert states[0] is BookState.SYNCING
        assert states == sorted(states, key=list(BookState).index)  # SYNCING, then LIVE to the end
        assert listener.states(BOOK) == [FeedState.CONNECTING, FeedState.RESYNC, FeedState.LIVE]
        assert venue.asked == ["/api/v3/depth?symbol=BTCUSDT&limit=1000"]


@pytest.mark.parametrize("fault", [faults.lost, faults.garbled], ids=["lost", "garbled"])
async def test_missed_delta_is_a_gap_and_a_new_snapshot_mends_it(fault: faults.Fault) -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        await venue.listened_to(1)
        await venue.play(50)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        await venue.play(2, fault)
        await venue.play(10)
        await listener.until(lambda: listener.book_state(INSTRUMENT) is BookState.LIVE and is_the_exchanges(listener, venue))
        assert BookState.GAP in {depth.state for depth in listener.depths(INSTRUMENT)}
        assert listener.states(BOOK)[-3:] == [FeedState.LIVE, FeedState.GAP, FeedState.LIVE]
        assert len(venue.asked) == 2


@pytest.mark.parametrize("fault", [faults.repeated, faults.none], ids=["repeated", "as it happened"])
async def test_repeated_deltas_change_nothing(fault: faults.Fault) -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        await venue.listened_to(1)
        await venue.play(20)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        await venue.play(100, fault)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        assert len(venue.asked) == 1


async def test_deltas_out_of_order_are_mended() -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        await venue.listened_to(1)
        await venue.play(20)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        await venue.play(4, faults.reordered)
        await listener.until(lambda: len(venue.asked) == 2)
        await venue.play(20)
        await listener.until(lambda: listener.book_state(INSTRUMENT) is BookState.LIVE and is_the_exchanges(listener, venue))


async def test_snapshot_older_than_the_deltas_is_asked_for_again() -> None:
    class Stale(Exchange):
        """Its first answer is from before the listener came."""

        def answer(self, path: str) -> bytes | None:
            if len(self.asked) > 1:
                return super().answer(path)
            old, _ = recorded()
            return self.dialect.answer("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "1000"}, {TOPIC: old}, [])

    book, deltas = recorded()
    async with Stale(BinanceSpot(), deltas) as venue:
        venue.books[TOPIC] = book
        await venue.play(100)  # nobody listens yet
        async with Listener("binance", venue, [BOOK]) as listener:
            await venue.listened_to(1)
            await venue.play(20)
            await listener.until(lambda: is_the_exchanges(listener, venue))
            assert len(venue.asked) == 2


async def test_connection_lost_between_deltas_goes_on_with_a_new_snapshot() -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        await venue.listened_to(1)
        await venue.play(50)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        await venue.drop()
        await venue.play(20)
        await venue.listened_to(1)
        await venue.play(20)
        await listener.until(lambda: listener.book_state(INSTRUMENT) is BookState.LIVE and is_the_exchanges(listener, venue))
        assert len(venue.asked) == 2


@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.IM_A_TEAPOT])
async def test_venue_that_wants_to_be_left_alone_is(status: HTTPStatus) -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        venue.rest_refusals = [answer_of(status, b"slow down", Retry_After="2")]
        await venue.listened_to(1)
        await venue.play(10)
        await listener.until(lambda: len(venue.asked) == 1)
        refused_at = listener.feed._clock.monotonic()
        await listener.until(lambda: is_the_exchanges(listener, venue))
        assert listener.feed._clock.monotonic() - refused_at > 1.8
        assert len(venue.asked) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        answer_of(HTTPStatus.INTERNAL_SERVER_ERROR),
        answer_of(HTTPStatus.OK, b'{"lastUpdateId": 7'),
        answer_of(HTTPStatus.OK, b'{"code":-1121,"msg":"Invalid symbol."}'),
    ],
    ids=["server error", "no JSON", "an error as an answer"],
)
async def test_answer_of_no_use_is_asked_for_again(refusal: object) -> None:
    async with exchange() as venue, Listener("binance", venue, [BOOK]) as listener:
        venue.rest_refusals = [refusal]  # type: ignore[list-item]  # they are answers
        await venue.listened_to(1)
        await venue.play(10)
        await listener.until(lambda: is_the_exchanges(listener, venue))


async def test_capture_of_live_books_replays_to_the_same_records(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    async with exchange() as venue, Listener("binance", venue, [BOOK], capture=Capture(path, "binance")) as listener:
        await venue.listened_to(1)
        await venue.play(50)
        await listener.until(lambda: is_the_exchanges(listener, venue))
        await venue.play(2, faults.lost)
        await venue.play(50)
        await listener.until(lambda: listener.book_state(INSTRUMENT) is BookState.LIVE and is_the_exchanges(listener, venue))
    again = played(read_recordings([path]), playback=Playback(feeds.load("binance")))
    assert [record for record in again if isinstance(record, Depth)] == listener.depths(INSTRUMENT)
