"""Frames of Bybit's v5 streams, with figures of 2026-08-09, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed, Parser
from market.book_rules import by_one
from market.depth import DepthKind
from market.errors import DataValidationError
from market.quote import Kline, Quote
from market.trade import Trade

VENUE = feeds.load("bybit")
AT = 1_786_310_821_431_163
MS = 1_786_310_821_322
TRADE: dict[str, Any] = {
    "T": MS,
    "s": "SOLUSDT",
    "S": "Sell",
    "v": "5.1",
    "p": "77.300",
    "L": "MinusTick",
    "i": "4b0832c3-70e8-5f68-a914-c53f304f507c",
    "BT": False,
    "RPI": False,
    "seq": 272903628046,
}
BOOK = {"s": "SOLUSDT", "b": [["77.300", "1349.4"]], "a": [["77.360", "0"]], "u": 13783324, "seq": 272903624295}
TICKER = {
    "symbol": "SOLUSDT",
    "price24hPcnt": "0.01337",
    "lastPrice": "77.310",
    "prevPrice24h": "76.290",
    "highPrice24h": "77.560",
    "lowPrice24h": "75.710",
    "turnover24h": "276851254.5170",
    "volume24h": "3615929.0000",
    "bid1Price": "77.300",
    "bid1Size": "1348.2",
    "ask1Price": "77.310",
    "ask1Size": "211.6",
    "preOpenPrice": "",
}
KLINE = {
    "start": MS - MS % 60_000,
    "end": 0,
    "interval": "1",
    "open": "77.28",
    "close": "77.31",
    "high": "77.31",
    "low": "77.28",
    "volume": "1252.7",
    "turnover": "96823.3",
    "confirm": True,
    "timestamp": MS,
}


def frame(topic: str, data: Any, *, kind: str = "snapshot", **more: Any) -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": MS, "data": data, **more}).encode()


def parser(market: str | None = "linear") -> Parser:
    return VENUE.parser(market, {}, 5_000_000)


def only(data: bytes, market: str = "linear") -> Any:
    (record,) = parser(market).parse(data, AT).records
    return record


def test_trade_has_the_takers_side() -> None:
    trade = only(frame("publicTrade.SOLUSDT", [TRADE]))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.side) == ("bybit:SOL-USDT-PERP", TRADE["i"], "sell")
    assert (trade.price, trade.size, trade.exchange_time) == (77_300000000000, 5_100000000000, MS * 1000)


def test_trades_of_one_match_keep_the_order_of_the_message() -> None:
    trades = parser().parse(frame("publicTrade.SOLUSDT", [TRADE | {"i": name} for name in "abc"]), AT).records
    sequences = [trade.sequence for trade in trades if isinstance(trade, Trade)]
    assert sequences == sorted(set(sequences))
    later = only(frame("publicTrade.SOLUSDT", [TRADE | {"seq": TRADE["seq"] + 1}]))
    assert later.sequence > sequences[-1]


def test_block_trade_off_the_book_is_left_out() -> None:
    assert parser().parse(frame("publicTrade.SOLUSDT", [TRADE | {"BT": True}]), AT) == Parsed("publicTrade", [])


@pytest.mark.parametrize(
    ("market", "symbol", "instrument"),
    [
        ("spot", "BTCUSDT", "bybit:BTC-USDT"),
        ("linear", "BTCUSDT", "bybit:BTC-USDT-PERP"),
        ("linear", "BTCPERP", "bybit:BTC-USDC-PERP"),
    ],
)
def test_market_of_the_connection_tells_pair_from_contract(market: str, symbol: str, instrument: str) -> None:
    assert only(frame(f"publicTrade.{symbol}", [TRADE | {"s": symbol}]), market).instrument == instrument


def test_listing_dates_the_contracts_that_are_delivered() -> None:
    url = "https://api.bybit.com/v5/market/instruments-info?&category=linear&status=Trading"
    fields = ("symbol", "contractType", "baseCoin", "quoteCoin", "deliveryTime")
    rows = [
        ("BTC-25SEP26", "LinearFutures", "BTC", "USDC", "1790323200000"),
        ("1000XUSDT", "LinearPerpetual", "1000X", "USDT", "0"),
        ("BAD", "LinearFutures", "B", "C", "soon"),
    ]
    listings = [dict(zip(fields, row, strict=True)) for row in rows]
    listed = VENUE.listed(url, json.dumps({"result": {"list": listings}}).encode())
    assert listed == {"BTC-25SEP26": "bybit:BTC-USDC-260925", "1000XUSDT": "bybit:1000X-USDT-PERP"}


def test_book_has_the_time_of_the_match_and_rises_by_one() -> None:
    depth = only(frame("orderbook.200.SOLUSDT", BOOK, kind="delta", cts=MS - 2))
    assert (depth.kind, depth.last_sequence, depth.exchange_time) == (DepthKind.DELTA, 13783324, (MS - 2) * 1000)
    assert (depth.first_sequence, depth.previous_sequence, depth.checksum) == (None, None, None)
    reader = parser()
    assert isinstance(reader, BookParser)
    assert reader.book_rules("orderbook.200").step is by_one


@pytest.mark.parametrize(
    ("kind", "number", "wanted"), [("snapshot", 7, "SNAPSHOT"), ("delta", 7, "DELTA"), ("delta", 1, "SNAPSHOT")]
)
def test_message_numbered_one_is_a_snapshot_after_a_restart(kind: str, number: int, wanted: str) -> None:
    assert only(frame("orderbook.200.SOLUSDT", BOOK | {"u": number}, kind=kind)).kind == wanted


def test_ticker_keeps_what_a_delta_leaves_out() -> None:
    reader = parser()
    reader.parse(frame("tickers.SOLUSDT", TICKER), AT)
    delta = frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", "bid1Price": "77.290", "bid1Size": "1"}, kind="delta")
    (quote,) = reader.parse(delta, AT).records
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.last) == (77_290000000000, 77_310000000000, 77_310000000000)
    assert (quote.change_percent_24h, quote.open_24h, quote.change_24h) == (1_337000000000, 76_290000000000, None)


def test_ticker_of_a_delta_alone_knows_no_more_than_it_says() -> None:
    quote = only(frame("tickers.SOLUSDT", {"symbol": "SOLUSDT", "bid1Price": "77.290", "bid1Size": "1"}, kind="delta"))
    assert (quote.bid, quote.ask, quote.last, quote.volume_24h) == (77_290000000000, None, None, None)


def test_kline_becomes_the_venues_candle() -> None:
    kline = only(frame("kline.1.SOLUSDT", [KLINE]))
    assert isinstance(kline, Kline)
    assert (kline.interval, kline.open_time, kline.is_closed) == ("1m", 1_786_310_820_000_000, True)
    assert (kline.open, kline.volume, kline.amount) == (77_280000000000, 1252_700000000000, 968233 * 10**23)
    assert (kline.trade_count, kline.first_trade_id, kline.taker_buy_volume) == (None, None, None)
    assert only(frame("kline.D.SOLUSDT", [KLINE | {"interval": "D"}])).interval == "1d"


def test_known_topic_that_is_not_carried_is_ignored_by_name() -> None:
    assert parser().parse(frame("allLiquidation.SOLUSDT", []), AT) == Parsed("allLiquidation", ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (b'{"success":false,"ret_msg":"Invalid symbol","op":"subscribe"}', "venue_error", None),
        (b'{"topic":"publicTrade.SOLUSDT"}', "missing_field", "data"),
        (frame("rumours.SOLUSDT", []), "unknown_stream", "topic"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"s": "BTCUSDT"}]), "symbol_mismatch", "symbol"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"S": "Both"}]), "unknown_side", "side"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"v": "0"}]), "not_positive", "size"),
        (frame("publicTrade.SOLUSDT", [TRADE | {"seq": 2**60}]), "too_large", "sequence"),
        (frame("publicTrade.SOLNOTHING", [TRADE | {"s": "SOLNOTHING"}]), "unknown_symbol", "symbol"),
        (frame("orderbook.200.SOLUSDT", BOOK | {"a": [["1", "-1"]]}), "negative", "asks"),
        (frame("kline.1.SOLUSDT", [KLINE | {"interval": "5"}]), "wrong_interval", "interval"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parser().parse(data, AT)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_refused_frame_still_shows_its_channel() -> None:
    assert parser().channel_of(frame("orderbook.200.SOLUSDT", {})) == "orderbook.200"
    assert parser().channel_of(frame("rumours.SOLUSDT", {})) == "unknown"


def test_frame_of_an_unknown_market_is_refused() -> None:
    with pytest.raises(DataValidationError) as caught:
        parser(None).parse(frame("publicTrade.SOLUSDT", [TRADE]), AT)
    assert caught.value.reason == "unknown_market"


@pytest.mark.parametrize(
    ("url", "market"),
    [
        ("wss://stream.bybit.com/v5/public/linear", "linear"),
        ("wss://stream.bybit.com/v5/public/spot", "spot"),
        ("wss://stream.bybit.com/v5/public/inverse", None),
    ],
)
def test_address_shows_the_market(url: str, market: str | None) -> None:
    assert VENUE.market_of(url) == market
