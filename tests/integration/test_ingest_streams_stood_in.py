"""One stream falls silent while others of its connection tell: REST, then the feed that stands in, and back by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from ingest import feeds
from ingest.clock import SystemClock
from ingest.connection import ConnectionOptions
from ingest.feed import ConnectionStatus, ListeningVenue, Subscription
from ingest.live import LiveFeed
from ingest.standing_in import FailoverOptions
from market.feed_status import FeedState, FeedStatus
from runtime.retry import Backoff
from tests.builders import INSTRUMENT
from tests.exchange.binance import BinanceSpot
from tests.exchange.exchange import Exchange
from tests.exchange.listener import Listener
from tests.exchange.server import answer_of
from tests.ingest_parts import combined, recorded_trades

pytestmark = pytest.mark.anyio

TRADES, QUOTES = Subscription(INSTRUMENT, "trade"), Subscription(INSTRUMENT, "bookTicker")
SPEED = 20.0
OPTIONS = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=600, stream_stale_seconds=5, proxy=None)
WAYS = FailoverOptions(fresh_seconds=10, poll_seconds=1)


class FastClock(SystemClock):
    """Twenty seconds in one: a stream is judged once it was heard for a minute."""

    def __init__(self) -> None:
        self._begun = super().now()

    def now(self) -> int:
        return self._begun + round((super().now() - self._begun) * SPEED)

    def monotonic(self) -> float:
        return super().monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / SPEED)

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        await super().pause(seconds / SPEED, until)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    """A quote after each trade."""
    top = {"s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    quotes = (combined("btcusdt@bookTicker", top | {"u": number}) for number in range(1, 5_001))
    return [frame for pair in zip(recorded_trades()[:5_000], quotes, strict=True) for frame in pair]


def without_trades(frames: Sequence[bytes]) -> Sequence[bytes]:
    return [frame for frame in frames if b"@trade" not in frame[:30]]


class Scene:
    """Two exchanges with one market; the first one leaves the trades out while it is `is_deaf`."""

    def __init__(self, there: Exchange, elsewhere: Exchange, listener: Listener, spare: LiveFeed) -> None:
        self.there, self.elsewhere, self.listener, self.spare = there, elsewhere, listener, spare
        self.is_deaf = False

    async def play(self) -> None:
        """Let a trade and a quote happen, again and again."""
        while True:
            await self.there.play(2, without_trades if self.is_deaf else list)
            await self.elsewhere.play(2)
            await asyncio.sleep(0.01)

    def told(self) -> list[tuple[FeedState, str | None]]:
        """States of the trades, each with its source."""
        found = (one for one in self.listener.records if isinstance(one, FeedStatus))
        return [(one.state, one.source) for one in found if (one.instrument, one.channel) == TRADES]

    def reasons(self) -> list[str]:
        return [one.reason for one in self.listener.records if isinstance(one, FeedStatus) and " → " in one.reason]

    async def until(self, condition: Callable[[], object]) -> None:
        await self.listener.until(condition)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    there, elsewhere = Exchange(BinanceSpot(), tape()), Exchange(BinanceSpot(), tape())
    venue, clock = feeds.load("binance"), FastClock()
    assert isinstance(venue, ListeningVenue)
    async with there, elsewhere:
        listener = Listener("binance", there, [TRADES, QUOTES], OPTIONS, failover=WAYS, clock=clock)
        spare = LiveFeed(
            *("spare", venue),
            base_url=elsewhere.url,
            options=OPTIONS,
            session=listener.feed.session,
            stands_in=True,
            clock=clock,
        )
        await spare.subscribe([TRADES])
        listener.feed.be_replaced_by(spare)
        async with listener:
            listener.also(spare)
            await spare.connect()
            await there.listened_to(2)
            found = Scene(there, elsewhere, listener, spare)
            playing = asyncio.create_task(found.play())
            await asyncio.sleep(75 / SPEED)  # until it is judged
            assert found.told()[-1][0] is FeedState.LIVE
            try:
                yield found
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)


async def test_silent_stream_is_asked_for_and_returns_with_an_event() -> None:
    async with scene() as found:
        found.is_deaf = True
        await found.until(lambda: found.told()[-1] == (FeedState.LIVE, "rest"))
        assert (FeedState.STALE, None) in found.told()
        assert found.spare.get_status() is ConnectionStatus.STOPPED
        found.is_deaf = False
        await found.until(lambda: found.told()[-1] == (FeedState.LIVE, "websocket"))
        assert found.reasons() == ["websocket is fresh again: rest → websocket"]
        assert found.spare.get_status() is ConnectionStatus.STOPPED


async def test_silent_stream_that_rest_does_not_tell_reaches_the_substitute_and_returns() -> None:
    async with scene() as found:
        found.there.rest_refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE)] * 100_000
        found.is_deaf = True
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.SUBSCRIBED)
        before = len(found.listener.trades())
        await found.until(lambda: len(found.listener.trades()) > before + 50)
        assert "rest → spare" in found.reasons()[-1]
        assert found.reasons()[-1].startswith("nothing by rest for ")
        assert found.listener.feed.get_status() is ConnectionStatus.SUBSCRIBED, "its quotes never stopped"
        found.is_deaf = False
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.STOPPED)
        await found.until(lambda: found.told()[-1] == (FeedState.LIVE, "websocket"))
        assert found.reasons()[-1] == "websocket is fresh again: spare → websocket"
        before = len(found.listener.trades())
        await found.until(lambda: len(found.listener.trades()) > before + 50)
        assert len(set(found.listener.ids())) == len(found.listener.ids())


async def test_rest_that_answers_again_takes_over_from_the_substitute() -> None:
    async with scene() as found:
        found.there.rest_refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE)] * 100_000
        found.is_deaf = True
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.SUBSCRIBED)
        found.there.rest_refusals.clear()
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.STOPPED)
        assert found.reasons()[-1] == "rest is fresh again: spare → rest"
        before = len(found.listener.trades())
        await found.until(lambda: len(found.listener.trades()) > before + 50)
        assert found.listener.trades()[-1].origin == "poll"


async def test_substitute_of_a_feed_that_is_stopped_and_begun_again_at_once_is_let_go() -> None:
    async with scene() as found:
        found.there.rest_refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE)] * 100_000
        found.is_deaf = True
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.SUBSCRIBED)
        await found.listener.feed.stop("a test")
        found.listener.feed.start()
        await found.until(lambda: found.spare.get_status() is ConnectionStatus.STOPPED)
