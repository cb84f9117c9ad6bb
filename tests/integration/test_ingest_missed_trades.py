"""Venues beside Binance live: what a line missed is fetched by REST, each trade comes once, and each gap is told healed."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ingest.connection import ConnectionOptions
from market.feed_status import FeedState
from runtime.retry import Backoff
from tests.exchange.arg_frames import ArgFrames
from tests.exchange.bitstamp import Bitstamp
from tests.exchange.books import LocalBook
from tests.exchange.bybit import Bybit
from tests.exchange.coinbase import Coinbase
from tests.exchange.deribit import Deribit
from tests.exchange.dialect import Dialect
from tests.exchange.exchange import Exchange
from tests.exchange.gateio import Gateio
from tests.exchange.kraken import Kraken
from tests.exchange.kraken_futures import KrakenFutures
from tests.exchange.listener import Listener
from tests.rest_venues import SERVERS, Happened, frame, stream, venue_of

pytestmark = pytest.mark.anyio

DIALECTS: dict[str, Dialect] = {
    "bitget": ArgFrames(),
    "bitget_futures": ArgFrames(),
    "bitstamp": Bitstamp(),
    "bybit": Bybit(),
    "coinbase": Coinbase(),
    "deribit": Deribit(),
    "gateio": Gateio(),
    "gateio_futures": Gateio(),
    "kraken": Kraken(),
    "kraken_futures": KrakenFutures(),
    "okx": ArgFrames(),
}
NUMBERED = ("coinbase", "deribit", "kraken_futures", "okx")
TOLD_AGAIN = {"bitget": 50, "bitget_futures": 50, "coinbase": 1, "kraken_futures": 100}
"""The latest trades that a stream begins with."""


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
    """Two trades every half a second, of three minutes ago; ids without holes where the venue's have none."""
    step, begin = 1 if venue in NUMBERED else 3, int(time.time() - 180) * 1000
    times = (begin + 500 * (number // 2) for number in range(300))
    return [Happened(1_000 + step * number, time, "100.5", "0.25", "buy") for number, time in enumerate(times)]


async def dropped(there: Exchange, missed: int) -> None:
    await there.drop()
    await there.play(missed)


async def away(there: Exchange, missed: int) -> None:
    await there.stop()
    await there.play(missed)
    await there.start()


@pytest.mark.parametrize("venue", DIALECTS)
@pytest.mark.parametrize("fault", [dropped, away])
async def test_every_trade_comes_once_and_every_gap_is_healed(venue: str, fault: Any) -> None:
    happened = tape(venue)
    traded, told_again = stream(venue), TOLD_AGAIN.get(venue, 0)
    there = Exchange(Answering(venue, happened), [frame(venue, one) for one in happened])
    options = ConnectionOptions(Backoff(0.05, 0.2), stale_after_seconds=5, proxy=None)
    async with there, Listener(venue_of(venue), there, [traded], options) as listener:
        await there.listened_to(1)
        await there.play(41)
        await listener.until(lambda: len(listener.trades()) == 41)
        await fault(there, told_again + 35)  # with those that follow less than the sixty that Bybit tells
        await listener.until(lambda: len(there.topics) == 1, within=5)
        await there.play(20)
        await listener.until(lambda: len(listener.trades()) >= there.position)
        await listener.until(lambda: any(gap.healed for gap in listener.gaps()))
        assert len(set(listener.ids())) == len(listener.ids()) == there.position
        assert [trade.origin for trade in listener.trades()].count("backfill") == there.position - 61 - told_again
        gaps = listener.gaps()
        assert {gap for gap in gaps if gap.healed} == {gap._replace(healed=True) for gap in gaps}
        assert listener.states(traded)[-1] is FeedState.LIVE
        assert not listener.refused()
