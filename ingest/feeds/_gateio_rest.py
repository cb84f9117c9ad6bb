"""What Gate.io is asked for by REST beside order books, and what it answers: trades, tickers and candles of spot pairs.

Read as documented ("Retrieve market trades", "Get currency pair ticker information", "Market K-line chart"); no answer was
recorded. Trades are told newest first; of the past, page by page of a stretch of time.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._pages import Window, stretch_until
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

MARKET = "spot"
REST = "https://api.gateio.ws/api/v4"
TRADES, TICKERS, CANDLES = "spot.trades", "spot.tickers", "spot.candlesticks"

_SECOND = 1_000_000
_INTERVAL = "1m"
_MOST = 1_000
_CHANNELS = {"trades": TRADES, "tickers": TICKERS, "candlesticks": CANDLES}


class _Trade(msgspec.Struct):
    id: str
    create_time_ms: str
    side: str
    amount: str
    price: str


class Ticker(msgspec.Struct):
    """Of a pair, in a stream and in an answer."""

    currency_pair: str
    last: str
    lowest_ask: str
    highest_bid: str
    change_percentage: str
    base_volume: str
    quote_volume: str
    high_24h: str
    low_24h: str


_TRADE_ROWS = msgspec.json.Decoder(list[_Trade])
_TICKER_ROWS = msgspec.json.Decoder(list[Ticker])
_CANDLE_ROWS = msgspec.json.Decoder(list[list[str]])


def latest(pair: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are asked for by themselves."""
    if channel == TRADES:
        return _request("trades", pair, limit=_MOST)
    if channel == TICKERS:
        return _request("tickers", pair)
    return _request("candlesticks", pair, interval=_INTERVAL, limit=2) if channel == CANDLES else None


def history(pair: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page; of trades a place's number is that of the page of its stretch, from one on."""
    if channel == CANDLES:
        window = _window(place, end)
        span = {"from": -(-window.begin // _SECOND), "to": (window.until - 1) // _SECOND}  # both are part of it
        return _request("candlesticks", pair, interval=_INTERVAL, **span)
    if channel != TRADES:
        return None
    span = {"from": place.time // _SECOND, "to": stretch_until(place, end) // _SECOND}
    return _request("trades", pair, **span, limit=_MOST, page=place.number or 1)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer."""
    if channel == CANDLES:
        return _window(place, end).page(parsed.records)
    until = stretch_until(place, end)
    trades = [record for record in parsed.records if isinstance(record, Trade)]
    wanted = [trade for trade in trades if place.time <= trade.event_time < until]
    if len(trades) >= _MOST:
        return Page(wanted, Place(place.time, (place.number or 1) + 1))
    return Page(wanted, Place(until) if until < end else None)


def pair_of(url: str) -> str | None:
    """The pair that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if parts.path.rpartition("/")[2] not in _CHANNELS:
        return None
    pairs = parse_qs(parts.query).get("currency_pair", [])
    return pairs[0] if len(pairs) == 1 else None


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer about a pair tells, oldest first, under the name of the stream."""
    channel = _CHANNELS[urlsplit(url).path.rpartition("/")[2]]
    if channel == TRADES:
        trades = [_trade(trade, maker) for trade in decode(_TRADE_ROWS, answer)]
        trades.sort(key=lambda trade: trade.sequence)
        return Parsed(channel, trades)
    if channel == TICKERS:
        return Parsed(channel, [quote_of(ticker, channel, None, maker) for ticker in decode(_TICKER_ROWS, answer)])
    return Parsed(channel, [_candle(row, maker) for row in decode(_CANDLE_ROWS, answer)])


def quote_of(ticker: Ticker, channel: str, time: int | None, maker: Maker) -> Record:
    """The quote of a ticker."""
    return maker.quote(
        channel,
        time,
        bid=ticker.highest_bid,
        ask=ticker.lowest_ask,
        last=ticker.last,
        high_24h=ticker.high_24h,
        low_24h=ticker.low_24h,
        volume_24h=ticker.base_volume,
        amount_24h=ticker.quote_volume,
        change_percent_24h=ticker.change_percentage,
    )


def _trade(trade: _Trade, maker: Maker) -> Trade:
    if not (trade.id.isascii() and trade.id.isdecimal() and len(trade.id) <= 18):
        raise DataValidationError("wrong_type", f"id: {trade.id!r:.40} is no whole number", field="id")
    return maker.trade(
        trade_id=trade.id,
        sequence=int(trade.id),
        price=trade.price,
        size=trade.amount,
        side=side_of(trade.side),
        exchange_time=micros_of_millis(trade.create_time_ms, "exchange_time"),
    )


def _candle(row: list[str], maker: Maker) -> Record:
    """Time in seconds, amount, close, high, low, open; since 2022 also volume and whether it is closed."""
    if len(row) < 6:
        raise DataValidationError("missing_field", "a candle needs six figures", field="data")
    time, amount, close, high, low, open_, *more = row
    given: dict[str, Any] = {
        "volume": figure_or_none(more[0], "volume") if more else None,
        "amount": amount_of(amount, "amount"),
    }
    opened = micros_of_millis(f"{time}000", "open_time")
    return maker.kline(
        _INTERVAL,
        opened,
        {"open": open_, "high": high, "low": low, "close": close},
        is_closed=more[1] == "true" if len(more) > 1 else maker.is_over(opened, _INTERVAL),
        exchange_time=None,
        **given,
    )


def _request(path: str, pair: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/spot/{path}?{urlencode({'currency_pair': pair, **options})}", 1)


def _window(place: Place, end: int) -> Window:
    return Window.at(place, end, _INTERVAL, _MOST)
