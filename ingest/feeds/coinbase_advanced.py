"""Coinbase Advanced Trade, market data over WebSocket without a key: spot pairs such as `coinbase_advanced:BTC-USD`.

It is another service than Coinbase Exchange (`coinbase`), with frames and candles of its own. All is read as documented;
nothing of it was recorded (docs: "Advanced Trade WebSocket Channels", "Advanced Trade WebSocket Overview"). What is not
documented is not told: whose side the `side` of a trade is (so trades have none), and whether trade ids have holes. Candles
are of five minutes, and closed once another one follows. `ticker_batch` tells every five seconds, without the best prices.

The frames of a connection are numbered; where one was missed, the books of the connection are in GAP until the snapshot that
comes with a new subscription, and its trades are told to be in doubt. Most channels are closed after 60 to 90 seconds without
an update unless `heartbeats` are subscribed to, so they are. Pairs in USDC are not carried: their subscribers are told those
in USD, but for USDT-USDC and EURC-USDC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from ingest.feed import Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _coinbase_advanced_rest
from ingest.feeds._coinbase_advanced_frames import (
    BATCHED_TICKER,
    BOOK,
    CANDLES,
    HEARTBEATS,
    MARKET,
    TICKER,
    TRADES,
    CoinbaseAdvancedParser,
    instrument_of,
)
from ingest.feeds._instruments import Instruments, by_symbol
from ingest.feeds._records import Maker
from ingest.feeds._subscriptions import Offer, by_channel_in_parts, stream_request, symbols_of
from ingest.marks import Stretch
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.errors import SubscriptionError
from market.instrument import code_of

_ADDRESS = "wss://advanced-trade-ws.coinbase.com"
_HOSTS = ("advanced-trade-ws.coinbase.com", "api.coinbase.com")
# Half of the ten public requests that an address has in a second (docs: "Advanced Trade REST API Rate Limits").
_QUOTA = Quota(5, 1.0)
# An address may send eight messages a second without a key (docs: "Advanced Trade WebSocket Rate Limits"). How much a
# connection carries is not told.
_LIMITS = Limits(streams=100, message_seconds=0.2)
_PRODUCTS_PER_MESSAGE = 50
_CHANNELS = (TRADES, TICKER, BOOK, CANDLES)
_ALL = (*_CHANNELS, BATCHED_TICKER)
_IN_USDC = ("USDT-USDC", "EURC-USDC")
_OFFER = Offer(
    "coinbase_advanced", re.compile(r"[A-Z0-9]+-[A-Z0-9]+", re.ASCII), "coinbase_advanced:BTC-USD", _ALL, _ALL.__contains__
)


class CoinbaseAdvanced:
    """The venue; see `ingest.feed.Venue`."""

    name = "coinbase_advanced"
    markets = (MARKET,)
    heartbeats = ("reply", HEARTBEATS)
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = None  # the venue sends one every second

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, _ in wanted:
            code = code_of(instrument)
            if code.endswith("-USDC") and code not in _IN_USDC:
                other = f"{self.name}:{code.removesuffix('C')}"
                raise SubscriptionError(f"{instrument}: who asks for pairs in USDC is told those in USD; write {other}")

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one channel and has no id."""
        word = "subscribe" if subscribe else "unsubscribe"
        heartbeats = [stream_request({"type": word, "channel": HEARTBEATS})] if subscribe else []
        return heartbeats + [
            stream_request({"type": word, "channel": channel, "product_ids": symbols_of(part, self.symbol_of)}, part)
            for channel, part in by_channel_in_parts(subscriptions, _PRODUCTS_PER_MESSAGE)
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: BTC-USD."""
        return code_of(instrument)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        return MARKET if (urlsplit(url).hostname or "") in _HOSTS else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; products say all by their form, so what is listed is only checked."""
        if self.market_of(url) is None or not _coinbase_advanced_rest.is_list(url):
            return {}
        return by_symbol(_coinbase_advanced_rest.names(answer), instrument_of)

    def definition_requests(self, _market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return [_coinbase_advanced_rest.definitions_request()]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`."""
        if self.market_of(url) is None or not _coinbase_advanced_rest.is_list(url):
            return ()
        return _coinbase_advanced_rest.definitions(answer, received_at)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_coinbase_advanced_rest` knows."""
        product = None if self.market_of(url) is None else _coinbase_advanced_rest.product_of(url)
        if product is None:
            return None
        instrument = Instruments(listings, MARKET, instrument_of).of(product)
        return _coinbase_advanced_rest.read(url, answer, Maker(instrument, received_at, max_clock_skew))

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _coinbase_advanced_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def retelling_request(self, channel: str, stretch: Stretch, _now: int) -> Request | None:
        """See `ingest.rest_venue.RetellingVenue.retelling_request`."""
        return _coinbase_advanced_rest.latest(self.symbol_of(stretch.instrument), channel)

    def retold(self, stretch: Stretch, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.RetellingVenue.retold`."""
        return _coinbase_advanced_rest.retold(stretch, parsed)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`; candles alone."""
        return _coinbase_advanced_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, _subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _coinbase_advanced_rest.page(place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return CoinbaseAdvancedParser(listings, max_clock_skew)


VENUE = CoinbaseAdvanced()
