"""Every venue live: what was recorded of it comes through its own subscriptions, once, whatever happens to the line."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest import feeds
from ingest.connection import ConnectionOptions
from ingest.feed import FETCHED_BOOK, Subscription
from ingest.recorded import Answer, Frame
from ingest.recordings import read_recordings
from market.depth import BookState, Depth
from market.feed_status import FeedState, FeedStatus
from market.trade import Trade
from runtime.retry import Backoff
from tests.exchange import faults
from tests.exchange.arg_frames import ArgFrames
from tests.exchange.bitstamp import Bitstamp
from tests.exchange.bybit import Bybit
from tests.exchange.coinbase import Coinbase
from tests.exchange.deribit import Deribit
from tests.exchange.dialect import Dialect
from tests.exchange.exchange import Exchange
from tests.exchange.gateio import Gateio
from tests.exchange.kraken import Kraken
from tests.exchange.kraken_futures import KrakenFutures
from tests.exchange.listener import Listener
from tests.venue_data import (
    BITGET,
    BITSTAMP,
    COINBASE,
    DERIBIT,
    GATEIO,
    KRAKEN,
    KRAKEN_FUTURES,
    NO_WHOLE,
    OKX,
    WHOLE_BYBIT,
    recorded,
)

pytestmark = pytest.mark.anyio

DIALECTS: dict[str, tuple[Dialect, Sequence[Path]]] = {
    "bitget": (ArgFrames(), BITGET),
    "bitstamp": (Bitstamp(), BITSTAMP),
    "bybit": (Bybit(), WHOLE_BYBIT),
    "coinbase": (Coinbase(), COINBASE),
    "deribit": (Deribit(), DERIBIT),
    "gateio": (Gateio(), GATEIO),
    "kraken": (Kraken(), KRAKEN),
    "kraken_futures": (KrakenFutures(), KRAKEN_FUTURES),
    "okx": (ArgFrames(), OKX),
}
VENUES = [pytest.param(venue, marks=pytest.mark.skipif(not files, reason=NO_WHOLE)) for venue, (_, files) in DIALECTS.items()]
SHOWN = [venue for venue in VENUES if venue.values[0] not in ("bitstamp", "coinbase")]
"""Venues that show when a message about a book was missed; those of the others have no numbers that follow each other."""
LEVELS = 25


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def streams(venue: str) -> list[Subscription]:
    """The streams of the recording."""
    told = recorded(venue, *DIALECTS[venue][1])[0]
    found = dict.fromkeys(Subscription(each.instrument, each.channel) for each in told if isinstance(each, FeedStatus))
    return [stream for stream in found if stream.channel != FETCHED_BOOK]


def trades(venue: str) -> list[Trade]:
    return [record for record in recorded(venue, *DIALECTS[venue][1])[0] if isinstance(record, Trade)]


def books(venue: str) -> set[str]:
    return {record.instrument for record in recorded(venue, *DIALECTS[venue][1])[0] if isinstance(record, Depth)}


def exchange(venue: str) -> Exchange:
    """The venue with its recording; the books that were asked for are those it begins with."""
    dialect, files = DIALECTS[venue]
    items = list(read_recordings(files))
    tape = [item.data for item in items if isinstance(item, Frame) and dialect.topic(item.data) is not None]
    made = Exchange(dialect, tape)
    for item in items:
        if isinstance(item, Answer):
            dialect.keep_answer(made.books, item.url, item.body)
    return made


def symbol(venue: str, instrument: str, topic: str) -> bool:
    """Whether a topic is of an instrument."""
    name = feeds.load(venue).symbol_of(instrument)  # type: ignore[attr-defined]  # it listens
    return topic.lower().endswith((f":{name.lower()}", f".{name.lower()}"))


def all_books_are_the_exchanges(listener: Listener, venue: Exchange, instruments: set[str]) -> bool:
    """Of the books that somebody told of since the line is open: all whole, and the exchange's own."""
    name, session = listener.feed.venue, listener.feed._session
    told = {instrument for instrument in instruments if (book := session.book_of(instrument)) and book.line is not None}
    for instrument in told:
        (theirs,) = (
            book
            for topic, book in venue.books.items()
            if symbol(name, instrument, topic) and (name != "bitget" or topic.startswith("mc") == instrument.endswith("PERP"))
        )
        if listener.book_state(instrument) is not BookState.LIVE:
            return False
        if listener.best(instrument, LEVELS) != theirs.best(LEVELS):
            return False
    return len(told) > 0


@pytest.mark.parametrize("venue", VENUES)
async def test_all_that_was_recorded_comes_through_the_venues_own_subscriptions(venue: str) -> None:
    wanted, known = streams(venue), trades(venue)
    async with exchange(venue) as there, Listener(venue, there, wanted) as listener:
        await there.listened_to(len(wanted))
        assert {there.dialect.topic(frame) for frame in there.tape} <= there.topics
        await there.play()
        await listener.until(lambda: len(listener.trades()) >= len(known))
        await listener.until(lambda: all_books_are_the_exchanges(listener, there, books(venue)))
        assert sorted(listener.ids()) == sorted(trade.trade_id for trade in known)
        assert not listener.refused()
        assert {stream: listener.states(stream)[-1] for stream in wanted} == dict.fromkeys(wanted, FeedState.LIVE)


@pytest.mark.parametrize("venue", VENUES)
async def test_every_trade_comes_once_after_the_exchange_was_away(venue: str) -> None:
    wanted, known = streams(venue), trades(venue)
    there = exchange(venue)
    async with there, Listener(venue, there, wanted) as listener:
        await there.listened_to(len(wanted))
        await there.play(len(there.tape) // 2)
        await listener.until(lambda: listener.feed.counts.frames >= there.position)
        await there.stop()
        await listener.until(lambda: all(FeedState.DOWN in listener.states(stream) for stream in wanted))
        await there.start()
        await listener.until(lambda: len(there.topics) == len(wanted), within=5)
        await there.play()
        await listener.until(lambda: len(listener.trades()) >= len(known))
        await listener.until(lambda: all_books_are_the_exchanges(listener, there, books(venue)))
        assert sorted(listener.ids()) == sorted(trade.trade_id for trade in known)
        assert not listener.refused()


@pytest.mark.parametrize("venue", SHOWN)
async def test_book_that_missed_a_message_is_whole_again(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.resync.SUBSCRIBING", Backoff(0.5, 1))
    wanted = [stream for stream in streams(venue) if "book" in stream.channel]
    async with exchange(venue) as there, Listener(venue, there, wanted) as listener:
        there.tape = [frame for frame in there.tape if "book" in (there.dialect.topic(frame) or "")]
        await there.listened_to(len(wanted))
        await there.play(len(there.tape) // 2)
        await listener.until(lambda: listener.feed.counts.frames >= there.position)
        await listener.until(lambda: all_books_are_the_exchanges(listener, there, books(venue)))
        await there.play(len(there.tape) // 10, faults.lost)
        later = {there.dialect.topic(frame) for frame in there.tape[there.position :]}
        seen = {each for each in books(venue) if any(symbol(venue, each, topic or "") for topic in later)}
        await there.play()
        await listener.until(
            lambda: any(depth.state is BookState.GAP for depth in listener.records if isinstance(depth, Depth))
        )
        await listener.until(lambda: all_books_are_the_exchanges(listener, there, seen))


@pytest.mark.parametrize("venue", VENUES)
async def test_line_with_nothing_but_heartbeats_is_given_up(venue: str) -> None:
    options = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=1, proxy=None)
    wanted = streams(venue)[:1]
    async with exchange(venue) as there, Listener(venue, there, wanted, options) as listener:
        await there.listened_to(1)
        while there.connections == 1:
            await there.chatter()
            await asyncio.sleep(0.1)
        await listener.until(lambda: FeedState.STALE in listener.states(wanted[0]))
        assert not listener.refused()
