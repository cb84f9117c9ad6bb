"""Bybit, WebSocket API v5: spot, linear (USDT and USDC margined) and inverse contracts.

Spot is `bybit:BTC-USDT`, a perpetual `bybit:BTC-USDT-PERP`, a dated contract `bybit:BTC-USDT-260925`. Spot and linear write
BTCUSDT, so a connection belongs to one market. Contracts in dollars are inverse (`bybit:BTC-USD-PERP`): their sizes are
dollars, and they are read as documented. `S` is the taker's side. The open of a kline is the close of the one before, not its
first trade. Trades have no numbers: what was missed is looked for among the last thousand (`_bybit_rest`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from ingest.feed import Heartbeat, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _bybit_lists, _bybit_rest
from ingest.feeds._bybit_frames import (
    DOLLARS,
    INTERVALS,
    INVERSE,
    LINEAR,
    SPOT,
    BybitParser,
    instrument_of_symbol,
    market_of_instrument,
)
from ingest.feeds._instruments import MONTHS
from ingest.feeds._records import Maker
from ingest.feeds._subscriptions import Offer, in_parts, stream_request
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.instrument import code_of

_ADDRESS = "wss://stream.bybit.com"
# Half of the 600 requests that an address has in five seconds (docs: "Rate Limit Rules").
_QUOTA = Quota(300, 5.0)
# The topics of a connection have at most 21,000 characters together, those of a request are ten at most (docs: "Connect").
_LIMITS = Limits(streams=200, message_seconds=0.1)
_STREAMS_PER_MESSAGE = 10
_MONTH_CODES = "FGHJKMNQUVXZ"  # of the months in which inverse contracts are delivered
# A ping is asked for every 20 s (docs: "Connect", "How to Send the Heartbeat Packet").
_HEARTBEAT = Heartbeat('{"op":"ping"}', 20.0)
_CHANNELS = ("publicTrade", "orderbook.200", "tickers", "kline.1")
_OFFER = Offer(
    "bybit",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d\d(0[1-9]|1[0-2])\d\d)?", re.ASCII),
    "bybit:BTC-USDT, bybit:BTC-USDT-PERP, bybit:BTC-USDT-260925 or bybit:BTC-USD-PERP",
    _CHANNELS,
    lambda channel: channel in _CHANNELS or channel.removeprefix("kline.") in INTERVALS,
)


class Bybit:
    """The venue; see `ingest.feed.Venue`."""

    name = "bybit"
    markets = (SPOT, LINEAR, INVERSE)
    heartbeats = ("reply",)
    default_channels = _CHANNELS
    channels = _OFFER.channels
    archives = tuple(_bybit_rest.ARCHIVES)
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        market = market_of_instrument(subscription.instrument)
        return Route(market, f"{(base_url or _ADDRESS).rstrip('/')}/v5/public/{market}")

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`."""
        op = "subscribe" if subscribe else "unsubscribe"
        parts = enumerate(in_parts(subscriptions, _STREAMS_PER_MESSAGE), request_id)
        return [
            stream_request({"req_id": str(id_), "op": op, "args": [self._topic(one) for one in part]}, part)
            for id_, part in parts
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: BTCUSDT, BTCUSDT-26SEP26, in USDC BTCPERP, BTC-26SEP26, BTCUSDU26."""
        base, quote, *contract = code_of(instrument).split("-")
        if not contract:
            return f"{base}{quote}"
        pair = base if quote == "USDC" else f"{base}{quote}"
        if contract == ["PERP"]:
            return f"{base}PERP" if quote == "USDC" else pair
        year, month, day = contract[0][:2], int(contract[0][2:4]), contract[0][4:]
        if quote == DOLLARS:
            return f"{pair}{_MONTH_CODES[month - 1]}{year}"
        return f"{pair}-{day}{MONTHS[month - 1]}{year}"

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
        return {} if market is None or not _bybit_lists.is_of(url) else _bybit_lists.listed(market, answer)

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return (_bybit_lists.request(market),)

    def next_definition_request(self, asked: Request, answer: bytes) -> Request | None:
        """See `ingest.rest_venue.PagingVenue.next_definition_request`."""
        return _bybit_lists.next_request(asked, answer)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `instruments-info`."""
        market = self.market_of(url)
        return () if market is None or not _bybit_lists.is_of(url) else _bybit_lists.definitions(market, answer, received_at)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_bybit_rest` knows."""
        market, parts = self.market_of(url), urlsplit(url)
        if market is None or not parts.path.startswith("/v5/market/"):
            return None
        symbols = parse_qs(parts.query).get("symbol", [])
        if len(symbols) != 1:
            return None  # of all there are
        instrument = listings.get(market, {}).get(symbols[0]) or instrument_of_symbol(market, symbols[0])
        return _bybit_rest.read(url, answer, Maker(instrument, received_at, max_clock_skew))

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _bybit_rest.latest(*self._place_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        return _bybit_rest.history(*self._place_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _bybit_rest.page(market_of_instrument(subscription.instrument), subscription.channel, place, end, parsed)

    def _topic(self, subscription: Subscription) -> str:
        return f"{subscription.channel}.{self.symbol_of(subscription.instrument)}"

    def _place_of(self, instrument: str) -> tuple[str, str]:
        return market_of_instrument(instrument), self.symbol_of(instrument)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return BybitParser(market, listings, max_clock_skew)


VENUE = Bybit()
