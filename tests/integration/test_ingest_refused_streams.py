"""Subscriptions that a venue refuses over a real connection: told on md.status as DOWN with its words."""

import json

import pytest
from websockets.asyncio.server import ServerConnection

from ingest import feeds
from ingest.feed import Subscription
from market.feed_status import FeedState, FeedStatus
from tests.exchange import refusals
from tests.exchange.listener import Listener
from tests.exchange.server import LocalServer
from tests.ingest_parts import trade_frame

pytestmark = pytest.mark.anyio


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


def down(listener: Listener) -> dict[Subscription, str]:
    """Streams that were told to be down, and why."""
    found = [record for record in listener.records if isinstance(record, FeedStatus) and record.state is FeedState.DOWN]
    return {Subscription(one.instrument, one.channel): one.reason for one in found}


@pytest.mark.parametrize("venue", refusals.VENUES)
async def test_every_stream_that_a_venue_refuses_is_down_with_its_words(venue: str) -> None:
    streams = [Subscription(refusals.INSTRUMENTS[venue], channel) for channel in feeds.load(venue).default_channels]
    async with RefusingVenue(venue) as there, Listener(venue, there, streams) as listener:
        await listener.until(lambda: len(down(listener)) == len(streams))
        assert set(down(listener)) == set(streams)
        assert all(why.startswith(f"the venue refuses it: {refusals.WORDS[venue]}") for why in down(listener).values())
        assert {letter.reason for letter in listener.refused()} == {"venue_error"}


async def test_one_stream_that_a_venue_does_not_have_costs_no_other() -> None:
    live, other = (Subscription(f"binance:{code}", "trade") for code in ("BTC-USDT", "C-USDT"))
    async with RefusingVenue("binance") as there, Listener("binance", there, [other, live]) as listener:
        await listener.until(lambda: down(listener).keys() == {live, other})
        await listener.until(listener.trades)
        assert listener.states(live)[-1] is FeedState.LIVE
        assert listener.states(other) == [FeedState.CONNECTING, FeedState.DOWN]
        assert [request["params"] for request in there.requests] == [
            ["cusdt@trade", "btcusdt@trade"],
            ["cusdt@trade"],
            ["btcusdt@trade"],
        ]


async def test_a_live_stream_stays_so_when_another_subscription_or_its_end_is_refused() -> None:
    live, other = (Subscription(f"binance:{code}", "trade") for code in ("BTC-USDT", "C-USDT"))
    async with RefusingVenue("binance") as there, Listener("binance", there, [live]) as listener:
        await listener.until(listener.trades)
        await listener.feed.subscribe([other])
        await listener.until(lambda: down(listener))
        await listener.feed.subscribe_again("test-1", live)
        await listener.until(lambda: len(listener.trades()) > 1 and len(listener.refused()) > 1)
        assert list(down(listener)) == [other]
