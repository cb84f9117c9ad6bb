"""Funding and open interest of a contract by CCXT, against a server of this machine that answers as Binance's futures do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest import feeds
from ingest.backfill import Backfill, RetrievingVenue
from ingest.bookmarks import Bookmarks
from ingest.feed import Asking, PolledVenue, Subscription
from ingest.quota import Allowances
from market.decimals import ONE
from market.errors import SubscriptionError
from market.funding import Funding
from market.open_interest import OpenInterest
from schemas.records import Record
from tests.exchange.server import LocalServer
from tests.ingest_parts import NOW, Bench, FakeClock

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

BTC = "binanceusdm:BTC-USDT-PERP"
HOURS = 8 * 3_600_000
MOST = 100
SYMBOL = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "underlyingType": "COIN",
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "999999"}],
}
MARK = {
    "symbol": "BTCUSDT",
    "markPrice": "61000.10000000",
    "indexPrice": "61010.20000000",
    "estimatedSettlePrice": "61005.1",
    "lastFundingRate": "-0.00003750",
    "interestRate": "0.00010000",
    "nextFundingTime": NOW // 1000 + HOURS,
    "time": NOW // 1000,
}


class Futures(LocalServer):
    """Funding was paid every eight hours, at the times in `paid` (milliseconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.paid = [NOW // 1000 - back * HOURS for back in range(250, 0, -1)]

    def answer(self, path: str) -> bytes | None:
        parts = urlsplit(path)
        query: dict[str, Any] = dict(parse_qsl(parts.query))
        answers: dict[str, Callable[[], Any]] = {
            "/fapi/v1/exchangeInfo": lambda: {"symbols": [SYMBOL], "rateLimits": [], "assets": []},
            "/fapi/v1/premiumIndex": lambda: MARK,
            "/fapi/v1/openInterest": lambda: {"symbol": "BTCUSDT", "openInterest": "10659.509", "time": NOW // 1000},
            "/fapi/v1/fundingRate": lambda: self._paid(int(query["startTime"]), int(query["limit"])),
        }
        return json.dumps(answers[parts.path]()).encode() if parts.path in answers else None

    def _paid(self, since: int, limit: int) -> list[dict[str, Any]]:
        found = [at for at in self.paid if at >= since][:limit]
        return [{"symbol": "BTCUSDT", "fundingRate": "0.00010000", "fundingTime": at, "markPrice": "61000"} for at in found]


def run(test: Callable[[Futures, Asking], Any]) -> None:
    async def within() -> None:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(Futures())
            await test(server, Asking(FakeClock(NOW), Allowances(), server.rest_url))

    asyncio.run(within())


async def ask(asking: Asking, channel: str, instrument: str = BTC) -> list[Record]:
    venue = feeds.load("ccxt")
    assert isinstance(venue, PolledVenue)
    stream = Subscription(instrument, channel)
    venue.check([stream])
    source = venue.source(asking)
    try:
        answered = await source.ask([stream])
    finally:
        await source.close()
    parser = venue.parser("ccxt", {}, 5_000_000)
    return [record for frame in answered.frames for record in parser.parse(frame, NOW).records]


def test_funding_and_open_interest_are_told_exactly() -> None:
    async def test(_server: Futures, asking: Asking) -> None:
        (funding,) = await ask(asking, "funding_rate")
        assert isinstance(funding, Funding)
        assert (funding.instrument, funding.channel, funding.rate) == (BTC, "funding_rate", -37_500_000)
        assert (funding.next_funding_time, funding.exchange_time) == (NOW // 1000 * 1000 + HOURS * 1000, NOW // 1000 * 1000)
        assert (funding.mark_price, funding.index_price) == (610_001 * ONE // 10, 610_102 * ONE // 10)
        (held,) = await ask(asking, "open_interest")
        assert isinstance(held, OpenInterest)
        assert (held.instrument, held.channel, held.open_interest) == (BTC, "open_interest", 10_659_509 * ONE // 1_000)
        assert held.notional is None

    run(test)


def test_what_an_exchange_has_not_is_refused_by_name() -> None:
    async def test(_server: Futures, asking: Asking) -> None:
        with pytest.raises(SubscriptionError, match="has no binanceusdm:ETH-USDT-PERP; did you mean binanceusdm:BTC-USDT-PERP"):
            await ask(asking, "funding_rate", "binanceusdm:ETH-USDT-PERP")

    run(test)


def test_funding_that_was_paid_comes_once_and_in_order_and_the_command_goes_on(tmp_path: Path) -> None:
    async def test(server: Futures, asking: Asking) -> None:
        venue = feeds.load("ccxt")
        assert isinstance(venue, RetrievingVenue)
        stream, begin, bench = Subscription(BTC, "funding_rate"), server.paid[5] * 1000, Bench()
        venue.check_history([stream])
        marks = Bookmarks(tmp_path / "marks.json")

        async def backfill(end: int) -> None:
            async with venue.history(asking, 5_000_000) as history:
                work = Backfill(history, asking.clock, bench.publisher, marks, told=lambda *_: None)
                await work.run([(stream, begin, end)])

        await backfill(server.paid[-2] * 1000)
        told = [record for record in bench.sent() if isinstance(record, Funding)]
        assert [one.exchange_time for one in told] == [at * 1000 for at in server.paid[5:-2]]
        assert {(one.channel, one.rate, one.next_funding_time) for one in told} == {("funding_rate_history", 10**8, None)}
        asked = [path for path in server.asked if "fundingRate" in path]
        assert len(asked) == -(-(250 - 5) // MOST)
        await backfill(NOW)
        times = sorted({one.exchange_time for one in bench.sent() if isinstance(one, Funding)}, key=lambda at: at or 0)
        assert times == [at * 1000 for at in server.paid[5:]]

    run(test)


def test_only_funding_has_a_history() -> None:
    venue = feeds.load("ccxt")
    assert isinstance(venue, RetrievingVenue)
    with pytest.raises(SubscriptionError, match="ccxt does not tell the history of ticker"):
        venue.check_history([Subscription(BTC, "ticker")])
