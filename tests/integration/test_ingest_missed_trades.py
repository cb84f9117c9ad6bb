"""Venues beside Binance live: what a line missed is fetched by REST, each trade comes once, and each gap is told healed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ingest.connection import ConnectionOptions
from ingest.feed import Subscription
from market.feed_status import FeedState
from runtime.retry import Backoff
from tests.exchange.arg_frames import ArgFrames
from tests.exchange.books import LocalBook
from tests.exchange.bybit import Bybit
from tests.exchange.coinbase import Coinbase
from tests.exchange.deribit import Deribit
from tests.exchange.dialect import Dialect
from tests.exchange.exchange import Exchange
from tests.exchange.gateio import Gateio
from tests.exchange.listener import Listener
from tests.rest_venues import CHANNELS, SERVERS, Happened, frame

pytestmark = pytest.mark.anyio

DIALECTS: dict[str, Dialect] = {
    "bybit": Bybit(),
    "coinbase": Coinbase(),
    "deribit": Deribit(),
    "gateio": Gateio(),
    "okx": ArgFrames(),
}
NUMBERED = ("coinbase", "deribit", "okx")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Answering:
    """A dialect whose venue answers by REST what has happened of a tape."""

    def __init__(self, venue: str, tape: Sequence[Happened]) -> None:
        self._venue = venue
        self._tape = tape
        self._dialect = DIALECTS[venue]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return json.dumps(SERVERS[self._venue](self._tape[: len(happened)], path, query)).encode()


def tape(venue: str) -> list[Happened]:
    """Two trades every half a second, of 2024; ids without holes where the venue's have none."""
    step = 1 if venue in NUMBERED else 3
    times = (1_723_161_600_000 + 500 * (number // 2) for number in range(200))
    return [Happened(1_000 + step * number, time, "100.5", "0.25", "buy") for number, time in enumerate(times)]


async def dropped(there: Exchange) -> None:
    await there.drop()
    await there.play(31)


async def away(there: Exchange) -> None:
    await there.stop()
    await there.play(35)  # with those that follow less than the sixty that Bybit tells
    await there.start()


@pytest.mark.parametrize("venue", DIALECTS)
@pytest.mark.parametrize("fault", [dropped, away])
async def test_every_trade_comes_once_and_every_gap_is_healed(venue: str, fault: Any) -> None:
    happened = tape(venue)
    stream = Subscription(f"{venue}:BTC-USDT", CHANNELS[venue])
    there = Exchange(Answering(venue, happened), [frame(venue, one) for one in happened])
    options = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=5, proxy=None)
    async with there, Listener(venue, there, [stream], options) as listener:
        await there.listened_to(1)
        await there.play(41)
        await listener.until(lambda: len(listener.trades()) == 41)
        await fault(there)
        await listener.until(lambda: len(there.topics) == 1, within=5)
        await there.play(20)
        await listener.until(lambda: len(listener.trades()) >= there.position)
        await listener.until(lambda: any(gap.healed for gap in listener.gaps()))
        assert len(set(listener.ids())) == len(listener.ids()) == there.position
        told_again = 1 if venue == "coinbase" else 0  # its stream begins with the last match
        assert [trade.origin for trade in listener.trades()].count("backfill") == there.position - 61 - told_again
        gaps = listener.gaps()
        assert {gap for gap in gaps if gap.healed} == {gap._replace(healed=True) for gap in gaps}
        assert listener.states(stream)[-1] is FeedState.LIVE
        assert not listener.refused()
