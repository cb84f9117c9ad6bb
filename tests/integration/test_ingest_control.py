"""Ingest on the real broker before the local exchange: every fault in a row leaves each trade once on the topic, and the
commands of operators are followed and answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest

from market.feed_status import FeedState, FeedStatus
from market.instrument_definition import InstrumentDefinition
from market.trade import GapMark, Trade
from tests.cluster import Cluster, Service
from tests.exchange import faults
from tests.exchange.binance import BinanceSpot
from tests.exchange.exchange import Exchange
from tests.ingest_parts import recorded_trades

pytestmark = pytest.mark.anyio

INSTRUMENT = "binance:BTC-USDT"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tape() -> list[bytes]:
    return recorded_trades()[:3_000]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what reads topics, while the exchange goes on answering."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)


async def test_each_trade_is_once_on_the_topic_after_every_fault_and_commands_are_followed(
    cluster: Cluster, start: Callable[..., Service]
) -> None:
    def states(reason: str) -> list[FeedState]:
        told = [stored.record for stored in cluster.read("md.status")]
        return [status.state for status in told if isinstance(status, FeedStatus) and reason in status.reason]

    there = Exchange(BinanceSpot(), tape())
    async with there:
        feed = {
            "feed": "binance",
            "symbols": [INSTRUMENT],
            "channels": ["trade"],
            "websocket_url": there.url,
            "rest_url": there.rest_url,
            "stale_after_seconds": 1,
            "reconnect": {"initial_seconds": 0.1, "maximum_seconds": 0.5},
            "failover": {"enabled": False},
        }
        config = cluster.config(ingest={"feeds": {"spot": feed}})
        start("ingest", "-c", config)
        await there.listened_to(1)
        for fault in (faults.none, faults.lost, faults.repeated, faults.reordered, faults.garbled, faults.from_the_future):
            await there.play(100, fault)
            await there.play(20)
        for cut in (there.drop, there.reset_in_a_frame, there.cut_for_renewal):
            await cut()
            await there.play(60)
            await there.listened_to(1)
            await there.play(20)
        await there.stop()
        await there.play(300)
        await there.start()
        await there.listened_to(1)
        await there.play(50)
        expected = [str(json.loads(frame)["data"]["t"]) for frame in there.happened]

        def trades() -> list[Trade]:
            return [stored.record for stored in cluster.read("md.trades") if isinstance(stored.record, Trade)]

        await until(lambda: len(trades()) >= len(expected))
        assert Counter(trade.trade_id for trade in trades()) == Counter(expected)
        assert {trade.origin for trade in trades()} == {None, "backfill"}
        gaps = [stored.record for stored in cluster.read("md.trades") if isinstance(stored.record, GapMark)]
        told = {gap._replace(published_at=None, healed=False) for gap in gaps if gap.begin is not None}
        assert told == {gap._replace(published_at=None, healed=False) for gap in gaps if gap.healed}

        async def command(*words: str) -> None:
            done = start("feeds", *words, "--reason", "a test", "--actor", "ann", "-c", config)
            assert await asyncio.to_thread(done.process.wait, 30) == 0, done.text()

        (listed,) = (stored.record for stored in cluster.read("md.instruments"))
        assert isinstance(listed, InstrumentDefinition)
        assert (listed.instrument, listed.tick_size, listed.is_trading) == (INSTRUMENT, 10**10, True)
        await command("stop", "binance")
        await there.until(lambda: not there.open)
        await until(lambda: states("stop by ann: a test") == [FeedState.DOWN])
        await command("start", "binance")
        await there.listened_to(1)
        await command("subscribe", INSTRUMENT, "--channels", "nothing")
        await until(lambda: states("refused: 'nothing' is no channel of binance") == [FeedState.DOWN])
        await command("subscribe", INSTRUMENT, "--channels", "ticker")
        await there.listened_to(2)
