"""What Bitfinex is asked for by REST, and what it answers: trades, tickers and candles, in the rows of its streams.

Rows of trades and tickers are read as recorded in streams; candles and the answers follow the documentation ("Trades",
"Ticker", "Candles"), none was recorded.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._bitfinex_frames import (
    CANDLES,
    INTERVALS,
    MARKET,
    TICKER,
    TRADES,
    read_past_candle,
    read_ticker,
    read_trade,
)
from ingest.feeds._pages import Window
from ingest.feeds._records import Maker
from ingest.rest_venue import Page, Place, Request
from market.trade import Trade

REST = "https://api-pub.bitfinex.com/v2"
_LATEST_TRADES = 1_000
_MOST_TRADES = 10_000
_MOST_CANDLES = 10_000

_ROW: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_ROWS: msgspec.json.Decoder[list[list[msgspec.Raw]]] = msgspec.json.Decoder(list[list[msgspec.Raw]])


def latest(symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    if channel == TRADES:
        return _trades(symbol, limit=_LATEST_TRADES)
    return Request(MARKET, f"{REST}/ticker/{symbol}", 1) if channel == TICKER else None


def history(symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page, oldest first."""
    if channel in INTERVALS:
        window = _window(channel, place, end)
        span = {"start": -(-window.begin // 1000), "end": (window.until - 1) // 1000}  # both are part of it
        query = urlencode({**span, "limit": _MOST_CANDLES, "sort": 1})
        return Request(MARKET, f"{REST}/candles/trade:{channel.removeprefix(CANDLES)}:{symbol}/hist?{query}", 1)
    if channel != TRADES:
        return None
    return _trades(symbol, start=place.time // 1000, end=-(-end // 1000), limit=_MOST_TRADES, sort=1)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer; one of trades begins in the last millisecond of that before, with the numbers behind its last."""
    if channel in INTERVALS:
        return _window(channel, place, end).page(parsed.records)
    trades = [record for record in parsed.records if isinstance(record, Trade)]
    number = place.number or 0
    new = [trade for trade in trades if trade.event_time > place.time or trade.sequence >= number]
    wanted = [trade for trade in new if place.time <= trade.event_time < end]
    if len(trades) < _MOST_TRADES or not new:
        return Page(wanted, None)
    return Page(wanted, Place(trades[-1].event_time, trades[-1].sequence + 1))


def symbol_of(url: str) -> str | None:
    """The symbol that a request names, of those that are read here; None for others."""
    parts = urlsplit(url).path.strip("/").split("/")
    if parts[1:2] == ["candles"] and parts[3:] == ["hist"]:
        return _key(parts[2])[1]
    is_read = (parts[1:2] == ["ticker"] and len(parts) == 3) or (parts[1:2] == ["trades"] and parts[3:] == ["hist"])
    return parts[2] if is_read else None


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer about a symbol tells, oldest first, under the name of the stream."""
    parts = urlsplit(url).path.strip("/").split("/")
    if parts[1] == "candles":
        channel = _key(parts[2])[0]
        return Parsed(channel, [read_past_candle(row, INTERVALS[channel], maker) for row in decode(_ROWS, answer)])
    if parts[-1] == "hist":
        trades = [read_trade(row, maker) for row in decode(_ROWS, answer)]
        trades.sort(key=lambda trade: (trade.event_time, trade.sequence))
        return Parsed(TRADES, trades)
    return Parsed(TICKER, (read_ticker(decode(_ROW, answer), None, maker),))


def _key(key: str) -> tuple[str, str | None]:
    """Channel and symbol of trade:1m:tAVAX:USD; no symbol where it is none that is read here."""
    kind, _, rest = key.partition(":")
    interval, _, symbol = rest.partition(":")
    channel = f"{CANDLES}{interval}"
    return channel, symbol if kind == "trade" and channel in INTERVALS else None


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, INTERVALS[channel], _MOST_CANDLES)


def _trades(symbol: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/trades/{symbol}/hist?{urlencode(options)}", 1)
