"""Subscriptions that a venue refuses over a real connection: told on md.status as DOWN with its words."""

import asyncio
import json
from collections.abc import Callable

import pytest
from websockets.asyncio.server import ServerConnection

from ingest import feeds
from ingest.connection import ConnectionOptions
from ingest.feed import ListeningVenue, Subscription
from ingest.live import LiveFeed
from market.dead_letter import DeadLetter
from market.feed_status import FeedState, FeedStatus
from runtime.retry import Backoff
from schemas.records import Record
from tests.exchange import refusals
from tests.exchange.server import LocalServer
from tests.ingest_parts import trade_frame

pytestmark = pytest.mark.anyio

OPTIONS = ConnectionOptions(Backoff(0.05, 0.2), heartbeat_seconds=5, stale_after_seconds=30, proxy=None)
WITHIN = 30.0
LIVE = Subscription("binance:BTC-USDT", "trade")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class RefusingVenue(LocalServer):
    """Refuses all that is asked for, in a venue's words; but that Binance has one stream, of which it tells a trade."""

    def __init__(self, venue: str) -> None:
        super().__init__()
        self.venue = venue
        self.trades = 0

    async def told(self, connection: ServerConnection, message: str) -> None:
        await super().told(connection, message)
        request = json.loads(message)
        if request.get("method") == "SUBSCRIBE" and request["params"] == ["btcusdt@trade"]:
            await connection.send(json.dumps({"result": None, "id": request["id"]}))
            await self.trade(connection)
            return
        for answer in refusals.answers(self.venue, message):
            await connection.send(answer)

    async def trade(self, connection: ServerConnection) -> None:
        self.trades += 1
        await connection.send(trade_frame(self.trades).decode())


def feed_of(venue: str, there: LocalServer) -> LiveFeed:
    found = feeds.load(venue)
    assert isinstance(found, ListeningVenue)
    return LiveFeed("test", found, base_url=there.url, options=OPTIONS)


async def until(feed: LiveFeed, condition: Callable[[list[Record]], object]) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(WITHIN):
        async for record in feed:
            records.append(record)
            if condition(records):
                break
    return records


def down(records: list[Record]) -> dict[Subscription, str]:
    found = [record for record in records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN]
    return {Subscription(one.instrument, one.channel): one.reason for one in found}


@pytest.mark.parametrize("venue", refusals.VENUES)
async def test_every_stream_that_a_venue_refuses_is_down_with_its_words(venue: str) -> None:
    streams = [Subscription(refusals.INSTRUMENTS[venue], channel) for channel in feeds.load(venue).default_channels]
    async with RefusingVenue(venue) as there:
        feed = feed_of(venue, there)
        await feed.subscribe(streams)
        async with feed:
            records = await until(feed, lambda records: len(down(records)) == len(streams))
    assert set(down(records)) == set(streams)
    assert all(why.startswith(f"the venue refuses it: {refusals.WORDS[venue]}") for why in down(records).values())
    assert any(isinstance(record, DeadLetter) and record.reason == "venue_error" for record in records)


async def test_a_live_stream_stays_so_when_another_subscription_or_its_end_is_refused() -> None:
    async with RefusingVenue("binance") as there:
        feed = feed_of("binance", there)
        await feed.subscribe([LIVE])
        async with feed:
            await until(feed, lambda _: there.trades)
            other = Subscription("binance:C-USDT", "trade")
            await feed.subscribe([other])
            assert list(down(await until(feed, down))) == [other]
            await feed.subscribe_again("test-1", LIVE)  # its end is refused, it goes on
            records = await until(feed, lambda _: there.trades > 1)
            records += await until(feed, lambda more: any(isinstance(one, DeadLetter) for one in [*records, *more]))
            assert not down(records)
