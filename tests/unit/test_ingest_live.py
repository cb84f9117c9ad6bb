"""A live feed whose lines are told by hand what comes: no sockets, and a clock that is turned."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from ingest import feeds
from ingest.connection import Connection
from ingest.feed import ListeningVenue, Subscription
from ingest.live import LiveFeed
from ingest.rest import RestClient, Unanswered
from ingest.rest_venue import Request
from ingest.silent_streams import LOOK_SECONDS
from ingest.standing_in import FailoverOptions
from market.feed_status import FeedState, FeedStatus
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.ingest_parts import FakeClock, combined, trade_frame

TRADES = Subscription(INSTRUMENT, "trade")
FRESH = 3


class HandClock(FakeClock):
    """Stands still until it is turned; who sleeps waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self._turned = asyncio.Event()

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        end = self.time + round(seconds * 1e6)
        while self.time < end:
            self._turned.clear()
            await self._turned.wait()

    async def turn(self, seconds: int) -> None:
        """Second by second, each with all that is due."""
        for _ in range(seconds):
            self.time += 1_000_000
            self._turned.set()
            for _ in range(20):
                await asyncio.sleep(0)


class Bench:
    """A feed of Binance's with its lines open, and what it gives."""

    def __init__(self, *, lines: int = 1, room: int = 10_000) -> None:
        venue = feeds.load("binance")
        assert isinstance(venue, ListeningVenue)
        self.clock = HandClock()
        failover = FailoverOptions(FRESH, 1)
        self.feed = LiveFeed("a", venue, clock=self.clock, failover=failover, lines=lines, buffer_size=room)
        self.records: list[Record] = []

    def open(self, *lines: str) -> None:
        """Lines are open."""
        for line in lines:
            self.feed.session.restored(line, self.clock.now())

    def trade(self, line: str, number: int) -> None:
        """A trade comes on a line."""
        self.records += self.feed.session.received(line, trade_frame(number, at=self.clock.now()), self.clock.now())

    async def listen(self) -> None:
        """Take what the feed gives."""
        async for record in self.feed:
            self.records.append(record)

    def told(self) -> list[FeedState]:
        """States so far."""
        return [record.state for record in self.records if isinstance(record, FeedStatus)]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """No network: connections do nothing, and REST answers nothing. What it was asked."""
    requests: list[Request] = []

    async def idle(_self: Connection) -> None:
        await asyncio.Event().wait()

    async def get(_self: RestClient, request: Request) -> bytes:
        requests.append(request)
        raise Unanswered("nobody is there")

    monkeypatch.setattr(Connection, "run", idle)
    monkeypatch.setattr(RestClient, "get", get)
    return requests


def run(bench: Bench, body: Callable[[], Awaitable[None]], *, is_listened_to: bool = True) -> None:
    async def whole() -> None:
        await bench.feed.subscribe([TRADES])
        async with bench.feed:
            listening = asyncio.create_task(bench.listen()) if is_listened_to else None
            await body()
        if listening is not None:
            await listening

    asyncio.run(whole())


def test_silent_line_is_not_stood_in_for_while_another_one_tells_of_its_streams(asked: list[Request]) -> None:
    bench = Bench(lines=2)

    async def body() -> None:
        bench.open("a-1", "a-2")
        bench.trade("a-1", 1)
        for number in range(2, 2 + 2 * FRESH):
            bench.trade("a-2", number)
            await bench.clock.turn(1)
        assert (bench.told(), asked) == ([FeedState.LIVE], [])
        await bench.clock.turn(FRESH)
        assert (bench.told()[-1], asked != []) == (FeedState.STALE, True)

    run(bench, body)


def test_nothing_stands_in_while_nobody_takes_what_is_told(asked: list[Request]) -> None:
    bench = Bench(room=3)

    async def body() -> None:
        bench.open("a-1")
        bench.feed.answer([TRADES] * 3, FeedState.LIVE, "fills it")
        await bench.clock.turn(3 * FRESH)
        listening = asyncio.create_task(bench.listen())
        await bench.clock.turn(FRESH - 1)
        bench.trade("a-1", 1)
        await bench.clock.turn(FRESH - 1)
        assert (FeedState.STALE in bench.told(), asked) == (False, [])
        await bench.clock.turn(1)
        assert (bench.told()[-1], asked != []) == (FeedState.STALE, True)
        listening.cancel()

    run(bench, body, is_listened_to=False)


def test_rest_is_not_asked_while_nobody_takes_what_is_told(asked: list[Request]) -> None:
    bench = Bench(room=3)

    async def body() -> None:
        bench.open("a-1")
        await bench.clock.turn(FRESH)
        bench.feed.answer([TRADES] * 3, FeedState.LIVE, "fills it")
        asked.clear()
        await bench.clock.turn(10)
        assert asked == []
        listening = asyncio.create_task(bench.listen())
        await bench.clock.turn(2)
        assert asked != []
        listening.cancel()

    run(bench, body, is_listened_to=False)


def test_stream_that_is_silent_while_another_one_tells_is_asked_for_alone(asked: list[Request]) -> None:
    bench = Bench()
    quotes = Subscription(INSTRUMENT, "bookTicker")

    def quote(number: int) -> None:
        frame = combined("btcusdt@bookTicker", {"u": number, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"})
        bench.records += bench.feed.session.received("a-1", frame, bench.clock.now())

    async def body() -> None:
        await bench.feed.subscribe([quotes])
        bench.open("a-1")
        (connection,) = bench.feed._connections
        connection._limit = asyncio.timeout(None)
        for number in range(1, 75):
            bench.trade("a-1", number)
            quote(number)
            await bench.clock.turn(1)
        assert (bench.told(), asked) == ([FeedState.LIVE] * 2, [])
        for number in range(75, 145):
            quote(number)
            await bench.clock.turn(1)
        stale = [one for one in bench.records if isinstance(one, FeedStatus) and one.state is FeedState.STALE]
        assert [(one.channel, one.instrument) for one in stale] == [("trade", INSTRUMENT)]
        assert {urlsplit(request.url).path.rpartition("/")[2] for request in asked} == {"trades"}
        bench.trade("a-1", 75)
        quote(145)
        await bench.clock.turn(LOOK_SECONDS)
        asked.clear()
        for number in range(146, 156):
            quote(number)
            await bench.clock.turn(1)
        assert (bench.told()[-1], asked) == (FeedState.LIVE, [])

    run(bench, body)
