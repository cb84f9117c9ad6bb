"""What Deribit is asked for by REST, and what it answers: trades by their `trade_seq`, tickers, klines and funding of the past.

Read as documented ("public/get_last_trades_by_instrument", "public/ticker", "public/get_tradingview_chart_data",
"public/get_funding_rate_history"); no answer was recorded. Funding is told hour by hour, each at its end: what accrued in it.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._deribit_frames import KLINES, READERS, RESOLUTIONS, TICKER, TRADES, KlineRow, read_kline
from ingest.feeds._numbers import ABSENT, number
from ingest.feeds._pages import Window, numbered_page
from ingest.feeds._records import Maker
from ingest.marks import Missing
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

MARKET = "v2"
REST = "https://www.deribit.com/api/v2/public"

_MOST = 1_000
_BY_NUMBER, _BY_TIME, _TICKER = "get_last_trades_by_instrument", "get_last_trades_by_instrument_and_time", "ticker"
_KLINES = "get_tradingview_chart_data"
PAYMENTS = "get_funding_rate_history"
"""Method of the funding that was paid; records of it have this for their channel."""
_METHODS = (_BY_NUMBER, _BY_TIME, _TICKER, _KLINES, PAYMENTS)
_MOST_PAYMENTS = 744  # hours of a month
_HOUR_SECONDS = 3_600
_PERPETUAL = "-PERPETUAL"


class _Answer(msgspec.Struct):
    result: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Trades(msgspec.Struct):
    trades: msgspec.Raw


class _Chart(msgspec.Struct):
    """Figures of klines, a list of each kind."""

    ticks: list[int]
    open: list[msgspec.Raw]
    high: list[msgspec.Raw]
    low: list[msgspec.Raw]
    close: list[msgspec.Raw]
    volume: list[msgspec.Raw]
    cost: list[msgspec.Raw]


class _Payment(msgspec.Struct):
    timestamp: int
    interest_1h: msgspec.Raw = ABSENT


_ANSWER = msgspec.json.Decoder(_Answer)
_TRADES = msgspec.json.Decoder(_Trades)
_CHART = msgspec.json.Decoder(_Chart)
_PAYMENTS = msgspec.json.Decoder(list[_Payment])


def latest(symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    kind = _kind(channel)
    if kind == TRADES:
        return _request(_BY_NUMBER, symbol, channel, count=_MOST, sorting="desc")
    return _request(_TICKER, symbol, channel) if kind == TICKER else None


def missed(symbol: str, channel: str, missing: Missing) -> Request:
    """The request for the first of these trades."""
    return _request(_BY_NUMBER, symbol, channel, start_seq=missing.first, end_seq=missing.last, count=_MOST, sorting="asc")


def history(symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page: of trades the first by time, the next ones by number; of tickers the funding of perpetuals."""
    if channel.startswith(KLINES) or (_kind(channel) == TICKER and symbol.endswith(_PERPETUAL)):
        window = _window(channel, place, end)
        # Whether the start is part of it is not documented.
        span = {"start_timestamp": -(-window.begin // 1000) - 1, "end_timestamp": (window.until - 1) // 1000}
        if not channel.startswith(KLINES):
            return _request(PAYMENTS, symbol, channel, **span)
        return _request(_KLINES, symbol, channel, **span, resolution=channel.removeprefix(KLINES))
    if _kind(channel) != TRADES:
        return None
    if place.number is None:
        span = {"start_timestamp": place.time // 1000, "end_timestamp": -(-end // 1000)}
        return _request(_BY_TIME, symbol, channel, **span, count=_MOST, sorting="asc")
    return _request(_BY_NUMBER, symbol, channel, start_seq=place.number, count=_MOST, sorting="asc")


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer."""
    if channel.startswith(KLINES):
        return _window(channel, place, end).page(parsed.records)
    if _kind(channel) == TICKER:
        return _window(channel, place, end).payments(parsed.records)
    return numbered_page(parsed.records, place.number or 0, end)


def symbol_of(url: str) -> str | None:
    """The instrument that a request names, of those that are read here; None for others."""
    parts = urlsplit(url)
    if parts.path.rpartition("/")[2] not in _METHODS:
        return None
    return asked_for(url, "instrument_name")


def read(url: str, answer: bytes, symbol: str, maker: Maker) -> Parsed:
    """What an answer about an instrument tells, oldest first, under the name of the stream."""
    parts = urlsplit(url)
    method = parts.path.rpartition("/")[2]
    told = decode(_ANSWER, answer)
    if bytes(told.error) or not bytes(told.result):
        raise DataValidationError("venue_error", f"the venue refuses a request: {bytes(told.error)[:200]!r}")
    if method == PAYMENTS:
        return Parsed(PAYMENTS, [_payment(paid, maker) for paid in decode(_PAYMENTS, told.result)])
    if method == _KLINES:
        return _klines(asked_for(url, "resolution"), told.result, maker)
    kind = TICKER if method == _TICKER else TRADES
    channel = f"{kind}.{parts.fragment or '100ms'}"
    data = decode(_TRADES, told.result).trades if kind == TRADES else told.result
    records = READERS[kind](data, symbol, channel, maker)
    return Parsed(channel, sorted(records, key=_sequence) if kind == TRADES else records)


def _payment(paid: _Payment, maker: Maker) -> Record:
    rate = number(paid.interest_1h, "rate")
    return maker.funding(PAYMENTS, paid.timestamp * 1000, rate=rate, interval_seconds=_HOUR_SECONDS)


def _klines(resolution: str, data: msgspec.Raw, maker: Maker) -> Parsed:
    interval = RESOLUTIONS.get(resolution)
    if interval is None:
        raise DataValidationError("wrong_interval", f"resolution: {resolution!r:.20} is not known", field="interval")
    chart = decode(_CHART, data)
    try:
        figures = (chart.ticks, chart.open, chart.high, chart.low, chart.close, chart.volume, chart.cost)
        klines = [KlineRow(*row) for row in zip(*figures, strict=True)]
    except ValueError:
        raise DataValidationError("missing_field", "the lists of figures are not equally long", field="ticks") from None
    told = [read_kline(row, interval, maker, is_closed=maker.is_over(row.tick * 1000, interval)) for row in klines]
    return Parsed(f"{KLINES}{resolution}", told)


def _window(channel: str, place: Place, end: int) -> Window:
    if not channel.startswith(KLINES):
        return Window.of_funding(place, end, _MOST_PAYMENTS)
    return Window.at(place, end, RESOLUTIONS[channel.removeprefix(KLINES)], _MOST)


def _sequence(record: object) -> int:
    return record.sequence if isinstance(record, Trade) else 0


def _kind(channel: str) -> str:
    return channel.partition(".")[0]


def _request(method: str, symbol: str, channel: str, **options: object) -> Request:
    """The interval of the channel is no part of the request, only of what its answer is called: it goes in the fragment."""
    query = urlencode({"instrument_name": symbol, **options})
    return Request(MARKET, f"{REST}/{method}?{query}#{channel.partition('.')[2]}", 1)
