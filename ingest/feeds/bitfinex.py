"""Bitfinex, WebSocket API v2: spot pairs, such as `bitfinex:BTC-USD`, and perpetuals, such as `bitfinex:BTC-USDT-PERP`.

What Bitfinex calls UST, DSH and so on is USDT and DASH. Amounts of sales are below zero: the side is the taker's (docs: "WS
Public Trades"). After subscribing the latest trades are told, newest first. Trades are taken from `te`; a `tu` tells them
again. Books have the hundred best levels of each side at full precision (prec P0, freq F0, len 100).
`candles.1m` and the like, and `status` of perpetuals (funding, open interest, mark price), are read as documented; of them none
was recorded (docs: "WS Public Candles", "WS Public Status").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _bitfinex_lists, _bitfinex_rest
from ingest.feeds._bitfinex_frames import (
    BOOK,
    CANDLES,
    CHANNELS,
    INTERVALS,
    MARKET,
    PERPETUAL,
    STATUS,
    THEIR_NAMES,
    BitfinexParser,
    instrument_of,
)
from ingest.feeds._instruments import Instruments, by_symbol
from ingest.feeds._records import Maker
from ingest.feeds._subscriptions import Offer, stream_request
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.errors import SubscriptionError
from market.instrument import code_of

_ADDRESS = "wss://api-pub.bitfinex.com/ws/2"
_HOSTS = ("api-pub.bitfinex.com", "api.bitfinex.com")
# Half of the 15 requests for trades that an address has in a minute (docs: "Trades").
_QUOTA = Quota(7, 60.0)
# A connection carries 25 subscriptions to public channels (docs: "WS General", "Limits").
_LIMITS = Limits(streams=25, message_seconds=0.1)
_NUMBERED = {"event": "conf", "flags": 65536}  # SEQ_ALL
_BOOK_OPTIONS = {"prec": "P0", "freq": "F0", "len": "100"}
_PLAIN_LENGTH = 3
_OFFER = Offer(
    "bitfinex",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-PERP)?", re.ASCII),
    "bitfinex:BTC-USD or bitfinex:BTC-USDT-PERP",
    (*CHANNELS, f"{CANDLES}1m", STATUS),
    lambda channel: channel in (*CHANNELS, STATUS) or channel in INTERVALS,
)
_LISTED = msgspec.json.Decoder(tuple[list[str]])


class Bitfinex:
    """The venue; see `ingest.feed.Venue`."""

    name = "bitfinex"
    markets = (MARKET,)
    heartbeats = ("hb", "reply", "info")
    default_channels = CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = None  # the venue itself sends one of each channel every 15 seconds

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`; perpetuals alone have a state."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, channel in wanted:
            if channel == STATUS and not instrument.endswith("-PERP"):
                raise SubscriptionError(f"{channel} tells the funding of perpetuals, and {instrument} is none")

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one stream, after one for numbers of the frames.

        Unsubscribing goes by the ids of the connection; see `BitfinexParser.unsubscriptions`.
        """
        if not subscribe:
            return []
        return [stream_request(_NUMBERED), *(stream_request(self._request(each)) for each in subscriptions)]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: tBTCUSD, tAVAX:USD, tBTCF0:USTF0."""
        base, quote, *contract = code_of(instrument).split("-")
        mark = PERPETUAL if contract else ""
        base, quote = (f"{THEIR_NAMES.get(asset, asset)}{mark}" for asset in (base, quote))
        is_plain = len(base) == len(quote) == _PLAIN_LENGTH
        return f"t{base}{'' if is_plain else ':'}{quote}"

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`; REST and streams of version 2."""
        parts = urlsplit(url)
        return MARKET if (parts.hostname or "") in _HOSTS and parts.path.startswith(("/ws/2", "/v2/")) else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the pairs of `conf/pub:list:pair:exchange` and `…:future`."""
        if self.market_of(url) is None or "/conf/pub:list:pair:" not in urlsplit(url).path:
            return {}
        (pairs,) = decode(_LISTED, answer)
        return by_symbol((f"t{pair}" for pair in pairs), instrument_of)

    def definition_requests(self, _market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return (_bitfinex_lists.request(),)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `conf/pub:info:pair`."""
        if self.market_of(url) is None or not _bitfinex_lists.is_of(url):
            return ()
        return _bitfinex_lists.definitions(answer, received_at)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_bitfinex_rest` knows."""
        symbol = None if self.market_of(url) is None else _bitfinex_rest.symbol_of(url)
        if symbol is None:
            return None
        instrument = Instruments(listings, MARKET, instrument_of).of(symbol)
        return _bitfinex_rest.read(url, answer, Maker(instrument, received_at, max_clock_skew))

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _bitfinex_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`."""
        return _bitfinex_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _bitfinex_rest.page(subscription.channel, place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return BitfinexParser(listings, max_clock_skew)

    def _request(self, subscription: Subscription) -> dict[str, str]:
        options = _BOOK_OPTIONS if subscription.channel == BOOK else {}
        symbol = self.symbol_of(subscription.instrument)
        if subscription.channel == STATUS:
            return {"event": "subscribe", "channel": STATUS, "key": f"deriv:{symbol}"}
        if subscription.channel in INTERVALS:
            channel, _, interval = subscription.channel.partition(".")
            return {"event": "subscribe", "channel": channel, "key": f"trade:{interval}:{symbol}"}
        return {"event": "subscribe", "channel": subscription.channel, "symbol": symbol} | options


VENUE = Bitfinex()
