"""What Coinbase Advanced Trade is asked for by REST without a key, and what it answers: latest trades, candles, products.

Read as documented ("Get Public Market Trades", "Get Public Product Candles", "List Public Products"); no answer was recorded.
Both trades and candles are told newest first. Where its trades do not reach back to those of the stream, a gap stays marked.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._coinbase_advanced_frames import (
    CANDLES,
    INTERVAL,
    MARKET,
    TRADES,
    CandleRow,
    TradeRow,
    in_order,
    instrument_of,
    kline_of,
    seconds_of,
    trade_of,
)
from ingest.feeds._definitions import define, read_definitions
from ingest.feeds._pages import Window, latest_page
from ingest.feeds._records import Maker
from ingest.marks import Stretch
from ingest.rest_venue import Defined, Page, Place, Request
from market.instrument_definition import InstrumentDefinition

REST = "https://api.coinbase.com/api/v3/brokerage/market/products"
_PATH = urlsplit(REST).path

_SECOND = 1_000_000
_MOST_TRADES = 1_000
_MOST_CANDLES = 350
_CHANNELS = {"ticker": TRADES, "candles": CANDLES}
"""What the last part of a path asks for: the one that is called ticker tells the latest trades."""


class _Trades(msgspec.Struct):
    trades: list[TradeRow]


class _Candles(msgspec.Struct):
    candles: list[CandleRow]


class _Row(msgspec.Struct):
    """Of a pair or of a contract."""

    product_id: str
    product_type: str = ""
    price_increment: str = ""
    base_increment: str = ""
    base_min_size: str = ""
    quote_min_size: str = ""
    status: str = ""
    trading_disabled: bool = False


class _List(msgspec.Struct):
    products: list[msgspec.Raw]


class _Names(msgspec.Struct):
    products: list[_Row]


_TRADES = msgspec.json.Decoder(_Trades)
_CANDLES = msgspec.json.Decoder(_Candles)
_ROW = msgspec.json.Decoder(_Row)
_LIST = msgspec.json.Decoder(_List)
_NAMES = msgspec.json.Decoder(_Names)


def latest(product: str, channel: str) -> Request | None:
    """The request for the latest of a stream; tickers and books are not asked for."""
    if channel == TRADES:
        return _request(product, "ticker", limit=_MOST_TRADES)
    return _request(product, "candles", granularity="FIVE_MINUTE", limit=2) if channel == CANDLES else None


def history(product: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page of candles."""
    if channel != CANDLES:
        return None
    window = _window(place, end)
    span = {"start": -(-window.begin // _SECOND), "end": (window.until - 1) // _SECOND}
    return _request(product, "candles", granularity="FIVE_MINUTE", **span, limit=_MOST_CANDLES)


def page(place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer about candles."""
    return _window(place, end).page(parsed.records)


def retold(stretch: Stretch, parsed: Parsed) -> Page:
    """The trades of a stretch out of the latest ones. Raises DataValidationError (`no_history`)."""
    place = Place(stretch.begin)
    return latest_page("Coinbase Advanced Trade", parsed.records, place, stretch.end + 1, _MOST_TRADES)


def product_of(url: str) -> str | None:
    """The product of a request that is read here; None for others."""
    folder, _, what = urlsplit(url).path.rpartition("/")
    product = folder.removeprefix(f"{_PATH}/")
    return product if what in _CHANNELS and product != folder and "/" not in product else None


def is_list(url: str) -> bool:
    """Whether a request is for the list of products."""
    return urlsplit(url).path == _PATH


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer about a product tells, oldest first, under the name of the stream."""
    channel = _CHANNELS[urlsplit(url).path.rpartition("/")[2]]
    if channel == TRADES:
        return Parsed(channel, in_order(trade_of(row, maker) for row in decode(_TRADES, answer).trades))
    rows = sorted(decode(_CANDLES, answer).candles, key=seconds_of)
    return Parsed(
        channel, [kline_of(row, None, maker, is_closed=maker.is_over(seconds_of(row) * _SECOND, INTERVAL)) for row in rows]
    )


def names(answer: bytes) -> list[str]:
    """The products that a list tells of."""
    return [row.product_id for row in decode(_NAMES, answer).products]


def definitions_request() -> Request:
    """The request for the list of the pairs that are traded."""
    return Request(MARKET, f"{REST}?{urlencode({'product_type': 'SPOT'})}", 1)


def definitions(answer: bytes, received_at: int) -> Iterable[Defined]:
    """What a list says of each pair; contracts are left out."""
    rows = decode(_LIST, answer).products
    return read_definitions(rows, _ROW, received_at, lambda row: instrument_of(row.product_id), _define)


def _define(instrument: str, row: _Row, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        row.product_id,
        received_at,
        tick=row.price_increment,
        lot=row.base_increment,
        min_size=row.base_min_size,
        min_notional=row.quote_min_size,
        status=row.status,
        is_trading=row.status == "online" and not row.trading_disabled,
    )


def _window(place: Place, end: int) -> Window:
    return Window.at(place, end, INTERVAL, _MOST_CANDLES)


def _request(product: str, path: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/{product}/{path}?{urlencode(options)}", 1)
