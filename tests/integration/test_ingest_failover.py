"""WebSocket, REST, a feed that stands in, and back: each trade once, and each switch told with its reason."""

import asyncio

import pytest

from ingest import feeds
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
from tests.ingest_parts import recorded_trades

pytestmark = pytest.mark.anyio

TRADES = Subscription(INSTRUMENT, "trade")
OPTIONS = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=60, proxy=None)
FAST = FailoverOptions(fresh_seconds=1.5, poll_seconds=0.1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    return recorded_trades()[:2_000]


def switches(listener: Listener) -> list[tuple[str | None, FeedState]]:
    """Sources of the statuses, in order, without those of the line itself."""
    told = [record for record in listener.records if isinstance(record, FeedStatus) and record.source is not None]
    return [(status.source, status.state) for status in told]


async def test_streams_are_served_by_rest_then_by_a_substitute_and_return_to_the_websocket() -> None:
    there, elsewhere = Exchange(BinanceSpot(), tape()), Exchange(BinanceSpot(), tape())
    venue = feeds.load("binance")
    assert isinstance(venue, ListeningVenue)

    async with there, elsewhere:
        listener = Listener("binance", there, [TRADES], OPTIONS, failover=FAST)
        shared = listener.feed.session
        spare = LiveFeed("spare", venue, base_url=elsewhere.url, options=OPTIONS, session=shared, stands_in=True)
        await spare.subscribe([TRADES])
        listener.feed.be_replaced_by(spare)
        async with listener:
            listener.also(spare)
            await spare.connect()
            await _through_all_ways(there, elsewhere, listener, spare)


async def _through_all_ways(there: Exchange, elsewhere: Exchange, listener: Listener, spare: LiveFeed) -> None:
    async def both_play(number: int) -> None:
        await there.play(number)
        await elsewhere.play(number)

    await there.listened_to(1)
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 100)
    assert spare.get_status() is ConnectionStatus.STOPPED
    assert not elsewhere.open

    await there.close_websocket()
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 200)
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 300)
    assert {trade.origin for trade in listener.trades()[100:300]} == {"poll"}

    await there.stop()
    await elsewhere.listened_to(1)
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 400)
    assert spare.get_status() is ConnectionStatus.SUBSCRIBED

    there.is_refusing = False
    await there.start()
    begun = asyncio.get_running_loop().time()
    await there.listened_to(1)
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 500)
    await listener.until(lambda: switches(listener)[-1] == ("websocket", FeedState.LIVE))
    assert asyncio.get_running_loop().time() - begun < 5
    await elsewhere.until(lambda: not elsewhere.open)
    await both_play(100)
    await listener.until(lambda: len(listener.trades()) == 600)

    assert len(set(listener.ids())) == 600
    assert [gap for gap in listener.gaps() if not gap.healed] == []
    told = [one for one in switches(listener) if one[1] in (FeedState.STALE, FeedState.LIVE)]
    assert list(dict.fromkeys(source for source, _ in told))[:3] == ["rest", "spare", "websocket"]
    reasons = [record.reason for record in listener.records if isinstance(record, FeedStatus) and " → " in record.reason]
    assert [reason.partition(": ")[2] for reason in reasons][:2] == ["websocket → rest", "rest → spare"]
    assert reasons[-1].startswith("websocket is fresh again: ")
    assert listener.states(TRADES)[-1] is FeedState.LIVE
