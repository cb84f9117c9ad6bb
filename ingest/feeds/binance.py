"""Binance: spot and USD-margined futures, over the combined streams.

Spot pairs are `binance:BTC-USDT`, perpetuals `binance:BTC-USDT-PERP`, dated futures `binance:BTC-USDT-260925`. Both markets
write BTCUSDT, so a connection and its parser belong to one market. Futures are served at two addresses by kind of stream; at
the wrong one a subscription is accepted and stays silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import FETCHED_BOOK, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _binance_instruments, _binance_rest
from ingest.feeds._asked import asked_for
from ingest.feeds._binance_depth import DEPTH_CHANNEL, snapshot_of
from ingest.feeds._binance_frames import (
    FUNDING_CHANNEL,
    FUTURES,
    KLINE_CHANNEL,
    SPOT,
    BinanceParser,
    instrument_of,
    instrument_of_symbol,
)
from ingest.feeds._binance_trades import MOST, PATHS
from ingest.feeds._instruments import by_symbol
from ingest.feeds._records import Maker
from ingest.feeds._subscriptions import Offer, in_parts, stream_request
from ingest.marks import Missing
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.errors import SubscriptionError
from market.instrument import code_of

_ADDRESSES = {SPOT: "wss://stream.binance.com:9443", FUTURES: "wss://fstream.binance.com"}
_PUBLIC_CHANNELS = ("trade", "bookTicker")  # of futures, and the books; the others are served at /market
# A connection carries 200 streams (spot 1024), takes 10 messages in a second (spot 5) and is cut after 24 hours: docs,
# "WebSocket Market Streams".
_LIMITS = Limits(streams=200, message_seconds=0.3, life_seconds=86_400.0)
_STREAMS_PER_MESSAGE = 100

# An address may ask for a weight of 6000 in a minute (futures 2400): half of it is left to others at the same address.
_QUOTAS = {SPOT: Quota(3_000, 60.0), FUTURES: Quota(1_200, 60.0)}
_BOOK_LEVELS = 1_000
_BOOK_WEIGHTS = {SPOT: 50, FUTURES: 20}  # of 501 to 1000 levels
_ANSWERS = ("depth", *PATHS, "bookTicker", "24hr", "klines", _binance_rest.PAYMENTS, _binance_rest.OPEN_INTERESTS)

_CHANNELS = ("trade", "aggTrade", "bookTicker", "ticker", "kline_1m", "depth@100ms", "markPrice@1s")
_PATTERNS = (KLINE_CHANNEL, DEPTH_CHANNEL, FUNDING_CHANNEL)
_OFFER = Offer(
    "binance",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d{6})?", re.ASCII),
    "binance:BTC-USDT, binance:BTC-USDT-PERP or binance:BTC-USDT-260925",
    _CHANNELS,
    lambda channel: channel in _CHANNELS or any(pattern.fullmatch(channel) for pattern in _PATTERNS),
    ("trade", "aggTrade"),
)


class _Listing(msgspec.Struct):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Listing]


_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo)


def _market_of_instrument(instrument: str) -> str:
    return FUTURES if code_of(instrument).count("-") > 1 else SPOT


class Binance:
    """The venue; see `ingest.feed.Venue`."""

    name = "binance"
    markets = (SPOT, FUTURES)
    limits = _LIMITS
    heartbeat = None
    heartbeats = ("reply",)
    default_channels = ("trade", "bookTicker", "ticker", "kline_1m")
    channels = _OFFER.channels
    archives = tuple(_binance_rest.ARCHIVES)

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`; what else than perpetuals have no funding."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, channel in wanted:
            if FUNDING_CHANNEL.fullmatch(channel) and not instrument.endswith("-PERP"):
                raise SubscriptionError(f"{channel} tells the funding of perpetuals, and {instrument} is none")

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.Venue.route`."""
        market = _market_of_instrument(subscription.instrument)
        base = (base_url or _ADDRESSES[market]).rstrip("/")
        if market == SPOT:
            return Route(market, f"{base}/stream")
        is_public = subscription.channel in _PUBLIC_CHANNELS or DEPTH_CHANNEL.fullmatch(subscription.channel)
        kind = "public" if is_public else "market"
        return Route(market, f"{base}/{kind}/stream")

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`."""
        method = "SUBSCRIBE" if subscribe else "UNSUBSCRIBE"
        parts = enumerate(in_parts(subscriptions, _STREAMS_PER_MESSAGE), request_id)
        return [
            stream_request({"method": method, "params": [self._stream(one) for one in part], "id": id_}, part)
            for id_, part in parts
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.Venue.symbol_of`."""
        base, quote, *contract = code_of(instrument).split("-")
        return f"{base}{quote}" + ("" if contract in ([], ["PERP"]) else f"_{contract[0]}")

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return None
        if "binance" not in host or "dstream" in host or "dapi" in host:
            return None
        return FUTURES if "fstream" in host or "fapi" in host or "binancefuture" in host else SPOT

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `exchangeInfo` is such a list."""
        market = self.market_of(url)
        if market is None or not urlsplit(url).path.endswith("/exchangeInfo"):
            return {}
        rows = {listing.symbol: listing for listing in decode(_EXCHANGE_INFO, answer).symbols}
        return by_symbol(
            rows, lambda symbol: instrument_of(market, rows[symbol].base, rows[symbol].quote, symbol.partition("_")[2])
        )

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return (_binance_instruments.request(market),)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `exchangeInfo`."""
        market = self.market_of(url)
        if market is None or not urlsplit(url).path.endswith("/exchangeInfo"):
            return ()
        return _binance_instruments.read(market, answer, received_at)

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; the order book of `depth`, and what `_binance_rest` knows."""
        market, parts = self.market_of(url), urlsplit(url)
        kind = parts.path.rpartition("/")[2]
        if market is None or kind not in _ANSWERS:
            return None
        instrument = instrument_of_symbol(market, asked_for(url, "symbol"), listings)
        if kind != "depth":
            return _binance_rest.read(url, answer, Maker(instrument, received_at, max_clock_skew))
        return Parsed(FETCHED_BOOK, (snapshot_of(answer, instrument, received_at, max_clock_skew),))

    def quota(self, market: str) -> Quota:
        """See `ingest.rest_venue.FetchingVenue.quota`; REQUEST_WEIGHT of `exchangeInfo`."""
        return _QUOTAS[market]

    def book_request(self, instrument: str) -> Request:
        """See `ingest.rest_venue.FetchingVenue.book_request`."""
        market = _market_of_instrument(instrument)
        url = f"{_binance_rest.ADDRESSES[market]}/depth?symbol={self.symbol_of(instrument)}&limit={_BOOK_LEVELS}"
        return Request(market, url, _BOOK_WEIGHTS[market])

    def trades_request(self, channel: str, missing: Missing) -> Request | None:
        """See `ingest.rest_venue.HealingVenue.trades_request`; single trades are told to everybody of spot only."""
        market, symbol = self._place_of(missing.instrument)
        path = "aggTrades" if channel == "aggTrade" else "historicalTrades"
        if market == FUTURES and path == "historicalTrades":
            return None
        limit = min(MOST, missing.last - missing.first + 1)
        return _binance_rest.request(market, path, symbol, fromId=missing.first, limit=limit)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _binance_rest.latest(*self._place_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        return _binance_rest.history(*self._place_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _binance_rest.page(subscription.channel, place, end, parsed)

    def _stream(self, subscription: Subscription) -> str:
        return f"{self.symbol_of(subscription.instrument).lower()}@{subscription.channel}"

    def _place_of(self, instrument: str) -> tuple[str, str]:
        return _market_of_instrument(instrument), self.symbol_of(instrument)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return BinanceParser(market, listings, max_clock_skew)


VENUE = Binance()
