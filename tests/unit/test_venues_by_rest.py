"""Tickers and klines that venues tell by REST, and what is asked for; answers are recorded where they say so."""

import gzip
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest import feeds
from ingest.feed import Parsed, Subscription
from ingest.marks import Stretch
from ingest.rest_venue import AskedVenue, HistoricalVenue, Page, Place, PollableVenue, RetellingVenue
from market.decimals import AMOUNT_SCALE, ONE
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import Trade
from tests.ingest_parts import ALL_DATA, NOW, ROOT
from tests.venue_data import NO_WHOLE

SKEW = 5_000_000
MINUTE = 60_000_000
CCXT = ROOT / "tests" / "data" / "ccxt" / "coinbaseexchange_fetchTicker_fetchTrades_fetchOHLCV_20240313.json"
BYBIT_KLINES = ALL_DATA / "bybit-rest" / "v5_market_kline_60_BTCUSDT.json"
KRAKEN_TRADES = ALL_DATA / "kraken" / "http_trades.json.gz"


def polled(venue: str, instrument: str, channel: str, answer: Any, at: int = NOW) -> Parsed:
    """What the answer to the request for the latest of a stream is."""
    speaker = feeds.load(venue)
    assert isinstance(speaker, PollableVenue)
    request = speaker.poll_request(Subscription(instrument, channel))
    assert request is not None
    listings = {request.market: {speaker.symbol_of(instrument): instrument}}  # type: ignore[attr-defined]  # it listens, too
    parsed = speaker.answered(request.url, json.dumps(answer).encode(), at, listings, SKEW)
    assert parsed is not None
    assert parsed.name == channel
    return parsed


def url_of(venue: str, instrument: str, channel: str) -> str | None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, PollableVenue)
    request = speaker.poll_request(Subscription(instrument, channel))
    return None if request is None else request.url


@pytest.mark.parametrize(
    ("stream", "url"),
    [
        (("okx:BTC-USDT-PERP", "tickers"), "https://www.okx.com/api/v5/market/ticker?instId=BTC-USDT-SWAP"),
        (
            ("okx:BTC-USDT-PERP", "funding-rate"),
            "https://www.okx.com/api/v5/public/funding-rate?instId=BTC-USDT-SWAP",
        ),
        (
            ("okx:BTC-USD-260925", "open-interest"),
            "https://www.okx.com/api/v5/public/open-interest?instId=BTC-USD-260925&instType=FUTURES",
        ),
        (
            ("okx:BTC-USDT-PERP", "mark-price"),
            "https://www.okx.com/api/v5/public/mark-price?instId=BTC-USDT-SWAP&instType=SWAP",
        ),
        (
            ("okx:BTC-USDT-260925", "index-tickers"),
            "https://www.okx.com/api/v5/market/index-tickers?instId=BTC-USDT#BTC-USDT-260925",
        ),
        (
            ("okx:BTC-USDT", "candle1Dutc"),
            "https://www.okx.com/api/v5/market/candles?instId=BTC-USDT&bar=1Dutc&limit=2",
        ),
        (("okx:BTC-USDT", "books"), None),
        (
            ("bybit:BTC-USDT-PERP", "tickers"),
            "https://api.bybit.com/v5/market/tickers?category=linear&symbol=BTCUSDT",
        ),
        (
            ("bybit:BTC-USDT", "publicTrade"),
            "https://api.bybit.com/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60",
        ),
        (
            ("bybit:BTC-USDT", "kline.60"),
            "https://api.bybit.com/v5/market/kline?category=spot&symbol=BTCUSDT&interval=60&limit=2",
        ),
        (("bybit:BTC-USDT", "orderbook.200"), None),
        (("coinbase:BTC-USD", "ticker"), "https://api.exchange.coinbase.com/products/BTC-USD/ticker"),
        (("coinbase:BTC-USD", "level2_batch"), None),
        (
            ("deribit:BTC-USD-PERP", "ticker.raw"),
            "https://www.deribit.com/api/v2/public/ticker?instrument_name=BTC-PERPETUAL#raw",
        ),
        (("deribit:BTC-USD-PERP", "book.100ms"), None),
        (("gateio:BTC-USDT", "spot.tickers"), "https://api.gateio.ws/api/v4/spot/tickers?currency_pair=BTC_USDT"),
        (
            ("gateio:BTC-USDT", "spot.candlesticks"),
            "https://api.gateio.ws/api/v4/spot/candlesticks?currency_pair=BTC_USDT&interval=1m&limit=2",
        ),
        (("gateio:BTC-USDT", "spot.order_book_update"), None),
        (("bitfinex:BTC-USDT", "ticker"), "https://api-pub.bitfinex.com/v2/ticker/tBTCUST"),
        (("bitfinex:BTC-USDT", "book"), None),
        (("kraken:DOGE-USD", "ticker"), "https://api.kraken.com/0/public/Ticker?pair=XDGUSD"),
        (("kraken:DOGE-USD", "book-1000"), None),
    ],
)
def test_latest_of_a_stream_is_asked_for_where_the_venue_tells_it(stream: tuple[str, str], url: str | None) -> None:
    assert url_of(stream[0].partition(":")[0], *stream) == url


# tickers

DERIBIT_TICKER = {
    "timestamp": 1_626_993_723_632,
    "instrument_name": "BTC-PERPETUAL",
    "last_price": 32185.5,
    "best_bid_price": 32185.0,
    "best_bid_amount": 100.0,
    "best_ask_price": 32185.5,
    "best_ask_amount": 70.0,
    "stats": {"high": 33000.0, "low": 31000.0},
}
GATEIO_TICKER = {
    "currency_pair": "BTC_USDT",
    "last": "7.5",
    "lowest_ask": "7.6",
    "highest_bid": "7.4",
    "change_percentage": "-1.5",
    "base_volume": "3",
    "quote_volume": "22",
    "high_24h": "8",
    "low_24h": "7",
    "change_utc0": "0",
}
OKX_TICKER = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "last": "7.5",
    "lastSz": "1",
    "askPx": "7.6",
    "askSz": "2",
    "bidPx": "7.4",
    "bidSz": "3",
    "open24h": "7",
    "high24h": "8",
    "low24h": "6",
    "volCcy24h": "22",
    "vol24h": "3",
    "ts": "1652459224956",
}
KRAKEN_TICKER = {
    "a": ["7.60000", "1", "2.000"],
    "b": ["7.40000", "1", "3.000"],
    "c": ["7.50000", "1.00000000"],
    "v": ["1", "3"],
    "p": ["7", "7"],
    "t": [5, 9],
    "l": ["7", "6"],
    "h": ["8", "8"],
    "o": "7.10000",
}


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (("gateio:BTC-USDT", "spot.tickers"), [GATEIO_TICKER]),
        (("okx:BTC-USDT", "tickers"), {"code": "0", "msg": "", "data": [OKX_TICKER]}),
        (("kraken:BTC-USDT", "ticker"), {"error": [], "result": {"XXBTZUSDT": KRAKEN_TICKER}}),
        (("bitfinex:BTC-USDT", "ticker"), [7.4, 50, 7.6, 60, 0.5, 0.07, 7.5, 3, 8, 6]),
    ],
)
def test_ticker_is_a_quote_as_of_the_stream(stream: tuple[str, str], answer: Any) -> None:
    (quote,) = polled(stream[0].partition(":")[0], *stream, answer).records
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.channel) == stream
    assert (quote.bid, quote.ask, quote.last) == (74 * ONE // 10, 76 * ONE // 10, 75 * ONE // 10)
    assert (quote.high_24h, quote.volume_24h) == (8 * ONE, 3 * ONE)
    assert quote.open_24h in (None, 7 * ONE)


def test_index_of_okx_is_that_of_the_contract_that_was_asked_for() -> None:
    answer = {"code": "0", "msg": "", "data": [{"instId": "BTC-USDT", "idxPx": "7.5", "ts": str(NOW // 1000)}]}
    (quote,) = polled("okx", "okx:BTC-USDT-260925", "index-tickers", answer).records
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.index_price, quote.bid) == ("okx:BTC-USDT-260925", 75 * ONE // 10, None)


def test_ticker_of_deribit_is_called_as_its_stream_is() -> None:
    answer = {"jsonrpc": "2.0", "result": DERIBIT_TICKER}
    for channel in ("ticker.raw", "ticker.100ms"):
        (quote,) = polled("deribit", "deribit:BTC-USD-PERP", channel, answer).records
        assert isinstance(quote, Quote)
        assert (quote.channel, quote.last, quote.high_24h) == (channel, 321855 * ONE // 10, 33_000 * ONE)


def test_ticker_of_bybit_tells_funding_and_open_interest_too() -> None:
    ticker = {
        "symbol": "BTCUSDT",
        "lastPrice": "7.5",
        "bid1Price": "7.4",
        "bid1Size": "3",
        "ask1Price": "7.6",
        "ask1Size": "2",
        "markPrice": "7.51",
        "indexPrice": "7.49",
        "fundingRate": "-0.0001",
        "nextFundingTime": "1723190400000",
        "fundingIntervalHour": "8",
        "openInterest": "100",
        "openInterestValue": "750",
        "price24hPcnt": "0.01",
    }
    answer = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [ticker]}, "time": NOW // 1000}
    quote, funding, held = polled("bybit", "bybit:BTC-USDT-PERP", "tickers", answer).records
    assert isinstance(quote, Quote)
    assert isinstance(funding, Funding)
    assert isinstance(held, OpenInterest)
    assert (quote.bid, quote.exchange_time) == (74 * ONE // 10, NOW)
    assert (funding.rate, funding.mark_price, funding.interval_seconds) == (-(10**8), 751 * ONE // 100, 28_800)
    assert (held.open_interest, held.notional) == (100 * ONE, 750 * 10**AMOUNT_SCALE)
    with pytest.raises(DataValidationError, match="2 tickers were told"):
        polled("bybit", "bybit:BTC-USDT-PERP", "tickers", answer | {"result": {"list": [ticker, ticker]}})


def test_recorded_answers_of_coinbase_are_the_ticker_and_the_takers_trade() -> None:
    told = json.loads(CCXT.read_text(encoding="utf-8"))
    (quote,) = polled("coinbase", "coinbase:BTC-USDT", "ticker", told["fetchTicker"]["httpResponse"]).records
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.last, quote.exchange_time) == (7336034 * ONE // 100, 733678 * ONE // 10, 1_710_328_241_270_099)
    (trade,) = polled("coinbase", "coinbase:BTC-USDT", "matches", told["fetchTrades"]["httpResponse"]).records
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.side, trade.exchange_time) == ("18502034", "buy", 1_710_327_617_710_679)


@pytest.mark.parametrize(
    ("stream", "answer", "reason"),
    [
        (("okx:BTC-USDT", "tickers"), {"code": "51001", "msg": "Instrument ID does not exist", "data": []}, "venue_error"),
        (("okx:BTC-USDT", "tickers"), {"code": "0", "data": [OKX_TICKER | {"instId": "ETH-USDT"}]}, "symbol_mismatch"),
        (("bybit:BTC-USDT", "tickers"), {"retCode": 10001, "retMsg": "params error", "result": {}}, "venue_error"),
        (("bybit:BTC-USDT", "kline.1"), {"retCode": 0, "result": {"list": [["1"]]}}, "wrong_type"),
        (("deribit:BTC-USD-PERP", "ticker.raw"), {"error": {"code": 13020, "message": "not_found"}}, "venue_error"),
        (("deribit:BTC-USD-PERP", "trades.raw"), {"result": {}}, "missing_field"),
        (("gateio:BTC-USDT", "spot.trades"), {"label": "INVALID_CURRENCY_PAIR"}, "wrong_type"),
        (("gateio:BTC-USDT", "spot.candlesticks"), [["1"]], "missing_field"),
        (("bitfinex:BTC-USD", "ticker"), ["error", 10020, "symbol: invalid"], "missing_field"),
        (("coinbase:BTC-USD", "matches"), {"message": "NotFound"}, "wrong_type"),
        (
            ("coinbase:BTC-USD", "matches"),
            [{"trade_id": "x", "side": "buy", "size": "1", "price": "1", "time": ""}],
            "wrong_type",
        ),
        (("kraken:BTC-USD", "ticker"), {"error": ["EQuery:Unknown asset pair"]}, "venue_error"),
    ],
)
def test_answer_that_is_none_is_refused_by_name(stream: tuple[str, str], answer: Any, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        polled(stream[0].partition(":")[0], *stream, answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("venue", "url"),
    [
        ("okx", "https://www.okx.com/api/v5/public/time"),
        ("bybit", "https://api.bybit.com/v5/market/time"),
        ("bybit", "https://api.bybit.com/v5/market/tickers?category=linear"),
        ("coinbase", "https://api.exchange.coinbase.com/products/BTC-USD/stats"),
        ("deribit", "https://www.deribit.com/api/v2/public/get_time"),
        ("gateio", "https://api.gateio.ws/api/v4/spot/tickers"),
        ("bitget", "https://api.bitget.com/api/v2/public/time"),
        ("bitstamp", "https://www.bitstamp.net/api/v2/ticker/btcusd/"),
        ("kraken_futures", "https://futures.kraken.com/derivatives/api/v3/tickers"),
        ("bitfinex", "https://api-pub.bitfinex.com/v2/platform/status"),
        ("okx", "https://example.com/api/v5/market/ticker?instId=BTC-USDT"),
    ],
)
def test_answer_of_another_kind_or_server_is_left_alone(venue: str, url: str) -> None:
    speaker = feeds.load(venue)
    assert isinstance(speaker, AskedVenue)
    assert speaker.answered(url, b"{}", NOW, {}, SKEW) is None


# klines of the past


def minutes(venue: str, first: int, last: int) -> Any:
    """What the venue answers of the minutes between two times (milliseconds), both part of it."""
    opened = range(-(-first // 60_000) * 60_000, last + 1, 60_000)
    if venue == "okx":
        return {"code": "0", "data": [[str(at), "2", "3", "1", "2", "5", "10", "10", "1"] for at in reversed(opened)]}
    if venue == "bybit":
        return {"retCode": 0, "result": {"list": [[str(at), "2", "3", "1", "2", "5", "10"] for at in reversed(opened)]}}
    return [[str(at // 1000), "10", "2", "3", "1", "2", "5", "true"] for at in opened]


def span(venue: str, query: dict[str, str]) -> tuple[int, int]:
    if venue == "okx":
        return int(query["before"]) + 1, int(query["after"]) - 1
    if venue == "bybit":
        return int(query["start"]), int(query["end"])
    return int(query["from"]) * 1000, int(query["to"]) * 1000


def history(venue: str, channel: str, begin: int, end: int, now: int) -> tuple[list[Page], list[str]]:
    speaker = feeds.load(venue)
    assert isinstance(speaker, HistoricalVenue)
    stream = Subscription(f"{venue}:BTC-USDT", channel)
    place: Place | None = Place(begin)
    pages, asked = [], []
    while place is not None:
        request = speaker.history_request(stream, place, end)
        assert request is not None
        asked.append(request.url)
        answer = minutes(venue, *span(venue, dict(parse_qsl(urlsplit(request.url).query))))
        parsed = speaker.answered(request.url, json.dumps(answer).encode(), now, {}, SKEW)
        assert parsed is not None
        assert parsed.name == channel
        pages.append(speaker.history_page(stream, place, end, parsed))
        place = pages[-1].next
    return pages, asked


@pytest.mark.parametrize(
    ("venue", "channel", "most"),
    [("okx", "candle1m", 100), ("bybit", "kline.1", 1_000), ("gateio", "spot.candlesticks", 1_000)],
)
@pytest.mark.parametrize(("offset", "number"), [(0, 1), (0, 2_500), (17_000_000, 2_500)])
def test_every_kline_of_a_range_comes_once_and_in_order(venue: str, channel: str, most: int, offset: int, number: int) -> None:
    begin, end = NOW + offset, NOW + number * MINUTE
    pages, asked = history(venue, channel, begin, end, end + 10 * MINUTE)
    klines = [record for page in pages for record in page.records]
    opened = [kline.open_time for kline in klines if isinstance(kline, Kline)]
    assert opened == list(range(NOW if not offset else NOW + MINUTE, end, MINUTE))
    assert all(isinstance(kline, Kline) and kline.is_closed and kline.amount == 10 * 10**AMOUNT_SCALE for kline in klines)
    assert pages[-1].is_whole
    assert len(asked) <= number // most + 1


@pytest.mark.parametrize("venue", ["bybit"])
def test_last_kline_that_is_not_over_makes_the_page_not_whole(venue: str) -> None:
    pages, _ = history(venue, "kline.1", NOW, NOW + 3 * MINUTE, NOW + 3 * MINUTE)
    assert [len(page.records) for page in pages] == [2]
    assert not pages[-1].is_whole


def test_weeks_of_bybit_are_not_told_of_the_past() -> None:
    bybit = feeds.load("bybit")
    assert isinstance(bybit, HistoricalVenue)
    assert bybit.history_request(Subscription("bybit:BTC-USDT", "kline.W"), Place(NOW), NOW * 2) is None


@pytest.mark.skipif(not BYBIT_KLINES.exists(), reason=NO_WHOLE)
def test_recorded_klines_of_bybit_come_oldest_first_and_the_last_is_open() -> None:
    answer = json.loads(BYBIT_KLINES.read_text(encoding="utf-8"))
    parsed = polled("bybit", "bybit:BTC-USDT-PERP", "kline.60", answer, answer["time"] * 1000)
    first, second = parsed.records
    assert isinstance(first, Kline)
    assert isinstance(second, Kline)
    assert (first.open_time, first.is_closed, second.open_time, second.is_closed) == (
        *(1_786_816_800_000_000, True),
        *(1_786_820_400_000_000, False),
    )
    assert (first.close, second.open, first.volume) == (630278 * ONE // 10, 630278 * ONE // 10, 385_721 * ONE // 1000)
    assert first.amount == 243140586517 * 10 ** (AMOUNT_SCALE - 4)


@pytest.mark.skipif(not KRAKEN_TRADES.exists(), reason=NO_WHOLE)
def test_recorded_trades_of_kraken_are_a_page_of_history() -> None:
    kraken = feeds.load("kraken")
    assert isinstance(kraken, HistoricalVenue)
    stream = Subscription("kraken:BTC-USDT", "trade")
    body = gzip.decompress(KRAKEN_TRADES.read_bytes())
    begin, end = 1_762_795_433_000_000, 1_762_900_000_000_000
    request = kraken.history_request(stream, Place(begin), end)
    assert request is not None
    assert request.url == "https://api.kraken.com/0/public/Trades?pair=XBTUSDT&since=1762795432999999999&count=1000"
    listings = {"spot": {"XBT/USDT": "kraken:BTC-USDT"}}
    parsed = kraken.answered(request.url, body, end, listings, SKEW)
    assert parsed is not None
    page = kraken.history_page(stream, Place(begin), end, parsed)
    assert len(page.records) == 1_000
    assert page.next == Place(page.records[-1].exchange_time, 10_219_208)  # type: ignore[union-attr, arg-type]  # a trade
    again = kraken.history_page(stream, Place(begin, 10_219_207), end, parsed)
    assert [trade.sequence for trade in again.records if isinstance(trade, Trade)] == [10_219_207]
    assert len({trade.trade_id for trade in page.records if isinstance(trade, Trade)}) == 1_000, "figures tell them apart"


# the past of venues that are not polled


def told(venue: str, instrument: str, answer: Any) -> Parsed:
    """What the answer to the request for the past of a stream of trades is."""
    speaker = feeds.load(venue)
    if isinstance(speaker, RetellingVenue):
        stretch = Stretch(instrument, NOW, NOW, frozenset({"1"}), "2")
        request = speaker.retelling_request("live_trades", stretch, NOW)
    else:
        assert isinstance(speaker, HistoricalVenue)
        request = speaker.history_request(Subscription(instrument, STREAMS[instrument]), Place(NOW), NOW * 2)
        assert isinstance(speaker, AskedVenue)
    assert request is not None
    assert 0 < request.weight <= speaker.quota(request.market).weight
    assert speaker.market_of(request.url) == request.market
    parsed = speaker.answered(request.url, json.dumps(answer).encode(), NOW * 2, {}, SKEW)
    assert parsed is not None
    return parsed


STREAMS = {
    "bitget:BTC-USDT": "trade",
    "bitget:BTC-USD-PERP": "trade",
    "gateio:BTC-USDT-PERP": "futures.trades",
    "kraken_futures:BTC-USD-260925": "trade",
}
BITGET_ROW = {"symbol": "BTCUSDT", "tradeId": "1", "side": "Sell", "price": "26372.5", "size": "9.25", "ts": "1695865151000"}
KRAKEN_ROW = {"time": "2022-06-16T12:32:23.002Z", "side": "buy", "uid": "u", "price": 3574, "size": 100, "type": "fill"}
BITSTAMP_ROW = {"date": "1641343709", "tid": "216000485", "amount": "3.2", "price": "3802.89", "type": "1"}


@pytest.mark.parametrize(
    ("instrument", "answer", "reason"),
    [
        ("bitget:BTC-USDT", {"code": "40034", "msg": "Parameter BTCUSDT does not exist", "data": None}, "venue_error"),
        ("bitget:BTC-USDT", {"code": "00000", "data": [BITGET_ROW | {"side": "both"}]}, "unknown_side"),
        ("bitget:BTC-USD-PERP", {"code": "00000", "data": [BITGET_ROW | {"tradeId": "a"}]}, "wrong_type"),
        ("bitget:BTC-USD-PERP", {"code": "00000", "data": [BITGET_ROW | {"ts": "soon"}]}, "bad_time"),
        ("gateio:BTC-USDT-PERP", {"label": "CONTRACT_NOT_FOUND"}, "wrong_type"),
        (
            "gateio:BTC-USDT-PERP",
            [{"id": 1, "contract": "BTC_USDT", "create_time_ms": "x", "price": "1", "size": 1}],
            "wrong_type",
        ),
        ("kraken_futures:BTC-USD-260925", {"result": "error", "error": "contractNotFound"}, "venue_error"),
        ("kraken_futures:BTC-USD-260925", {"result": "success", "history": [KRAKEN_ROW | {"price": None}]}, "missing_field"),
        ("kraken_futures:BTC-USD-260925", {"result": "success", "history": [KRAKEN_ROW | {"time": "now"}]}, "bad_time"),
        ("bitstamp:BTC-USD", {"error": "not found"}, "wrong_type"),
        ("bitstamp:BTC-USD", [BITSTAMP_ROW | {"type": "2"}], "unknown_side"),
        ("bitstamp:BTC-USD", [BITSTAMP_ROW | {"tid": "x"}], "wrong_type"),
    ],
)
def test_answer_about_the_past_that_is_none_is_refused_by_name(instrument: str, answer: Any, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        told(instrument.partition(":")[0], instrument, answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("instrument", "answer", "trade"),
    [
        ("bitget:BTC-USD-PERP", {"code": "00000", "data": [BITGET_ROW]}, ("1695865151000000:26372.5:9.25:sell:1", "sell")),
        ("kraken_futures:BTC-USD-260925", {"result": "success", "history": [KRAKEN_ROW]}, ("u", "buy")),
        ("bitstamp:BTC-USD", [BITSTAMP_ROW], ("216000485", "sell")),
    ],
)
def test_documented_answer_about_the_past_is_a_trade(instrument: str, answer: Any, trade: tuple[str, str]) -> None:
    (found,) = told(instrument.partition(":")[0], instrument, answer).records
    assert isinstance(found, Trade)
    assert (found.instrument, found.trade_id, found.side) == (instrument, *trade)


def test_perpetuals_in_usdc_have_no_past_at_bitget() -> None:
    bitget = feeds.load("bitget")
    assert isinstance(bitget, HistoricalVenue)
    for stream in (("bitget:BTC-USDC-PERP", "trade"), ("bitget:BTC-USDT", "ticker")):
        assert bitget.history_request(Subscription(*stream), Place(NOW), NOW * 2) is None
    request = bitget.history_request(Subscription("bitget:BTC-USD-PERP", "trade"), Place(NOW, 77), NOW + 1)
    assert request is not None
    span = f"startTime={NOW // 1000}&endTime={NOW // 1000 + 1}"
    names = "symbol=BTCUSD&productType=COIN-FUTURES"
    assert request.url == f"https://api.bitget.com/api/v2/mix/market/fills-history?{names}&{span}&limit=1000&idLessThan=77"
