"""What Kraken Futures is asked for by REST, and what it answers: the hundred trades before a time, newest first, of seven days.

Beside them candles, of which there is no stream. Read as documented ("Get trade history", "Market Candles"); no answer was
recorded. A trade has the `uid` that it has in the stream. Its `trade_id` is documented as a count from the first fill of a
contract on, and examples have it end with the number of trades in the answer; neither is the `seq` of recorded frames. So what
the stream's numbers show to be missing is told again by time. What the volume of a candle counts is not documented, so it is
left out.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._iso_times import iso_of_millis, micros_of_iso
from ingest.feeds._numbers import ABSENT, number
from ingest.feeds._pages import Window, backward_page, not_told, stretch_until
from ingest.feeds._records import Maker
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

TRADES = "trade"
REST = "https://futures.kraken.com/derivatives/api/v3"
_CHARTS = "https://futures.kraken.com/api/charts/v1/trade"
CANDLES = {f"charts.trade.{resolution}": resolution for resolution in ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")}
"""Channels of candles, of history alone, and their intervals; those of weeks are not carried."""
_MOST = 100
_MOST_CANDLES = 2_000
_SECOND = 1_000_000


class _Trade(msgspec.Struct):
    uid: str
    side: str
    time: str
    price: msgspec.Raw = ABSENT
    size: msgspec.Raw = ABSENT


class _Answer(msgspec.Struct):
    result: str
    error: str = ""
    history: list[_Trade] = []


class _Candle(msgspec.Struct):
    """`time` is when it began, in milliseconds."""

    time: int
    open: str
    high: str
    low: str
    close: str


class _Candles(msgspec.Struct):
    candles: list[_Candle]


_ANSWER = msgspec.json.Decoder(_Answer)
_CANDLES = msgspec.json.Decoder(_Candles)


def history(market: str, product: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page; of trades a place's number is the time (milliseconds) that it goes back from."""
    if channel in CANDLES:
        window = _window(channel, place, end)
        span = {"from": -(-window.begin // _SECOND), "to": (window.until - 1) // _SECOND}
        return Request(market, f"{_CHARTS}/{product}/{CANDLES[channel]}?{urlencode(span)}", 1)
    if channel != TRADES:
        return None
    before = place.number if place.number is not None else -(-stretch_until(place, end) // 1000)
    return Request(market, f"{REST}/history?{urlencode({'symbol': product, 'lastTime': iso_of_millis(before)})}", 1)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`) where trades do not reach back so far."""
    if channel in CANDLES:
        return _window(channel, place, end).page(parsed.records)
    trades = [record for record in parsed.records if isinstance(record, Trade)]
    if len(trades) < _MOST and not any(trade.event_time <= place.time for trade in trades):
        raise not_told("Kraken Futures tells no trades before this time any more: ask for the last seven days")
    return backward_page(trades, place, end, _MOST, lambda trades: trades[0].event_time // 1000, "Kraken Futures")


def product_of(url: str) -> str | None:
    """The contract that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    folder, _, resolution = parts.path.rpartition("/")
    if folder.startswith(urlsplit(_CHARTS).path) and resolution in CANDLES.values():
        return folder.rpartition("/")[2].upper()
    if not parts.path.endswith("/api/v3/history"):
        return None
    return asked_for(url, "symbol").upper()


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer tells, oldest first; trades are numbered by their place in it."""
    path = urlsplit(url).path
    if path.startswith(urlsplit(_CHARTS).path):
        interval = path.rpartition("/")[2]
        channel = next(channel for channel, told in CANDLES.items() if told == interval)
        return Parsed(channel, [_candle(candle, interval, maker) for candle in decode(_CANDLES, answer).candles])
    told = decode(_ANSWER, answer)
    if told.result != "success":
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.error or told.result:.200}")
    return Parsed(TRADES, [_trade(trade, place, maker) for place, trade in enumerate(reversed(told.history), start=1)])


def _candle(candle: _Candle, interval: str, maker: Maker) -> Record:
    opened = candle.time * 1000
    return maker.past_kline(
        interval, opened, {"open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close}
    )


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, CANDLES[channel], _MOST_CANDLES)


def _trade(trade: _Trade, place: int, maker: Maker) -> Trade:
    return maker.trade(
        trade_id=trade.uid,
        sequence=place,
        price=number(trade.price, "price"),
        size=number(trade.size, "size"),
        side=side_of(trade.side),
        exchange_time=micros_of_iso(trade.time, "exchange_time"),
    )
