"""What Bitfinex is asked for by REST, and what it answers: trades and tickers, in the rows of its streams.

The rows are read as recorded in streams; the answers follow the documentation ("Trades", "Ticker"), none was recorded.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._bitfinex_frames import MARKET, TICKER, TRADES, read_ticker, read_trade
from ingest.feeds._records import Maker
from ingest.rest_venue import Page, Place, Request
from market.trade import Trade

REST = "https://api-pub.bitfinex.com/v2"
_LATEST_TRADES = 1_000
_MOST_TRADES = 10_000

_ROW: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_ROWS: msgspec.json.Decoder[list[list[msgspec.Raw]]] = msgspec.json.Decoder(list[list[msgspec.Raw]])


def latest(symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    if channel == TRADES:
        return _trades(symbol, limit=_LATEST_TRADES)
    return Request(MARKET, f"{REST}/ticker/{symbol}", 1) if channel == TICKER else None


def history(symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page, oldest trade first."""
    if channel != TRADES:
        return None
    return _trades(symbol, start=place.time // 1000, end=-(-end // 1000), limit=_MOST_TRADES, sort=1)


def page(place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer; the next one begins in the last millisecond of it, with the numbers behind the last one."""
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
    is_read = (parts[1:2] == ["ticker"] and len(parts) == 3) or (parts[1:2] == ["trades"] and parts[3:] == ["hist"])
    return parts[2] if is_read else None


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer about a symbol tells, oldest first, under the name of the stream."""
    if urlsplit(url).path.endswith("/hist"):
        trades = [read_trade(row, maker) for row in decode(_ROWS, answer)]
        trades.sort(key=lambda trade: (trade.event_time, trade.sequence))
        return Parsed(TRADES, trades)
    return Parsed(TICKER, (read_ticker(decode(_ROW, answer), None, maker),))


def _trades(symbol: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/trades/{symbol}/hist?{urlencode(options)}", 1)
