"""What OKX is asked for by REST, and what it answers: the same rows as in its streams, newest first.

Trades and candles are told of the past as well, single trades of three months (docs: "Get trades history"). A stream sums up
the trades of one order and price under the id of the last of them; by REST they are told one by one, under the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._arg_frames import CANDLE, Arg, Message
from ingest.feeds._asked import asked_for
from ingest.feeds._okx_frames import (
    FUNDING,
    INDEX,
    INTERVALS,
    MARK,
    OPEN_INTEREST,
    READERS,
    index_of,
    indices,
    instrument_of_symbol,
)
from ingest.feeds._pages import Window, not_told, numbered_page
from ingest.feeds._records import Maker, micros_of_millis
from ingest.marks import Missing
from ingest.rest_venue import Page, Place, Request
from market.errors import DataValidationError
from market.trade import Trade
from schemas.records import Record

MARKET = "v5"
REST = "https://www.okx.com/api/v5"

_TRADES = "trades"
PAYMENTS = "funding-rate-history"
"""Path of the funding that was paid, of three months; records of it have this for their channel."""
OPEN_INTERESTS = "open-interest-history"
"""Path of open interest, of which the latest 1,440 points are told (docs: "Get contract open interest history").

The channels of its history have the period behind it.
"""
ARCHIVES = {
    f"{OPEN_INTERESTS}.{theirs}": ours
    for theirs, ours in {
        **{period: period for period in ("5m", "15m", "30m")},
        **{f"{hours}H": f"{hours}h" for hours in (1, 2, 4)},
        "6Hutc": "6h",
        "12Hutc": "12h",
        "1Dutc": "1d",
    }.items()
}
_MOST_PAYMENTS = 100
_MOST_POINTS = 100
_LATEST_TRADES = 500
_MOST_TRADES = 100
_MOST_CANDLES = 100
_BY_ID, _BY_TIME = 1, 2  # what `after` means to history-trades
_CHANNELS = {
    "market/trades": _TRADES,
    "market/history-trades": _TRADES,
    "market/ticker": "tickers",
    "market/index-tickers": INDEX,
    "public/funding-rate": FUNDING,
    "public/open-interest": OPEN_INTEREST,
    "public/mark-price": MARK,
}
"""The channel whose rows a path answers with; those of candles are told by their `bar`."""

_CANDLE_PATHS = ("market/candles", "market/history-candles")
_LATEST: Mapping[str, tuple[str, Mapping[str, object]]] = {
    _TRADES: ("market/trades", {"limit": _LATEST_TRADES}),
    "tickers": ("market/ticker", {}),
    FUNDING: ("public/funding-rate", {}),
}


class _Payment(msgspec.Struct, rename="camel"):
    """`realized_rate` was paid; `funding_rate` had been told before."""

    funding_rate: str
    funding_time: str
    realized_rate: str = ""


_Point = tuple[str, str, str, str]
"""Time, contracts, the same in currency, in dollars."""


class _Answer(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


_PAYMENTS = msgspec.json.Decoder(list[_Payment])
_POINTS = msgspec.json.Decoder(list[_Point])
_ANSWER = msgspec.json.Decoder(_Answer)


def latest(symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    if channel in INTERVALS:
        return _request("market/candles", symbol, bar=_bar(channel), limit=2)
    if channel in (OPEN_INTEREST, MARK):
        return _request(f"public/{channel}", symbol, instType="SWAP" if symbol.endswith("-SWAP") else "FUTURES")
    if channel == INDEX:
        instrument = instrument_of_symbol(symbol)
        request = _request("market/index-tickers", index_of(instrument))
        return request._replace(url=f"{request.url}#{symbol}")  # nothing of the answer tells whose it is to be
    path, options = _LATEST.get(channel, (None, {}))
    return None if path is None else _request(path, symbol, **options)


def missed(symbol: str, missing: Missing) -> Request:
    """The request for the first of these trades: those before the one that follows them."""
    return _numbered_up_to(symbol, min(missing.last, missing.first + _MOST_TRADES - 1))


def history(symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page. The id of the first trade is looked up by the one before it."""
    if channel in INTERVALS:
        window = _window(channel, place, end)
        span = {"before": window.begin // 1000 - 1, "after": -(-window.until // 1000)}  # neither is part of it
        return _request("market/history-candles", symbol, bar=_bar(channel), **span, limit=_MOST_CANDLES)
    if channel == FUNDING:
        window = Window.of_funding(place, end, _MOST_PAYMENTS)
        span = {"before": -(-window.begin // 1000) - 1, "after": -(-window.until // 1000)}  # neither is part of it
        return _request(f"public/{PAYMENTS}", symbol, **span, limit=_MOST_PAYMENTS)
    if channel in ARCHIVES and symbol.count("-") > 1:
        window = _window_of_points(channel, place, end)
        span = {"begin": -(-window.begin // 1000) - 1, "end": -(-window.until // 1000)}  # neither is part of it
        period = channel.removeprefix(f"{OPEN_INTERESTS}.")
        return _request(f"rubik/stat/contracts/{OPEN_INTERESTS}", symbol, period=period, **span, limit=_MOST_POINTS)
    if channel != _TRADES:
        return None
    if place.number is None:
        return _request("market/history-trades", symbol, type=_BY_TIME, after=-(-place.time // 1000), limit=1)
    return _numbered_up_to(symbol, place.number + _MOST_TRADES - 1)


def page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer; that of a look-up has no records. Raises DataValidationError (`no_history`)."""
    if channel in INTERVALS:
        return _window(channel, place, end).page(parsed.records)
    if channel == FUNDING:
        return Window.of_funding(place, end, _MOST_PAYMENTS).payments(parsed.records)
    if channel in ARCHIVES:
        return _window_of_points(channel, place, end).points(parsed.records)
    if place.number is None:
        before = [record for record in parsed.records if isinstance(record, Trade)]
        if not before:
            raise not_told("OKX tells no trades before this time any more: ask for the last three months")
        return Page((), Place(place.time, before[0].sequence + 1))
    return numbered_page(parsed.records, place.number, end)


def read(url: str, answer: bytes, received_at: int, max_skew: int) -> Parsed | None:
    """What an answer tells, oldest first, under the name of the stream; None for a path that is not carried."""
    parts = urlsplit(url)
    path = "/".join(parts.path.split("/")[-2:])
    asked = parse_qs(parts.query)
    channel = _channel_of_bar(asked) if path in _CANDLE_PATHS else _CHANNELS.get(path)
    if path == f"public/{PAYMENTS}":
        channel = PAYMENTS
    if path == f"contracts/{OPEN_INTERESTS}":
        channel = f"{OPEN_INTERESTS}.{asked_for(url, 'period')}"
    if channel is None:
        return None
    symbol = asked_for(url, "instId")
    told = decode(_ANSWER, answer)
    if told.code != "0":
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.code:.20} {told.msg:.200}")
    arg = Arg(channel, symbol)
    maker = Maker(instrument_of_symbol(symbol), received_at, max_skew)
    if channel == PAYMENTS:
        newest_first = decode(_PAYMENTS, told.data)
        return Parsed(channel, [_payment(one, maker) for one in reversed(newest_first)])
    if channel.startswith(OPEN_INTERESTS):
        points = decode(_POINTS, told.data)
        return Parsed(channel, [_point(one, channel, maker) for one in reversed(points)])
    if channel == INDEX:
        contract = instrument_of_symbol(parts.fragment or f"{symbol}-SWAP")
        return Parsed(channel, indices(lambda _index: (contract,))(Message(arg, data=told.data), arg, maker))
    reader = READERS[CANDLE if channel in INTERVALS else channel]
    return Parsed(channel, tuple(reversed(reader(Message(arg, data=told.data), arg, maker))))


def _payment(paid: _Payment, maker: Maker) -> Record:
    time = micros_of_millis(paid.funding_time, "exchange_time")
    return maker.payment(PAYMENTS, time, paid.realized_rate or paid.funding_rate)


def _point(point: _Point, channel: str, maker: Maker) -> Record:
    time, contracts, _, dollars = point
    exchange_time = micros_of_millis(time, "exchange_time")
    return maker.open_interest(channel, exchange_time, open_interest=contracts, notional=dollars or None)


def _window_of_points(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, ARCHIVES[channel], _MOST_POINTS)


def _numbered_up_to(symbol: str, last: int) -> Request:
    return _request("market/history-trades", symbol, type=_BY_ID, after=last + 1, limit=_MOST_TRADES)


def _request(path: str, symbol: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/{path}?{urlencode({'instId': symbol, **options})}", 1)


def _bar(channel: str) -> str:
    return channel.removeprefix(CANDLE)


def _channel_of_bar(asked: Mapping[str, list[str]]) -> str:
    channel = f"{CANDLE}{asked.get('bar', [''])[0]}"
    if channel not in INTERVALS:
        raise DataValidationError("wrong_interval", "bar: the request does not name one that is known", field="bar")
    return channel


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, INTERVALS[channel], _MOST_CANDLES)
