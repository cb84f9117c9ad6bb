"""Frames of Gate.io, as recorded on 2021-04-22, and what each becomes."""

import json
from typing import Any

import pytest

from ingest import feeds
from ingest.feed import BookParser, Parsed
from ingest.feeds.gateio import VENUE
from market.book_rules import by_range
from market.decimals import ONE
from market.depth import DepthKind
from market.errors import DataValidationError
from market.quote import Kline, Quote
from market.trade import Trade

AT = 1_619_093_547_003_896
TRADE = {
    "id": 816995970,
    "create_time": 1619093546,
    "create_time_ms": "1619093546958.116",
    "side": "buy",
    "currency_pair": "NEO_BTC",
    "amount": "0.5000000000",
    "price": "0.0018735000",
}
BOOK = {
    "t": 1619093532978,
    "e": "depthUpdate",
    "E": 1619093532,
    "s": "HAI_ETH",
    "U": 2691446,
    "u": 2691450,
    "b": [["0.00010322", "5360.209"]],
    "a": [["0.00012386", "0"]],
}
TICKER = {
    "currency_pair": "NEO_BTC",
    "last": "0.0018716",
    "lowest_ask": "0.0018734",
    "highest_bid": "0.0018697",
    "change_percentage": "2.9256",
    "base_volume": "1138.01640718",
    "quote_volume": "2.048263365803126",
    "high_24h": "0.0018754",
    "low_24h": "0.0017148",
}
CANDLE = {"t": "1619093520", "v": "0.002943321", "c": "0.0018753", "h": "0.0018753", "l": "0.0018735", "o": "0.0018735"}
SNAPSHOT = b'{"id":2691446,"current":1619093533720,"update":1619093533200,"asks":[["0.0001","2"]],"bids":[["0.00009","1"]]}'
REST = "https://api.gateio.ws/api/v4/spot/order_book"


def frame(channel: str, result: Any, **more: Any) -> bytes:
    return json.dumps({"time": 1619093546, "channel": channel, "event": "update", "result": result, **more}).encode()


def parse(data: bytes) -> Parsed:
    return feeds.load("gateio").parser("spot", {}, 5_000_000).parse(data, AT)


def only(data: bytes) -> Any:
    (record,) = parse(data).records
    return record


def test_trade_has_the_takers_side_and_the_time_to_the_microsecond() -> None:
    trade = only(frame("spot.trades", TRADE))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.trade_id, trade.sequence, trade.side) == ("gateio:NEO-BTC", "816995970", 816995970, "buy")
    assert (trade.price, trade.size, trade.exchange_time) == (1873500000, ONE // 2, 1_619_093_546_958_116)


def test_book_message_covers_a_range_of_updates() -> None:
    depth = only(frame("spot.order_book_update", BOOK))
    assert (depth.kind, depth.first_sequence, depth.last_sequence) == (DepthKind.DELTA, 2691446, 2691450)
    assert (depth.exchange_time, depth.previous_sequence, depth.checksum) == (1_619_093_532_978_000, None, None)
    reader = VENUE.parser("spot", {}, 0)
    assert isinstance(reader, BookParser)
    assert (reader.book_rules("").step, reader.book_rules("").fetched) == (by_range, True)


def test_order_book_of_a_request_is_of_the_pair_asked_for() -> None:
    parsed = VENUE.answered(f"{REST}?currency_pair=HAI_ETH&limit=100&with_id=true", SNAPSHOT, AT, {}, 0)
    assert parsed is not None
    (depth,) = parsed.records
    assert (depth.instrument, depth.kind, depth.last_sequence) == ("gateio:HAI-ETH", DepthKind.SNAPSHOT, 2691446)  # type: ignore[union-attr]
    assert VENUE.answered("https://api.gateio.ws/api/v4/spot/trades", SNAPSHOT, AT, {}, 0) is None
    assert VENUE.answered("https://fx-api.gateio.ws/api/v4/spot/order_book", SNAPSHOT, AT, {}, 0) is None
    with pytest.raises(DataValidationError, match="does not name it"):
        VENUE.answered(REST, SNAPSHOT, AT, {}, 0)


def test_ticker_has_volume_and_amount_but_no_sizes() -> None:
    quote = only(frame("spot.tickers", TICKER))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.open_24h, quote.change_24h) == (1869700000, None, None, None)
    assert (quote.volume_24h, quote.amount_24h) == (1138_016407180000, 2048263365803126 * 10**9)
    assert (quote.change_percent_24h, quote.exchange_time) == (2_925600000000, 1_619_093_546_000_000)


def test_kline_tells_the_amount_and_nothing_of_the_volume() -> None:
    kline = only(frame("spot.candlesticks", CANDLE | {"n": "1m_NEO_BTC"}))
    assert isinstance(kline, Kline)
    assert (kline.instrument, kline.interval, kline.open_time) == ("gateio:NEO-BTC", "1m", 1_619_093_520_000_000)
    assert (kline.volume, kline.amount, kline.is_closed) == (None, 2943321 * 10**15, False)


def test_kline_of_a_newer_server_tells_the_volume_and_its_end() -> None:
    kline = only(frame("spot.candlesticks", CANDLE | {"n": "1m_NEO_BTC", "a": "1.57", "w": True}, time_ms=1619093547001))
    assert (kline.volume, kline.is_closed, kline.exchange_time) == (1_570000000000, True, 1_619_093_547_001_000)


@pytest.mark.parametrize("channel", ["spot.book_ticker", "spot.order_book", "spot.pong"])
def test_known_channel_that_is_not_carried_is_ignored_by_name(channel: str) -> None:
    assert parse(frame(channel, {})) == Parsed(channel, ())


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (frame("spot.rumours", {}), "unknown_stream", "channel"),
        (frame("delivery.trades", {}), "unknown_stream", "channel"),
        (frame("spot.trades", TRADE | {"side": "both"}), "unknown_side", "side"),
        (frame("spot.trades", TRADE | {"amount": "0"}), "not_positive", "size"),
        (frame("spot.trades", TRADE | {"currency_pair": "NEOBTC"}), "unknown_symbol", "symbol"),
        (frame("spot.order_book_update", BOOK | {"U": 2691451}), "inconsistent", "first_sequence"),
        (frame("spot.order_book_update", BOOK | {"u": None}), "wrong_type", "u"),
        (frame("spot.candlesticks", CANDLE | {"n": "7m_NEO_BTC"}), "wrong_interval", "n"),
        (frame("spot.candlesticks", CANDLE), "missing_field", "n"),
    ],
)
def test_bad_frame_is_refused_with_a_reason_and_the_field(data: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.field) == (reason, field)
