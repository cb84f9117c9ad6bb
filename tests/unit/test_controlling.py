"""What commands do to the feeds of a process, without a venue to connect to."""

from typing import Any

import pytest

from ingest import feeds
from ingest.controlling import Controlling
from ingest.feed import ConnectionStatus, ListeningVenue, Subscription
from ingest.live import LiveFeed
from market.control import ControlAction, ControlCommand
from market.feed_status import FeedState, FeedStatus
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW, FakeClock

pytestmark = pytest.mark.anyio

TRADES = Subscription(INSTRUMENT, "trade")
QUOTES = Subscription(INSTRUMENT, "bookTicker")
NOWHERE = "ws://127.0.0.1:1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def command(action: ControlAction, number: int = 1) -> ControlCommand:
    return ControlCommand(str(number), "binance", action, (), (), "ann", "a test", NOW, None)


async def feed(*subscriptions: Subscription, **options: Any) -> LiveFeed:
    venue = feeds.load("binance")
    assert isinstance(venue, ListeningVenue)
    made = LiveFeed("spot", venue, base_url=NOWHERE, clock=FakeClock(), **options)
    await made.subscribe(subscriptions)
    return made


async def statuses(feed: LiveFeed) -> list[FeedStatus]:
    """What it told until now; it is ended by that."""
    await feed.disconnect()
    return [record async for record in feed if isinstance(record, FeedStatus)]


async def test_stop_that_was_there_before_the_start_is_told_of_every_stream() -> None:
    stopped = await feed(TRADES, QUOTES)
    controlling = Controlling([stopped], FakeClock())
    controlling.take(command(ControlAction.STOP))
    await controlling.apply()
    await stopped.connect()
    await controlling.apply()
    assert stopped.get_status() is ConnectionStatus.STOPPED
    told = [(status.channel, status.state, status.reason) for status in await statuses(stopped)]
    assert told == [(stream.channel, FeedState.DOWN, "stop by ann: a test") for stream in (TRADES, QUOTES)]


async def test_stop_in_the_moment_of_the_start_is_told() -> None:
    stopped = await feed(TRADES)
    await stopped.connect()  # its connection's task has not begun
    await stopped.stop("a test")
    assert [(status.state, status.reason) for status in await statuses(stopped)] == [(FeedState.DOWN, "a test")]


async def test_stopped_venue_does_not_stand_in_until_it_is_started_again() -> None:
    spare = await feed(TRADES, stands_in=True)
    controlling = Controlling([spare], FakeClock())
    await spare.connect()
    spare.stand_in("main", "a test")
    assert spare.get_status() is not ConnectionStatus.STOPPED
    controlling.take(command(ControlAction.STOP))
    await controlling.apply()
    assert spare.get_status() is ConnectionStatus.STOPPED
    spare.stand_in("other", "a test")
    assert spare.get_status() is ConnectionStatus.STOPPED
    controlling.take(command(ControlAction.START, 2))
    await controlling.apply()
    assert spare.get_status() is not ConnectionStatus.STOPPED
    await spare.disconnect()


async def test_feed_that_nobody_needs_does_not_stand_in_by_a_start() -> None:
    spare = await feed(TRADES, stands_in=True)
    controlling = Controlling([spare], FakeClock())
    await spare.connect()
    controlling.take(command(ControlAction.START))
    await controlling.apply()
    assert spare.get_status() is ConnectionStatus.STOPPED
    assert await statuses(spare) == []
