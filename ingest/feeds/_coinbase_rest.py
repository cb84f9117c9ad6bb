"""What Coinbase Exchange is asked for by REST, and what it answers: trades by their ids, newest first, tickers, and products.

All are read as recorded (trades and tickers by CCXT, whose trade ids are texts; the venue writes numbers). No time can be asked
for, so trades of long ago are not told. Products of before 2022 tell the least size of an order, and the least funds of market
orders; since then these are those of every order (docs: "Get all known trading pairs").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._definitions import define, read_definitions
from ingest.feeds._iso_times import micros_of_iso
from ingest.feeds._records import Maker
from ingest.feeds._sides import side_of
from ingest.marks import Missing
from ingest.rest_venue import Defined, Request
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition
from market.trade import Side
from schemas.records import Record

MARKET = "spot"
REST = "https://api.exchange.coinbase.com"
TRADES, TICKER = "matches", "ticker"
TAKERS_SIDE: dict[str, Side] = {"buy": "sell", "sell": "buy"}
"""The taker's side by the maker's, which the venue tells."""

_MOST = 1_000
_LONGEST_ID = 18


class _Trade(msgspec.Struct):
    trade_id: int | str
    side: str
    size: str
    price: str
    time: str


class _Ticker(msgspec.Struct):
    ask: str
    bid: str
    volume: str
    price: str
    size: str
    time: str


class _Product(msgspec.Struct):
    """Each of the flags keeps orders of some kind from being matched."""

    id: str
    quote_increment: str
    base_increment: str
    status: str
    base_min_size: str | None = None
    min_market_funds: str | None = None
    trading_disabled: bool = False
    cancel_only: bool = False
    post_only: bool = False
    limit_only: bool = False
    auction_mode: bool = False


_TRADES = msgspec.json.Decoder(list[_Trade])
_TICKER = msgspec.json.Decoder(_Ticker)
_PRODUCTS = msgspec.json.Decoder(list[msgspec.Raw])
_PRODUCT = msgspec.json.Decoder(_Product)


def latest(product: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    if channel == TRADES:
        return _request(product, "trades", limit=_MOST)
    return _request(product, "ticker") if channel == TICKER else None


def missed(product: str, missing: Missing) -> Request:
    """The request for the first of these trades: those before the one that follows them (docs: "Pagination")."""
    last = min(missing.last, missing.first + _MOST - 1)
    return _request(product, "trades", after=last + 1, limit=last - missing.first + 1)


def definitions_request() -> Request:
    """The request for the list of products."""
    return Request(MARKET, f"{REST}/products", 1)


def definitions(answer: bytes, received_at: int, instrument_of: Callable[[str], str]) -> Iterable[Defined]:
    """What the list says of each product."""
    products = decode(_PRODUCTS, answer)
    return read_definitions(products, _PRODUCT, received_at, lambda product: instrument_of(product.id), _define)


def _define(instrument: str, product: _Product, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        product.id,
        received_at,
        tick=product.quote_increment,
        lot=product.base_increment,
        min_size=product.base_min_size,
        min_notional=None if product.base_min_size else product.min_market_funds,
        status=product.status,
        is_trading=_is_trading(product),
    )


def product_of(url: str) -> str | None:
    """The product of a request that is read here; None for others."""
    parts = urlsplit(url).path.strip("/").split("/")
    return parts[1] if len(parts) == 3 and parts[0] == "products" and parts[2] in ("trades", "ticker") else None


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """What an answer about a product tells, oldest first, under the name of the stream."""
    if urlsplit(url).path.endswith("/trades"):
        newest_first = decode(_TRADES, answer)
        return Parsed(TRADES, [_trade(trade, maker) for trade in reversed(newest_first)])
    return Parsed(TICKER, (_ticker(decode(_TICKER, answer), maker),))


def _is_trading(product: _Product) -> bool:
    is_limited = product.trading_disabled or product.cancel_only or product.post_only or product.limit_only
    return product.status == "online" and not (is_limited or product.auction_mode)


def _trade(trade: _Trade, maker: Maker) -> Record:
    trade_id = str(trade.trade_id)
    if not (trade_id.isascii() and trade_id.isdecimal() and len(trade_id) <= _LONGEST_ID):
        raise DataValidationError("wrong_type", f"trade_id: {trade_id!r:.40} is no whole number", field="trade_id")
    return maker.trade(
        trade_id=trade_id,
        sequence=int(trade_id),
        price=trade.price,
        size=trade.size,
        side=side_of(trade.side, TAKERS_SIDE),
        exchange_time=micros_of_iso(trade.time, "exchange_time"),
    )


def _ticker(ticker: _Ticker, maker: Maker) -> Record:
    given: dict[str, Any] = {"last": ticker.price, "last_size": ticker.size, "volume_24h": ticker.volume}
    return maker.quote(TICKER, micros_of_iso(ticker.time, "exchange_time"), bid=ticker.bid, ask=ticker.ask, **given)


def _request(product: str, path: str, **options: object) -> Request:
    return Request(MARKET, f"{REST}/products/{product}/{path}" + (f"?{urlencode(options)}" if options else ""), 1)
