"""What each venue is asked, where, and how often."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import ListeningVenue, Subscription
from ingest.marks import Missing
from ingest.rest_venue import FetchingVenue, HealingVenue
from market.errors import DataValidationError
from market.trade import Trade
from tests.ingest_parts import NOW

VENUES = (
    *("binance", "bitget", "bitstamp", "bybit", "coinbase", "deribit", "gateio", "kraken", "kraken_futures", "okx"),
    *("bitfinex", "coinbase_advanced"),
)
CODES = {"kraken_futures": "BTC-USDT-PERP"}


def listening(venue: str) -> ListeningVenue:
    speaker = feeds.load(venue)
    assert isinstance(speaker, ListeningVenue)
    return speaker


@pytest.mark.parametrize(
    ("venue", "streams", "asked"),
    [
        (
            "bitget",
            [("bitget:EOS-USDT", "books"), ("bitget:UNI-USDT-PERP", "trade")],
            [
                {
                    "op": "subscribe",
                    "args": [
                        {"instType": "SP", "channel": "books", "instId": "EOSUSDT"},
                        {"instType": "MC", "channel": "trade", "instId": "UNIUSDT"},
                    ],
                }
            ],
        ),
        (
            "bitfinex",
            [("bitfinex:TESTBTC-TESTUSD", "ticker"), ("bitfinex:MANA-BTC", "book"), ("bitfinex:IOTA-ETH", "trades")],
            [
                {"event": "conf", "flags": 65536},
                {"event": "subscribe", "channel": "ticker", "symbol": "tTESTBTC:TESTUSD"},
                {"event": "subscribe", "channel": "book", "symbol": "tMNABTC", "prec": "P0", "freq": "F0", "len": "100"},
                {"event": "subscribe", "channel": "trades", "symbol": "tIOTETH"},
            ],
        ),
        (
            "bitstamp",
            [("bitstamp:USDT-EUR", "diff_order_book"), ("bitstamp:SGB-EUR", "live_trades")],
            [
                {"event": "bts:subscribe", "data": {"channel": "diff_order_book_usdteur"}},
                {"event": "bts:subscribe", "data": {"channel": "live_trades_sgbeur"}},
            ],
        ),
        (
            "coinbase",
            [("coinbase:SKL-USD", "level2"), ("coinbase:BAND-GBP", "level2"), ("coinbase:SKL-USD", "matches")],
            [
                {"type": "subscribe", "product_ids": ["SKL-USD", "BAND-GBP"], "channels": ["level2"]},
                {"type": "subscribe", "product_ids": ["SKL-USD"], "channels": ["matches"]},
            ],
        ),
        (
            "coinbase_advanced",
            [("coinbase_advanced:BTC-USD", "level2"), ("coinbase_advanced:ETH-USD", "level2")],
            [
                {"type": "subscribe", "channel": "heartbeats"},
                {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD", "ETH-USD"]},
            ],
        ),
        (
            "deribit",
            [("deribit:BTC-USD-210924-8000-P", "book.raw"), ("deribit:ETH-USD-210723-2300-C", "trades.raw")],
            [
                {
                    "jsonrpc": "2.0",
                    "id": 7,
                    "method": "public/subscribe",
                    "params": {"channels": ["book.BTC-24SEP21-8000-P.raw", "trades.ETH-23JUL21-2300-C.raw"]},
                }
            ],
        ),
        (
            "kraken_futures",
            [("kraken_futures:ETH-USD-211231", "book"), ("kraken_futures:XRP-USD-PERP", "book")],
            [{"event": "subscribe", "feed": "book", "product_ids": ["FI_ETHUSD_211231", "PI_XRPUSD"]}],
        ),
        (
            "bybit",
            [("bybit:BTC-USDT-PERP", "orderbook.200"), ("bybit:SOL-USDT-PERP", "kline.1")],
            [{"req_id": "7", "op": "subscribe", "args": ["orderbook.200.BTCUSDT", "kline.1.SOLUSDT"]}],
        ),
        (
            "gateio",
            [
                *(("gateio:INK-USDT", "spot.trades"), ("gateio:HAI-ETH", "spot.trades")),
                *(("gateio:INK-USDT", "spot.order_book_update"), ("gateio:INK-USDT", "spot.candlesticks")),
            ],
            [
                {"channel": "spot.trades", "payload": ["INK_USDT", "HAI_ETH"], "id": 7},
                {"channel": "spot.order_book_update", "payload": ["INK_USDT", "100ms"], "id": 8},
                {"channel": "spot.candlesticks", "payload": ["1m", "INK_USDT"], "id": 9},
            ],
        ),
        (
            "kraken",
            [("kraken:BTC-USD", "trade"), ("kraken:DOGE-EUR", "trade"), ("kraken:BTC-USD", "book-1000")],
            [
                {"event": "subscribe", "reqid": 7, "pair": ["XBT/USD", "XDG/EUR"], "subscription": {"name": "trade"}},
                {"event": "subscribe", "reqid": 8, "pair": ["XBT/USD"], "subscription": {"name": "book", "depth": 1000}},
            ],
        ),
        (
            "okx",
            [("okx:BTC-USD-220527", "tickers"), ("okx:UNI-USD-PERP", "books")],
            [
                {
                    "op": "subscribe",
                    "args": [
                        {"channel": "tickers", "instId": "BTC-USD-220527"},
                        {"channel": "books", "instId": "UNI-USD-SWAP"},
                    ],
                }
            ],
        ),
    ],
)
def test_subscribing_says_what_recorders_said(venue: str, streams: list[tuple[str, str]], asked: list[dict[str, Any]]) -> None:
    messages = listening(venue).requests([Subscription(*stream) for stream in streams], 7, NOW, subscribe=True)
    common = {"time": NOW // 1_000_000, "event": "subscribe"} if venue == "gateio" else {}
    assert [json.loads(request.message) for request in messages] == [common | request for request in asked]


@pytest.mark.parametrize("venue", [venue for venue in VENUES if venue != "bitfinex"])
def test_unsubscribing_is_subscribing_by_another_word(venue: str) -> None:
    speaker = listening(venue)
    instrument = f"{venue}:{CODES.get(venue, 'BTC-USDT')}"
    streams = [Subscription(instrument, channel) for channel in speaker.default_channels]
    told = (speaker.requests(streams, 1, NOW, subscribe=subscribe) for subscribe in (True, False))
    on, off = ([request.message for request in requests] for requests in told)
    words = {
        "SUBSCRIBE": "UNSUBSCRIBE",
        '"subscribe"': '"unsubscribe"',
        "/subscribe": "/unsubscribe",
        ":subscribe": ":unsubscribe",
    }
    on = [message for message in on if "heartbeats" not in message]  # which go on
    for word, opposite in words.items():
        on = [message.replace(word, opposite) for message in on]
    assert off == on


@pytest.mark.parametrize("venue", VENUES)
def test_full_connection_is_subscribed_within_a_minute_and_messages_are_in_parts(venue: str) -> None:
    speaker = listening(venue)
    codes = (CODES.get(venue, "BTC-USDT").replace("BTC", f"C{number}") for number in range(speaker.limits.streams))
    streams = [Subscription(f"{venue}:{code}", speaker.default_channels[0]) for code in codes]
    messages = [request.message for request in speaker.requests(streams, 1, NOW, subscribe=True)]
    assert len(messages) * speaker.limits.message_seconds < 60
    assert max(map(len, messages)) < 16_000


@pytest.mark.parametrize(
    ("stream", "url"),
    [
        (("okx:BTC-USDT", "trades"), "wss://ws.okx.com:8443/ws/v5/public"),
        (("okx:BTC-USDT", "candle1m"), "wss://ws.okx.com:8443/ws/v5/business"),
        (("bybit:BTC-USDT", "publicTrade"), "wss://stream.bybit.com/v5/public/spot"),
        (("bybit:BTC-USDT-PERP", "publicTrade"), "wss://stream.bybit.com/v5/public/linear"),
        (("bybit:BTC-USD-PERP", "publicTrade"), "wss://stream.bybit.com/v5/public/inverse"),
        (("bitget:BTC-USDT", "trade"), "wss://ws.bitget.com/spot/v1/stream"),
        (("bitget:BTC-USDT-PERP", "trade"), "wss://ws.bitget.com/mix/v1/stream"),
        (("gateio:BTC-USDT", "spot.trades"), "wss://api.gateio.ws/ws/v4/"),
        (("kraken:BTC-USD", "trade"), "wss://ws.kraken.com"),
        (("bitfinex:BTC-USD", "trades"), "wss://api-pub.bitfinex.com/ws/2"),
        (("bitstamp:BTC-USD", "live_trades"), "wss://ws.bitstamp.net"),
        (("coinbase:BTC-USD", "matches"), "wss://ws-feed.exchange.coinbase.com"),
        (("deribit:BTC-USD-PERP", "trades.100ms"), "wss://www.deribit.com/ws/api/v2"),
        (("coinbase_advanced:BTC-USD", "level2"), "wss://advanced-trade-ws.coinbase.com"),
        (("kraken_futures:BTC-USD-PERP", "trade"), "wss://futures.kraken.com/ws/v1"),
    ],
)
def test_address_is_that_of_recordings_and_of_their_market(stream: tuple[str, str], url: str) -> None:
    speaker = listening(stream[0].partition(":")[0])
    route = speaker.route(Subscription(*stream), None)
    assert route.url == url
    assert speaker.market_of(url) == route.market
    assert speaker.route(Subscription(*stream), "ws://127.0.0.1:1").url.startswith("ws://127.0.0.1:1")


@pytest.mark.parametrize(
    ("code", "symbol"),
    [
        *(("BTC-USDT", "BTCUSDT"), ("BTC-USDT-PERP", "BTCUSDT"), ("BTC-USDC-PERP", "BTCPERP")),
        *(("BTC-USDT-260925", "BTCUSDT-25SEP26"), ("BTC-USDC-260105", "BTC-05JAN26")),
        *(("BTC-USD-PERP", "BTCUSD"), ("BTC-USD-260925", "BTCUSDU26"), ("ETH-USD-270326", "ETHUSDH27")),
    ],
)
def test_bybits_symbols(code: str, symbol: str) -> None:
    assert listening("bybit").symbol_of(f"bybit:{code}") == symbol


@pytest.mark.parametrize(
    ("instrument", "symbol"),
    [
        *(("bitfinex:BTC-USDT", "tBTCUST"), ("bitfinex:AVAX-USD", "tAVAX:USD"), ("bitfinex:BTC-CNHT", "tBTC:CNHT")),
        *(("bitfinex:BTC-USDT-PERP", "tBTCF0:USTF0"), ("bitfinex:DOT-BTC-PERP", "tDOTF0:BTCF0")),
        *(("deribit:BTC-USD-PERP", "BTC-PERPETUAL"), ("deribit:SOL-USDC-PERP", "SOL_USDC-PERPETUAL")),
        *(("deribit:BTC-USD-260905", "BTC-5SEP26"), ("deribit:BTC-USDC", "BTC_USDC")),
        ("deribit:XRP-USDC-260630-0.625-C", "XRP_USDC-30JUN26-0d625-C"),
        *(("kraken_futures:BTC-USD-PERP", "PI_XBTUSD"), ("kraken_futures:BTC-USD-260925", "FI_XBTUSD_260925")),
        *(("kraken_futures:DOGE-USD-FLEX-PERP", "PF_XDGUSD"), ("kraken_futures:ETH-USD-FLEX-260925", "FF_ETHUSD_260925")),
    ],
)
def test_symbol_is_the_venues_and_means_the_instrument(instrument: str, symbol: str) -> None:
    speaker = listening(instrument.partition(":")[0])
    assert speaker.symbol_of(instrument) == symbol
    speaker.check([Subscription(instrument, speaker.default_channels[0])])
    told = {
        "bitfinex": ("https://api-pub.bitfinex.com/v2/conf/pub:list:pair:exchange", [[symbol.removeprefix("t")]]),
        "deribit": ("https://www.deribit.com/api/v2/public/get_instruments", {"result": [{"instrument_name": symbol}]}),
        "kraken_futures": (
            "https://futures.kraken.com/derivatives/api/v3/instruments",
            {"instruments": [{"symbol": symbol.lower()}, {"symbol": "in_xbtusd"}]},
        ),
    }
    url, answer = told[speaker.name]
    assert speaker.listed(url, json.dumps(answer).encode()) == {symbol: instrument}
    assert speaker.listed(url.replace("conf", "tickers").replace("instruments", "tickers"), b"nothing") == {}


@pytest.mark.parametrize(
    ("instrument", "url"),
    [
        ("binance:BTC-USDT", "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"),
        ("binance:BTC-USDT-PERP", "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"),
        (
            "gateio:HAI-ETH",
            "https://api.gateio.ws/api/v4/spot/order_book?currency_pair=HAI_ETH&limit=1000&with_id=true",
        ),
        ("bitstamp:USDT-EUR", "https://www.bitstamp.net/api/v2/order_book/usdteur"),
    ],
)
def test_book_is_asked_for_within_the_quota(instrument: str, url: str) -> None:
    venue = feeds.load(instrument.partition(":")[0])
    assert isinstance(venue, FetchingVenue)
    request = venue.book_request(instrument)
    assert request.url == url
    assert venue.market_of(url) == request.market
    assert 0 < request.weight <= venue.quota(request.market).weight


# trades asked for again

TRADE = {"id": 28457, "price": "4.00000100", "qty": "12.5", "quoteQty": "48", "time": 1_723_161_599_000, "isBuyerMaker": True}
AGGREGATE = {"a": 26129, "p": "0.01633102", "q": "4.70443515", "f": 27781, "l": 27783, "T": 1_723_161_599_000, "m": False}


def binance() -> HealingVenue:
    venue = feeds.load("binance")
    assert isinstance(venue, HealingVenue)
    return venue


def answered(path: str, rows: object) -> Trade:
    url = f"https://api.binance.com/api/v3/{path}?symbol=BTCUSDT&fromId=1&limit=2"
    parsed = binance().answered(url, json.dumps(rows).encode(), NOW, {}, 5_000_000)
    assert parsed is not None
    (trade,) = parsed.records
    assert isinstance(trade, Trade)
    return trade


@pytest.mark.parametrize(
    ("channel", "instrument", "path", "weight"),
    [
        ("trade", "binance:BTC-USDT", "https://api.binance.com/api/v3/historicalTrades", 25),
        ("aggTrade", "binance:BTC-USDT", "https://api.binance.com/api/v3/aggTrades", 4),
        ("aggTrade", "binance:BTC-USDT-PERP", "https://fapi.binance.com/fapi/v1/aggTrades", 20),
    ],
)
def test_missing_trades_are_asked_for_from_the_first(channel: str, instrument: str, path: str, weight: int) -> None:
    few, many = (binance().trades_request(channel, Missing(instrument, 5, last)) for last in (7, 50_000))
    assert few is not None
    assert many is not None
    assert (few.url, few.weight) == (f"{path}?symbol=BTCUSDT&fromId=5&limit=3", weight)
    assert many.url.endswith("fromId=5&limit=1000")


def test_single_trades_of_futures_are_not_told_again() -> None:
    assert binance().trades_request("trade", Missing("binance:BTC-USDT-PERP", 5, 7)) is None


def test_answers_are_read_as_the_stream_is() -> None:
    trade, aggregate = answered("historicalTrades", [TRADE]), answered("aggTrades", [AGGREGATE])
    assert (trade.trade_id, trade.sequence, trade.side) == ("28457", 28457, "sell")
    assert (trade.price, trade.size, trade.exchange_time) == (4_000_001_000_000, 12_500_000_000_000, 1_723_161_599_000_000)
    assert (aggregate.trade_id, aggregate.first_trade_id, aggregate.last_trade_id) == ("26129", "27781", "27783")
    assert (aggregate.trade_count, aggregate.side) == (3, "buy")


@pytest.mark.parametrize("rows", [{}, [{}], [TRADE | {"price": "x"}], [TRADE | {"id": -1}], [TRADE | {"qty": "0"}], None])
def test_answer_that_is_none_is_refused(rows: object) -> None:
    with pytest.raises(DataValidationError):
        answered("historicalTrades", rows)
