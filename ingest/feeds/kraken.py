"""Kraken spot: WebSocket API v1, and REST trades and klines (OHLC). Streams of klines are read as documented.

Instruments are `kraken:BTC-USDT`: what Kraken calls XBT and XDG is BTC and DOGE. Streams name a pair XBT/USD, REST names it
XBTUSD or XXBTZUSD. Trades of a stream have no id, so they get one of their own figures, as do those by REST. `b` and `s` are
the taker's side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds._definitions import define, read_definitions, step_of_places
from ingest.feeds._instruments import by_symbol
from ingest.feeds._kraken_frames import INTERVALS, KLINES, THEIR_NAMES, KrakenParser, instrument_of
from ingest.feeds._kraken_rest import read_ohlc, read_ticker, read_trades, rest_name
from ingest.feeds._pages import numbered_page
from ingest.feeds._subscriptions import Offer, by_channel_in_parts, stream_request, symbols_of
from ingest.quota import Quota
from ingest.rest_venue import Defined, Page, Place, Request
from market.instrument import code_of
from market.instrument_definition import InstrumentDefinition

_MARKET = "spot"
_ADDRESS, _REST = "wss://ws.kraken.com", "https://api.kraken.com/0/public"
_QUOTA = Quota(1, 1.0)  # one request a second is always taken (docs: "API rate limits")
# How many messages a connection takes is not told: it depends on the venue's load ("Exceeded msg rate").
_LIMITS = Limits(streams=200, message_seconds=0.5)
_PAIRS_PER_MESSAGE = 100
_BOOK = "book-"
_DEPTHS = (10, 25, 100, 500, 1000)
_TRADE, _TICKER = "trade", "ticker"
_MOST_TRADES = 1_000
_CHANNELS = (_TRADE, _TICKER, "book-1000")
_BOOKS = tuple(f"{_BOOK}{depth}" for depth in _DEPTHS)
_KLINES = tuple(f"{KLINES}{minutes}" for minutes in INTERVALS)
_OFFER = Offer(
    "kraken",
    re.compile(r"[A-Z0-9.]+-[A-Z0-9.]+", re.ASCII),
    "kraken:BTC-USD",
    (*_CHANNELS, f"{KLINES}1"),
    lambda channel: channel in _CHANNELS or channel in _BOOKS or channel in _KLINES,
)


class _Pair(msgspec.Struct):
    altname: str
    wsname: str | None = None


class _Listed(msgspec.Struct):
    result: dict[str, _Pair]


class _Row(_Pair, kw_only=True):
    pair_decimals: int
    lot_decimals: int
    ordermin: str | None = None


class _List(msgspec.Struct):
    result: dict[str, msgspec.Raw]


_READ = {"Trades": (_TRADE, read_trades), "OHLC": ("REST OHLC", read_ohlc), "Ticker": (_TICKER, read_ticker)}
"""By the last part of an answer's path what it is called, and how it is read."""

_LISTED = msgspec.json.Decoder(_Listed)
_LIST = msgspec.json.Decoder(_List)
_ROW = msgspec.json.Decoder(_Row)


class Kraken:
    """The venue; see `ingest.feed.Venue` and `ingest.rest_venue.AnsweringVenue`."""

    name = "kraken"
    markets = (_MARKET,)
    heartbeats = ("heartbeat", "reply", "systemStatus")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = None  # the venue itself sends one every second

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(_MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one channel."""
        parts = enumerate(by_channel_in_parts(subscriptions, _PAIRS_PER_MESSAGE), request_id)
        event = "subscribe" if subscribe else "unsubscribe"
        return [
            stream_request(
                {
                    "event": event,
                    "reqid": id_,
                    "pair": symbols_of(part, self.symbol_of),
                    "subscription": _subscription(channel),
                }
            )
            for id_, (channel, part) in parts
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: the name that streams have for it."""
        return "/".join(THEIR_NAMES.get(asset, asset) for asset in code_of(instrument).split("-"))

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: ws.kraken.com and api.kraken.com, not futures.kraken.com."""
        return _MARKET if (urlsplit(url).hostname or "") in ("ws.kraken.com", "api.kraken.com") else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `AssetPairs` names each pair as REST and as streams do."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/AssetPairs"):
            return {}
        pairs = decode(_LISTED, answer).result.items()
        named = [(pair.wsname, name, pair.altname) for name, pair in pairs if pair.wsname is not None]  # not dark pools
        found = by_symbol((names[0] for names in named), instrument_of)
        return {each: found[names[0]] for names in named if names[0] in found for each in names}

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return (Request(market, f"{_REST}/AssetPairs", 1),)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `AssetPairs`, recorded without their state."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/AssetPairs"):
            return ()
        rows = decode(_LIST, answer).result.values()
        return read_definitions(rows, _ROW, received_at, lambda row: instrument_of(row.wsname or ""), _define)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.DefiningVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; trades, klines and tickers of a pair that is listed or asked for."""
        name, reader = _READ.get(urlsplit(url).path.rpartition("/")[2], ("", None))
        if self.market_of(url) is None or reader is None:
            return None
        return Parsed(name, reader(answer, url, received_at, listings.get(_MARKET, {}), max_clock_skew))

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`; trades are not: nothing recorded shows their ids alike."""
        if subscription.channel != _TICKER:
            return None
        return Request(_MARKET, f"{_REST}/Ticker?pair={rest_name(self.symbol_of(subscription.instrument))}", 1)

    def history_request(self, subscription: Subscription, place: Place, _end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`; `since` is nanoseconds, and not part of the answer."""
        if subscription.channel != _TRADE:
            return None
        pair, since = rest_name(self.symbol_of(subscription.instrument)), place.time * 1_000 - 1
        return Request(_MARKET, f"{_REST}/Trades?pair={pair}&since={since}&count={_MOST_TRADES}", 1)

    def history_page(self, _subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return numbered_page(parsed.records, place.number or 0, end)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return KrakenParser(max_clock_skew)


def _define(instrument: str, row: _Row, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        row.altname,
        received_at,
        tick=step_of_places(row.pair_decimals, "tick_size"),
        lot=step_of_places(row.lot_decimals, "lot_size"),
        min_size=row.ordermin,
    )


def _subscription(channel: str) -> dict[str, object]:
    if channel.startswith(_BOOK):
        return {"name": "book", "depth": int(channel.removeprefix(_BOOK))}
    if channel.startswith(KLINES):
        return {"name": "ohlc", "interval": int(channel.removeprefix(KLINES))}
    return {"name": channel}


VENUE = Kraken()
