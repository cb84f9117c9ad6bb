"""What Binance is asked for by REST beside order books, and what it answers: trades, book tops, tickers, klines, funding.

The latest of each stands in for its stream while that is silent; trades, klines and funding, as it was paid, are also told of
the past, and so is open interest, of which there is no stream: of the last month, a point a period ("Open Interest
Statistics"). Weights are those of the venue's documentation ("Market Data endpoints"), spot and futures. Funding may be asked
for 500 times in five minutes ("Get Funding Rate History"), open interest a thousand times: of these weights our quota holds
half of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._binance_frames import FUNDING_CHANNEL, FUTURES, KLINE_CHANNEL, SPOT
from ingest.feeds._binance_trades import MOST, PATHS, trades_of
from ingest.feeds._pages import Window, klines_page, trades_page
from ingest.feeds._records import Maker, amount_of
from ingest.rest_venue import Page, Place, Request
from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

PAYMENTS = "fundingRate"
"""Path of the funding that was paid; records of it have this for their channel."""

OPEN_INTERESTS = "openInterestHist"
"""Path of open interest; the channels of its history have the period behind it, such as openInterestHist_5m."""
ARCHIVES = {f"{OPEN_INTERESTS}_{period}": period for period in ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")}
_STATISTICS = "https://fapi.binance.com/futures/data"
_MOST_POINTS = 500

ADDRESSES: Mapping[str, str] = {SPOT: "https://api.binance.com/api/v3", FUTURES: "https://fapi.binance.com/fapi/v1"}
_LATEST_TRADES = 500
_LATEST_SECONDS = 20  # a kline is closed by any clock some seconds after it is over: it must be among the latest then
_WEIGHTS = {
    SPOT: {"trades": 25, "historicalTrades": 25, "aggTrades": 4, "ticker/bookTicker": 2, "ticker/24hr": 2, "klines": 2},
    FUTURES: {
        "trades": 5,
        "aggTrades": 20,
        "ticker/bookTicker": 2,
        "ticker/24hr": 1,
        "klines": 5,
        PAYMENTS: 24,
        OPEN_INTERESTS: 12,
    },
}
_LATEST = {
    "trade": ("trades", {"limit": _LATEST_TRADES}),
    "aggTrade": ("aggTrades", {"limit": _LATEST_TRADES}),
    "bookTicker": ("ticker/bookTicker", {}),
    "ticker": ("ticker/24hr", {}),
}


class _Payment(msgspec.Struct, rename="camel"):
    funding_rate: str
    funding_time: int
    mark_price: str | None = None


class _Point(msgspec.Struct, rename="camel"):
    sum_open_interest: str
    sum_open_interest_value: str
    timestamp: int


class _BookTop(msgspec.Struct, rename="camel"):
    bid_price: str
    bid_qty: str
    ask_price: str
    ask_qty: str
    time: int | None = None


class _Day(msgspec.Struct, rename="camel"):
    price_change: str
    price_change_percent: str
    last_price: str
    last_qty: str
    open_price: str
    high_price: str
    low_price: str
    volume: str
    quote_volume: str
    close_time: int
    bid_price: str | None = None
    bid_qty: str | None = None
    ask_price: str | None = None
    ask_qty: str | None = None


_PAYMENTS = msgspec.json.Decoder(list[_Payment])
_POINTS = msgspec.json.Decoder(list[_Point])
_BOOK_TOP = msgspec.json.Decoder(_BookTop)
_DAY = msgspec.json.Decoder(_Day)
# Open time, open, high, low, close, volume, close time, amount, trades, taker's volume and amount, nothing.
_KLINES = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, int, str, int, str, str, Any]])


def latest(market: str, symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream. Raw trades of futures are not told by the stream's numbers alone: no request."""
    if channel == "trade" and market == FUTURES:
        return None
    if KLINE_CHANNEL.fullmatch(channel):
        interval = channel.removeprefix("kline_")
        return request(market, "klines", symbol, interval=interval, limit=_LATEST_SECONDS if interval == "1s" else 2)
    path, options = _LATEST.get(channel, (None, {}))
    return None if path is None else request(market, path, symbol, **options)


def history(market: str, symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page. Single trades are told by number only, so the first one is looked up among the aggregates."""
    since = {"startTime": place.time // 1000}
    if KLINE_CHANNEL.fullmatch(channel):
        span = since | {"endTime": (end - 1) // 1000}
        return request(market, "klines", symbol, interval=channel.removeprefix("kline_"), **span, limit=MOST)
    if FUNDING_CHANNEL.fullmatch(channel):
        window = Window.of_funding(place, end, MOST)
        span = {"startTime": -(-window.begin // 1000), "endTime": (window.until - 1) // 1000}  # both are part of it
        return request(market, PAYMENTS, symbol, **span, limit=MOST)
    if channel in ARCHIVES and market == FUTURES:
        window = _window(channel, place, end)
        span = {"startTime": -(-window.begin // 1000), "endTime": (window.until - 1) // 1000}  # both are part of it
        return request(market, OPEN_INTERESTS, symbol, period=ARCHIVES[channel], **span, limit=_MOST_POINTS)
    if channel == "aggTrade":
        begin = since if place.number is None else {"fromId": place.number}
        return request(market, "aggTrades", symbol, **begin, limit=MOST)
    if channel == "trade" and market == SPOT:
        if place.number is None:
            return request(market, "aggTrades", symbol, **since, limit=1)
        return request(market, "historicalTrades", symbol, fromId=place.number, limit=MOST)
    return None


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer; that of a look-up has no records."""
    if KLINE_CHANNEL.fullmatch(channel):
        return klines_page(parsed.records, end, MOST)
    if FUNDING_CHANNEL.fullmatch(channel):
        return Window.of_funding(place, end, MOST).payments(parsed.records)
    if channel in ARCHIVES:
        return _window(channel, place, end).points(parsed.records)
    if parsed.name != channel:
        found = next((record for record in parsed.records if isinstance(record, Trade)), None)
        beyond = found is None or found.event_time >= end
        return Page((), None if found is None or beyond else Place(place.time, int(found.first_trade_id)))
    return trades_page(parsed.records, end, MOST)


def request(market: str, path: str, symbol: str, **options: object) -> Request:
    """A request about a symbol."""
    query = urlencode({"symbol": symbol, **options})
    folder = _STATISTICS if path == OPEN_INTERESTS else ADDRESSES[market]
    return Request(market, f"{folder}/{path}?{query}", _WEIGHTS[market][path])


def read(url: str, answer: bytes, maker: Maker) -> Parsed | None:
    """What an answer about a symbol tells, under the name of the stream; None for a path that is not carried."""
    path = urlsplit(url).path.rpartition("/")[2]
    if path in PATHS:
        return Parsed(PATHS[path], trades_of(path, answer, maker))
    if path == "klines":
        return _klines(url, answer, maker)
    if path == OPEN_INTERESTS:
        return _points(f"{path}_{asked_for(url, 'period')}", answer, maker)
    reader = _READERS.get(path)
    return None if reader is None else Parsed(*reader(answer, maker))


def _book_top(answer: bytes, maker: Maker) -> tuple[str, Sequence[Record]]:
    top = decode(_BOOK_TOP, answer)
    quote = maker.quote(
        "bookTicker",
        None if top.time is None else top.time * 1000,
        bid=top.bid_price,
        bid_size=top.bid_qty,
        ask=top.ask_price,
        ask_size=top.ask_qty,
    )
    return "bookTicker", (quote,)


def _day(answer: bytes, maker: Maker) -> tuple[str, Sequence[Record]]:
    day = decode(_DAY, answer)
    quote = maker.quote(
        "ticker",
        day.close_time * 1000,
        bid=day.bid_price,
        bid_size=day.bid_qty,
        ask=day.ask_price,
        ask_size=day.ask_qty,
        last=day.last_price,
        last_size=day.last_qty,
        open_24h=day.open_price,
        high_24h=day.high_price,
        low_24h=day.low_price,
        volume_24h=day.volume,
        amount_24h=day.quote_volume,
        change_24h=day.price_change,
        change_percent_24h=day.price_change_percent,
    )
    return "ticker", (quote,)


def _payments(answer: bytes, maker: Maker) -> tuple[str, Sequence[Record]]:
    paid = decode(_PAYMENTS, answer)
    return PAYMENTS, [maker.payment(PAYMENTS, one.funding_time * 1000, one.funding_rate, one.mark_price) for one in paid]


def _points(channel: str, answer: bytes, maker: Maker) -> Parsed:
    told = decode(_POINTS, answer)
    points = ((one.timestamp * 1000, one.sum_open_interest, one.sum_open_interest_value) for one in told)
    return Parsed(channel, [maker.open_interest(channel, at, open_interest=held, notional=worth) for at, held, worth in points])


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, ARCHIVES[channel], _MOST_POINTS)


def _klines(url: str, answer: bytes, maker: Maker) -> Parsed:
    channel = f"kline_{parse_qs(urlsplit(url).query).get('interval', [''])[0]}"
    if not KLINE_CHANNEL.fullmatch(channel):
        raise DataValidationError("wrong_interval", "interval: the request does not name one that is known", field="interval")
    return Parsed(channel, [_kline(channel.removeprefix("kline_"), row, maker) for row in decode(_KLINES, answer)])


def _kline(interval: str, row: tuple[Any, ...], maker: Maker) -> Record:
    """It is closed when its last millisecond is past, however far the clock that received it may be ahead of the venue's."""
    opened, open_, high, low, close, volume, closed, amount, count, taker_volume, _, _ = row
    return maker.kline(
        interval,
        opened * 1000,
        {"open": open_, "high": high, "low": low, "close": close},
        is_closed=(closed + 1) * 1000 + maker.max_skew <= maker.received_at,
        exchange_time=None,
        volume=parse_decimal(volume, field="volume"),
        amount=amount_of(amount, "amount"),
        trade_count=count,
        taker_buy_volume=parse_decimal(taker_volume, field="taker_buy_volume"),
    )


_READERS: Mapping[str, Callable[[bytes, Maker], tuple[str, Sequence[Record]]]] = {
    "bookTicker": _book_top,
    "24hr": _day,
    PAYMENTS: _payments,
}
