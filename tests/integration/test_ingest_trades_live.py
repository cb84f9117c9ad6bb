"""Binance's trades live, under every fault the local exchange knows: each comes once, and each gap is healed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest

from ingest.clock import SystemClock
from ingest.connection import ConnectionOptions
from ingest.feed import Subscription
from market.feed_status import FeedState
from market.trade import Trade
from runtime.retry import Backoff
from tests.builders import INSTRUMENT
from tests.exchange import faults
from tests.exchange.binance import BinanceSpot
from tests.exchange.exchange import Exchange
from tests.exchange.listener import Listener
from tests.exchange.server import answer_of
from tests.ingest_parts import recorded_trades

pytestmark = pytest.mark.anyio

TRADES = Subscription(INSTRUMENT, "trade")
Fault = Callable[[Exchange], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    return recorded_trades()[:3_000]


def told(frames: list[bytes]) -> list[str]:
    return [str(json.loads(frame)["data"]["t"]) for frame in frames]


def content(trade: Trade) -> tuple[object, ...]:
    """What a trade is, but for when it was received and how it came."""
    return trade._replace(received_at=0, origin=None)


async def dropped(there: Exchange) -> None:
    await there.drop()
    await there.play(700)


async def away(there: Exchange) -> None:
    await there.stop()
    await there.play(1_500)  # more than one answer holds
    await there.start()


async def reset_in_a_frame(there: Exchange) -> None:
    await there.reset_in_a_frame()
    await there.play(50)


async def cut_for_renewal(there: Exchange) -> None:
    await there.cut_for_renewal()
    await there.play(50)


async def stalled(there: Exchange) -> None:
    connections = there.connections
    await there.play(50, faults.lost)
    while there.connections == connections:
        await there.chatter()
        await asyncio.sleep(0.05)


def on_the_way(fault: faults.Fault) -> Fault:
    async def happen(there: Exchange) -> None:
        await there.play(50, fault)

    return happen


async def refused(there: Exchange, status: HTTPStatus) -> None:
    there.rest_refusals = [answer_of(status, b"", Retry_After="1")]
    there.refusals = [answer_of(status, b"", Retry_After="1")]
    await dropped(there)


async def refused_with_429(there: Exchange) -> None:
    await refused(there, HTTPStatus.TOO_MANY_REQUESTS)


async def refused_with_418(there: Exchange) -> None:
    await refused(there, HTTPStatus.IM_A_TEAPOT)


@pytest.mark.parametrize(
    "fault",
    [
        *(dropped, away, reset_in_a_frame, cut_for_renewal, stalled, refused_with_429, refused_with_418),
        pytest.param(on_the_way(faults.lost), id="gap"),
        pytest.param(on_the_way(faults.repeated), id="duplicate"),
        pytest.param(on_the_way(faults.reordered), id="reorder"),
        pytest.param(on_the_way(faults.garbled), id="bad JSON"),
        pytest.param(on_the_way(faults.from_the_future), id="clock skew"),
    ],
)
async def test_every_trade_comes_once_and_every_gap_is_healed(fault: Fault) -> None:
    options = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=1, proxy=None)
    there = Exchange(BinanceSpot(), tape())
    async with there, Listener("binance", there, [TRADES], options) as listener:
        await there.listened_to(1)
        await there.play(300)
        await listener.until(lambda: len(listener.trades()) == 300)
        await fault(there)
        await listener.until(lambda: len(there.topics) == 1, within=5)
        await there.play(300)
        await listener.until(lambda: len(listener.trades()) >= there.position)
        await asyncio.sleep(0.2)
        assert sorted(listener.ids(), key=int) == told(there.happened)
        gaps = listener.gaps()
        assert {gap for gap in gaps if gap.healed} == {gap._replace(healed=True) for gap in gaps}
        assert listener.states(TRADES)[-1] is FeedState.LIVE


async def test_fetched_trades_are_what_the_stream_would_have_told() -> None:
    there = Exchange(BinanceSpot(), tape())
    async with there, Listener("binance", there, [TRADES]) as whole, Listener("binance", there, [TRADES]) as broken:
        await there.until(lambda: len(there.subscribed) == 2 and all(there.subscribed.values()))
        await there.play(10)
        await broken.until(lambda: len(broken.trades()) == 10)
        (line,) = broken.feed._connections
        assert line._socket is not None
        line._socket.transport.abort()
        await there.until(lambda: len(there.subscribed) == 1)
        await there.play(100)
        await there.until(lambda: len(there.subscribed) == 2 and all(there.subscribed.values()))
        await there.play(10)
        await broken.until(lambda: len(broken.trades()) == 120)
        await whole.until(lambda: len(whole.trades()) == 120)
        assert sorted(map(content, broken.trades())) == sorted(map(content, whole.trades()))
        assert broken.feed.counts.backfilled == 100
        assert [trade.origin for trade in broken.trades()].count("backfill") == 100
        assert {trade.origin for trade in whole.trades()} == {None}


async def test_what_the_venue_does_not_tell_again_stays_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Exchange):
        def answer(self, path: str) -> bytes | None:
            return b"[]"

    monkeypatch.setattr("ingest.healing.ASKING", Backoff(0.01, 0.02))
    there = Forgetful(BinanceSpot(), tape())
    async with there, Listener("binance", there, [TRADES]) as listener:
        await there.listened_to(1)
        await there.play(10)
        await there.play(5, faults.lost)
        await there.play(10)
        await listener.until(lambda: len(there.asked) == 6)
        await asyncio.sleep(0.5)
        assert len(there.asked) == 6
        (gap,) = listener.gaps()
        assert not gap.healed


async def test_no_request_is_made_while_nothing_is_missing() -> None:
    there = Exchange(BinanceSpot(), tape())
    async with there, Listener("binance", there, [TRADES]) as listener:
        await there.listened_to(1)
        await there.play(100)
        await listener.until(lambda: len(listener.trades()) == 100)
        await there.drop()
        await there.listened_to(1)
        await there.play(100)
        await listener.until(lambda: len(listener.trades()) == 200)
        await asyncio.sleep(0.3)
        assert there.asked == []
        assert listener.gaps() == []


class DaysPass(SystemClock):
    """The machine's clock, but that waiting for an hour or more ends when told."""

    def __init__(self) -> None:
        self.later = asyncio.Event()
        self.waited_for: list[float] = []

    async def sleep(self, seconds: float) -> None:
        if seconds < 3_600:
            await super().sleep(seconds)
        else:
            self.waited_for.append(seconds)
            await self.later.wait()
            self.later.clear()


async def test_connection_is_renewed_before_the_venues_cut_and_nothing_is_missed() -> None:
    there, clock = Exchange(BinanceSpot(), tape()), DaysPass()
    async with there, Listener("binance", there, [TRADES], clock=clock) as listener:
        await there.listened_to(1)
        for day in range(1, 3):
            await there.play(50)
            clock.later.set()
            await there.until(lambda: len(there.open) == 2 and all(there.subscribed.values()))
            await there.play(50)  # both lines tell it
            await there.until(lambda: len(there.open) == 1)
            await there.play(50)
            await listener.until(lambda day=day: len(listener.trades()) >= 150 * day)  # type: ignore[misc]
        assert listener.ids() == told(there.happened)
        assert listener.states(TRADES) == [FeedState.CONNECTING, FeedState.LIVE]
        assert listener.gaps() == []
        assert there.connections == 3
        assert listener.feed.counts.reconnects == 0
        assert all(82_800 <= seconds <= 84_600 for seconds in clock.waited_for)  # half an hour to an hour before


async def test_connection_that_cannot_be_renewed_goes_on() -> None:
    there, clock = Exchange(BinanceSpot(), tape()), DaysPass()
    async with there, Listener("binance", there, [TRADES], clock=clock) as listener:
        await there.listened_to(1)
        there.refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE)] * 3
        clock.later.set()
        await there.until(lambda: not there.refusals and len(there.open) == 2 and all(there.subscribed.values()))
        there.open[-1].transport.abort()  # nor does the next one live to tell anything
        await there.until(lambda: there.connections == 3 and len(there.open) == 2 and all(there.subscribed.values()))
        await there.play(50)
        await there.until(lambda: len(there.open) == 1)
        await there.play(50)
        await listener.until(lambda: len(listener.trades()) >= 100)
        assert listener.ids() == told(there.happened)
        assert listener.states(TRADES) == [FeedState.CONNECTING, FeedState.LIVE]


async def test_streams_subscribed_to_during_renewal_are_kept() -> None:
    other = Subscription(INSTRUMENT, "bookTicker")
    there, clock = Exchange(BinanceSpot(), tape()), DaysPass()
    async with there, Listener("binance", there, [TRADES], clock=clock) as listener:
        await there.listened_to(1)
        clock.later.set()
        await there.until(lambda: len(there.open) == 2 and all(there.subscribed.values()))
        await listener.feed.subscribe([other])
        await there.play(50)
        await there.until(lambda: len(there.open) == 1)
        await there.listened_to(2)
