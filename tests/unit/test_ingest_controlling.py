"""Commands of operators, followed by feeds that are not connected."""

import asyncio

import pytest

from ingest import feeds
from ingest.controlling import Controlling
from ingest.feed import ListeningVenue, Subscription
from ingest.live import LiveFeed
from market.control import ControlAction, ControlCommand
from market.feed_status import FeedState, FeedStatus
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW, FakeClock, trade_frame

TRADES, QUOTES = Subscription(INSTRUMENT, "trade"), Subscription(INSTRUMENT, "bookTicker")


def command(number: int, action: ControlAction, stream: Subscription = TRADES) -> ControlCommand:
    return ControlCommand(str(number), "binance", action, (stream.instrument,), (stream.channel,), "ann", "test", NOW)


class Feeds:
    """A feed with a backup of the same venue, both with these streams, under control."""

    def __init__(self, *streams: Subscription) -> None:
        venue = feeds.load("binance")
        assert isinstance(venue, ListeningVenue)
        self.clock = FakeClock()
        self.feed = LiveFeed("a", venue, clock=self.clock)
        self.backup = LiveFeed("b", venue, clock=self.clock, session=self.feed.session, stands_in=True)
        self.feed.be_replaced_by(self.backup)
        self.streams = streams

    async def follow(self, *commands: ControlCommand) -> None:
        """Do what the commands want, one after the other."""
        if not self.feed.subscriptions():
            await self.feed.subscribe(self.streams)
            await self.backup.subscribe(self.streams)
            self.controlling = Controlling([self.feed, self.backup], self.clock)
        for one in commands:
            self.controlling.take(one)
            await self.controlling.apply()

    async def told(self) -> list[tuple[FeedState, str]]:
        """What the feed gave to its end."""
        await self.feed.disconnect()
        found: list[Record] = [record async for record in self.feed]
        return [(one.state, one.reason) for one in found if isinstance(one, FeedStatus)]


def test_what_is_unsubscribed_is_not_told_by_the_backup_either() -> None:
    async def follow() -> None:
        both = Feeds(TRADES, QUOTES)
        await both.follow(command(1, ControlAction.UNSUBSCRIBE))
        assert both.feed.subscriptions() == both.backup.subscriptions() == {QUOTES}
        await both.follow(command(2, ControlAction.SUBSCRIBE))
        assert both.feed.subscriptions() == both.backup.subscriptions() == {TRADES, QUOTES}

    asyncio.run(follow())


def _told(*commands: ControlCommand, is_live: bool = True) -> list[tuple[FeedState, str]]:
    """What is told of commands about trades, beside what was told before."""

    async def follow() -> list[tuple[FeedState, str]]:
        both = Feeds(TRADES, QUOTES)
        await both.follow()
        if is_live:
            both.feed.session.received("a-1", trade_frame(1), NOW)
        await both.follow(*commands)
        return await both.told()

    return asyncio.run(follow())


def test_subscribing_to_what_is_there_changes_no_state() -> None:
    assert _told(command(1, ControlAction.SUBSCRIBE)) == []
    more = command(1, ControlAction.SUBSCRIBE, Subscription(INSTRUMENT, "ticker"))
    assert _told(more) == [(FeedState.CONNECTING, "subscribe by ann: test")]


@pytest.mark.parametrize("is_live", [True, False])
def test_unsubscribing_is_told_once_with_who_wanted_it(is_live: bool) -> None:
    done = [(FeedState.DOWN, "unsubscribe by ann: test")]
    assert _told(command(1, ControlAction.UNSUBSCRIBE), is_live=is_live) == done
    again = command(2, ControlAction.UNSUBSCRIBE)
    assert _told(command(1, ControlAction.UNSUBSCRIBE), again, is_live=is_live) == [*done, *done]


def test_stream_whose_subscription_has_expired_is_told_to_be_down() -> None:
    async def follow() -> None:
        both = Feeds(TRADES)
        expiring = command(1, ControlAction.SUBSCRIBE, QUOTES)._replace(expires_at=NOW + 1)
        await both.follow(expiring)
        both.feed.session.connecting("a-1", [QUOTES], NOW, "connecting")
        both.clock.time += 1
        await both.controlling.apply()
        assert (await both.told())[-1] == (FeedState.DOWN, "unsubscribed")

    asyncio.run(follow())
