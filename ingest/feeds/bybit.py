"""Bybit, WebSocket API v5: spot and linear (USDT and USDC margined) contracts.

Spot is `bybit:BTC-USDT`, a perpetual `bybit:BTC-USDT-PERP`, a dated contract `bybit:BTC-USDT-260925`. Both markets write
BTCUSDT, so a connection belongs to one. `S` is the taker's side. The open of a kline is the close of the one before, not its
first trade. It can be replayed only: nothing connects yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Listings, Parser, Subscription
from ingest.feeds._bybit_frames import INTERVALS, LINEAR, SPOT, BybitParser, instrument_of
from ingest.feeds._subscriptions import Offer
from market.errors import DataValidationError

_CHANNELS = ("publicTrade", "orderbook.200", "tickers", "kline.1")
_OFFER = Offer(
    "bybit",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d{6})?", re.ASCII),
    "bybit:BTC-USDT, bybit:BTC-USDT-PERP or bybit:BTC-USDT-260925",
    _CHANNELS,
    lambda channel: channel in _CHANNELS or channel.removeprefix("kline.") in INTERVALS,
)


class _Listing(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    contract_type: str = ""
    delivery_time: str = "0"


class _Result(msgspec.Struct):
    listings: list[_Listing] = msgspec.field(name="list")


class _Listed(msgspec.Struct):
    result: _Result


_LISTED = msgspec.json.Decoder(_Listed)


class Bybit:
    """The venue; see `ingest.feed.Venue`."""

    name = "bybit"
    markets = (SPOT, LINEAR)
    heartbeats = ("reply",)
    default_channels = _CHANNELS

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: /v5/public/linear of a stream, category=linear of a request."""
        parts = urlsplit(url)
        if "bybit" not in (parts.hostname or ""):
            return None
        words = {*parts.path.split("/"), *re.findall(r"category=(\w+)", parts.query)}
        return next((market for market in self.markets if market in words), None)

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `instruments-info`."""
        market = self.market_of(url)
        if market is None or not urlsplit(url).path.endswith("/instruments-info"):
            return {}
        found = {}
        for listing in decode(_LISTED, answer).result.listings:
            try:
                delivery = _delivery(listing.delivery_time) if "Futures" in listing.contract_type else ""
                found[listing.symbol] = instrument_of(market, listing.base_coin, listing.quote_coin, delivery)
            except DataValidationError:
                continue  # a symbol outside our alphabet: frames of it are refused by name
        return found

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return BybitParser(market, listings, max_clock_skew)


def _delivery(millis: str) -> str:
    try:
        return datetime.fromtimestamp(int(millis) / 1000, UTC).strftime("%y%m%d")
    except (ValueError, OverflowError, OSError):
        raise DataValidationError("bad_time", f"deliveryTime: {millis!r:.40} is no time", field="deliveryTime") from None


VENUE = Bybit()
