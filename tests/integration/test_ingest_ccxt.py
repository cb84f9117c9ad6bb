"""The feed ccxt against an exchange of this machine that answers as Coinbase Exchange was recorded to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest

from ingest import feeds
from ingest.clock import SystemClock
from ingest.connection import ConnectionOptions
from ingest.feed import Asking, ConnectionStatus, PolledVenue, Subscription
from ingest.polled import PolledFeed
from ingest.quota import Allowances
from ingest.rest import Unanswered
from market.decimals import ONE, format_decimal
from market.depth import BookState, Depth
from market.errors import SubscriptionError
from market.feed_status import FeedState, FeedStatus
from market.quote import Kline, Quote
from market.trade import Trade
from runtime.retry import Backoff
from schemas.records import Record
from tests.exchange.server import LocalServer, answer_of
from tests.ingest_parts import ROOT

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FILE = ROOT / "tests" / "data" / "ccxt" / "coinbaseexchange_fetchTicker_fetchTrades_fetchOHLCV_20240313.json"
RECORDED = json.loads(FILE.read_text(encoding="utf-8"), parse_float=lambda text: text)
RAW = FILE.read_text(encoding="utf-8")
BTC = "coinbaseexchange:BTC-USDT"
PRODUCT = {"id": "BTC-USDT", "status": "online", "quote_increment": "0.01", "base_increment": "0.00000001"}
EXACT = "0.1234567890123456789"


class Coinbase(LocalServer):
    """Its REST server."""

    def __init__(self) -> None:
        super().__init__()
        self.trades = RECORDED["fetchTrades"]["httpResponse"]
        self.bid = "73360.34"

    def answer(self, path: str) -> bytes | None:
        place = urlsplit(path).path
        if place == "/products":
            return json.dumps([{**PRODUCT, "id": one} for one in ("BTC-USDT", "BTC-EUR")]).encode()
        if place == "/currencies":
            return b"[]"
        if not place.startswith("/products/BTC-USDT/"):
            return None
        kind = place.rpartition("/")[2]
        if kind == "ticker":
            return json.dumps({**RECORDED["fetchTicker"]["httpResponse"], "bid": self.bid}).encode()
        if kind == "trades":
            return json.dumps(self.trades).encode()
        if kind == "candles":  # numbers, not text
            begin = RAW.index("[[1710327600,")
            return RAW[begin : RAW.index("]]", begin) + 2].encode()
        if kind == "book":
            bids = [["9.9", "1.5", 1], [EXACT[:14], "100", 1], ["10.25", "0.5", 2]]
            return json.dumps({"sequence": 7, "bids": bids, "asks": [["100.5", "1", 1], ["20.5", "2", 1]]}).encode()
        return None


def venue(**options: object) -> PolledVenue:
    found = feeds.load("ccxt")
    assert isinstance(found, PolledVenue)
    return found.configured({"poll_seconds": 0.1, **options})


def run(test: Callable[[Coinbase, Any], Any]) -> None:
    async def within() -> None:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(Coinbase())
            source = venue().source(Asking(SystemClock(), Allowances(), server.rest_url))
            try:
                await test(server, source)
            finally:
                await source.close()

    asyncio.run(within())


async def ask(source: Any, channel: str, instrument: str = BTC) -> list[Record]:
    answered = await source.ask([Subscription(instrument, channel)])
    parser = venue().parser("ccxt", {}, 5_000_000)
    return [record for frame in answered.frames for record in parser.parse(frame, SystemClock().now()).records]


def test_what_ccxt_makes_of_recorded_answers_is_told_exactly() -> None:
    async def test(_server: Coinbase, source: Any) -> None:
        (quote,) = await ask(source, "ticker")
        assert isinstance(quote, Quote)
        raw = RECORDED["fetchTicker"]["httpResponse"]
        figures = (quote.bid, quote.ask, quote.last, quote.volume_24h)
        assert [format_decimal(one or 0) for one in figures] == [raw["bid"], raw["ask"], raw["price"], raw["volume"]]
        assert quote.exchange_time == RECORDED["fetchTicker"]["parsedResponse"]["timestamp"] * 1000
        (trade,) = await ask(source, "trades")
        assert isinstance(trade, Trade)
        made = RECORDED["fetchTrades"]["parsedResponse"][0]
        assert (trade.trade_id, trade.side, trade.exchange_time) == (made["id"], made["side"], made["timestamp"] * 1000)
        assert (format_decimal(trade.price), format_decimal(trade.size)) == ("73271.63", "0.00007448")
        (kline,) = await ask(source, "ohlcv_1h")
        assert isinstance(kline, Kline)
        time, *figures_of_kline = RECORDED["fetchOHLCV"]["parsedResponse"][0]
        found = (kline.open, kline.high, kline.low, kline.close, kline.volume or 0)
        assert (kline.open_time, [format_decimal(one) for one in found]) == (time * 1000, figures_of_kline)
        assert kline.is_closed

    run(test)


def test_a_book_keeps_every_digit_and_its_order() -> None:
    async def test(_server: Coinbase, source: Any) -> None:
        (book,) = await ask(source, "order_book")
        assert isinstance(book, Depth)
        assert [format_decimal(level.price) for level in book.bids] == ["10.25", "9.9", EXACT[:14]]
        assert [format_decimal(level.price) for level in book.asks] == ["20.5", "100.5"]

    run(test)


@pytest.mark.parametrize(
    ("instrument", "channel", "message"),
    [
        ("coinbaseexchange:BTC-USD", "ticker", "has no coinbaseexchange:BTC-USD; did you mean coinbaseexchange:BTC-USDT"),
        ("coinbasexchange:BTC-USDT", "ticker", "is no exchange of CCXT; did you mean coinbaseexchange"),
        (BTC, "ohlcv_4h", "has no 4h"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(instrument: str, channel: str, message: str) -> None:
    async def test(_server: Coinbase, source: Any) -> None:
        with pytest.raises(SubscriptionError, match=message):
            await ask(source, channel, instrument)

    run(test)


def test_an_exchange_that_was_asked_too_much_is_left_alone() -> None:
    async def test(server: Coinbase, source: Any) -> None:
        await ask(source, "ticker")
        server.rest_refusals = [answer_of(HTTPStatus.TOO_MANY_REQUESTS, b'{"message":"Public rate limit exceeded"}')]
        asked = len(server.asked)
        with pytest.raises(Unanswered, match="RateLimitExceeded"):
            await ask(source, "ticker")
        with pytest.raises(Unanswered, match="left alone"):
            await ask(source, "ticker")
        assert len(server.asked) == asked + 1

    run(test)


def test_a_server_that_is_away_can_be_asked_again() -> None:
    async def test(server: Coinbase, source: Any) -> None:
        await ask(source, "ticker")
        server.rest_refusals = [answer_of(HTTPStatus.SERVICE_UNAVAILABLE)]
        with pytest.raises(Unanswered, match=r"ExchangeNotAvailable|ExchangeError"):
            await ask(source, "ticker")
        await ask(source, "ticker")

    run(test)


def test_the_feed_tells_what_is_new_once() -> None:
    async def test(server: Coinbase, source: Any) -> None:
        streams = [Subscription(BTC, channel) for channel in ("ticker", "trades", "order_book")]
        missing = Subscription("coinbaseexchange:ETH-USDT", "ticker")
        feed = PolledFeed(
            *("coinbase", venue(), source),
            clock=SystemClock(),
            calendar_of=lambda _instrument: None,
            options=ConnectionOptions(Backoff(0.05, 0.2)),
        )
        await feed.subscribe([*streams, missing])
        records: list[Record] = []

        async def listen() -> None:
            async for record in feed:
                records.append(record)  # noqa: PERF401  # read while it grows

        def of(kind: type[Record]) -> list[Any]:
            return [record for record in records if isinstance(record, kind)]

        async with asyncio.timeout(60):
            await feed.connect()
            listening = asyncio.create_task(listen())
            while not (of(Quote) and of(Trade) and of(Depth) and len(server.asked) > 12):
                await asyncio.sleep(0.01)
            assert (len(of(Quote)), len(of(Trade)), len(of(Depth))) == (1, 1, 1)
            assert of(Depth)[0].state is BookState.LIVE
            server.bid = "73361"
            newer = {**server.trades[0], "trade_id": "18502035", "price": "73271.64000000"}
            server.trades = [newer, *server.trades]
            while not (len(of(Quote)) == 2 and len(of(Trade)) == 2):
                await asyncio.sleep(0.01)
            assert of(Quote)[1].bid == 73_361 * ONE
            assert feed.get_status() is ConnectionStatus.SUBSCRIBED
            refused = [status for status in of(FeedStatus) if status.instrument == missing.instrument]
            assert [status.state for status in refused] == [FeedState.CONNECTING, FeedState.DOWN]
            assert "refused" in refused[1].reason
            await feed.disconnect()
            await listening

    run(test)
