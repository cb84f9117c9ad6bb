"""Coinbase Exchange (before: Coinbase Pro), WebSocket feed: spot pairs, such as `coinbase:BTC-USD`.

The `side` of a match is the maker's, so the taker's is the other one (docs: "WebSocket Channels", "Matches Channel": "If the
side is sell this indicates the maker was a sell order and the match is considered an up-tick"); that of a ticker is the
taker's. Trade ids of a product have no holes. After subscribing the last match is told again. `level2` and `level2_batch` tell
of books in equal frames, without numbers and checksums, so an instrument has one of them; `level2` is for users with a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _coinbase_rest
from ingest.feeds._coinbase_rest import MARKET, TAKERS_SIDE, TICKER, TRADES
from ingest.feeds._instruments import Instruments, by_symbol, instrument_of_pair
from ingest.feeds._iso_times import micros_of_iso
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._sides import side_of
from ingest.feeds._subscriptions import Offer, by_channel_in_parts, stream_request, symbols_of
from ingest.marks import Missing
from ingest.quota import Quota
from ingest.refusals import Requested
from ingest.rest_venue import Defined, Request
from market.book_rules import BookRules
from market.depth import DepthKind
from market.errors import DataValidationError, SubscriptionError
from market.instrument import code_of
from market.trade import Side
from schemas.records import Record

_ADDRESS = "wss://ws-feed.exchange.coinbase.com"
_HOSTS = ("ws-feed.exchange.coinbase.com", "api.exchange.coinbase.com", "ws-feed.pro.coinbase.com", "api.pro.coinbase.com")
# Half of the ten public requests that an address has in a second (docs: "REST API Rate Limits").
_QUOTA = Quota(5, 1.0)
# An address of ours may send eight messages a second (docs: "WebSocket Rate Limits").
_LIMITS = Limits(streams=200, message_seconds=0.2)
_PRODUCTS_PER_MESSAGE = 100
_BOOK, _BATCHED_BOOK = "level2", "level2_batch"
_CHANNELS = (TRADES, TICKER, _BATCHED_BOOK)
_BOOKS = {_BOOK: _BOOK, _BATCHED_BOOK: _BATCHED_BOOK, "level2_50": _BATCHED_BOOK}
"""Our channel of books by the venue's words; replies call `level2_batch` by the other name of it."""
_CHANNEL_OF_TYPE = {"match": TRADES, "last_match": TRADES, "ticker": TICKER, "snapshot": _BOOK, "l2update": _BOOK}
_NOT_CARRIED = ("received", "open", "done", "change", "activate", "auction", "status", "rfq_match", "ticker_batch")
_BOOK_RULES = BookRules()
_OFFER = Offer(
    "coinbase",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+", re.ASCII),
    "coinbase:BTC-USD",
    (*_CHANNELS, _BOOK),
    lambda channel: channel in _CHANNELS or channel == _BOOK,
)

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Head(msgspec.Struct):
    """What tells any frame: of a product, an answer (`channels`), or a refusal (`message` and `reason`)."""

    type: str
    product_id: str = ""
    channels: msgspec.Raw = msgspec.Raw(b"[]")
    message: str = ""
    reason: str = ""


class _Match(msgspec.Struct):
    trade_id: _Count
    side: str
    size: str
    price: str
    time: str


class _Ticker(msgspec.Struct):
    """Newer servers tell the sizes of the best levels, too; before the first trade of a product there is no time."""

    sequence: _Count
    price: str
    open_24h: str
    volume_24h: str
    low_24h: str
    high_24h: str
    best_bid: str
    best_ask: str
    best_bid_size: str | None = None
    best_ask_size: str | None = None
    last_size: str | None = None
    time: str | None = None


class _Snapshot(msgspec.Struct):
    bids: _Rows
    asks: _Rows
    time: str | None = None


class _Update(msgspec.Struct):
    changes: list[tuple[str, str, str]]
    time: str


class _Listing(msgspec.Struct):
    id: str


_HEAD = msgspec.json.Decoder(_Head)
_REPLIED = msgspec.json.Decoder(list[_Channel])
_MATCH = msgspec.json.Decoder(_Match)
_TICKERS = msgspec.json.Decoder(_Ticker)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_UPDATE = msgspec.json.Decoder(_Update)
_LISTED = msgspec.json.Decoder(list[_Listing])


class CoinbaseParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`.

    A refusal is of the whole request, which it does not name; it is read as documented ("WebSocket Overview", "Errors").
    """

    contiguous: Collection[str] = (TRADES,)

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, MARKET, _instrument_of)
        self._books: dict[str, str] = {}  # channel by product, as the venue confirmed it

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshot and deltas come in the stream; nothing numbers them (docs: "Level2 Channel")."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        head = decode(_HEAD, frame)
        reader = _READERS.get(head.type)
        if reader is not None:
            maker = Maker(self._instruments.of(head.product_id), received_at, self._max_skew)
            return Parsed(self._channel(head), (reader(frame, maker),))
        if head.type == "subscriptions":
            self._remember(decode(_REPLIED, head.channels))
            return Parsed("reply", ())
        if head.type == "error":
            return refused((head.message, head.reason), self.requested.oldest())
        if head.type == "heartbeat" or head.type in _NOT_CARRIED:
            return Parsed(head.type, ())
        raise DataValidationError("unknown_stream", f"type: {head.type!r:.80} is not known", field="type")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            head = decode(_HEAD, frame)
        except DataValidationError:
            return UNKNOWN_CHANNEL
        if head.type in _CHANNEL_OF_TYPE:
            return self._channel(head)
        return head.type if head.type in _NOT_CARRIED else UNKNOWN_CHANNEL

    def _channel(self, head: _Head) -> str:
        channel = _CHANNEL_OF_TYPE[head.type]
        return self._books.get(head.product_id, _BOOK) if channel == _BOOK else channel

    def _remember(self, replied: list[_Channel]) -> None:
        """What is subscribed to by now."""
        for channel in replied:
            name = _BOOKS.get(channel.name, channel.name)
            self.requested.confirmed(streams_named(name, self._instruments.of, *channel.product_ids))
            if channel.name in _BOOKS:
                self._books.update(dict.fromkeys(channel.product_ids, _BOOKS[channel.name]))


class Coinbase:
    """The venue; see `ingest.feed.Venue`."""

    name = "coinbase"
    markets = (MARKET,)
    heartbeats = ("reply", "heartbeat")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    limits = _LIMITS
    heartbeat = None  # the venue sends WebSocket pings

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        wanted = list(subscriptions)
        _OFFER.check(wanted)
        for instrument, channel in wanted:
            if channel == _BOOK and (instrument, _BATCHED_BOOK) in wanted:
                raise SubscriptionError(f"{instrument} has both {_BOOK} and {_BATCHED_BOOK}, which cannot be told apart")

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one channel and has no id."""
        word = "subscribe" if subscribe else "unsubscribe"
        return [
            stream_request({"type": word, "product_ids": symbols_of(part, self.symbol_of), "channels": [channel]}, part)
            for channel, part in by_channel_in_parts(subscriptions, _PRODUCTS_PER_MESSAGE)
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: BTC-USD."""
        return code_of(instrument)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`; the Exchange's hosts, and those it had as Coinbase Pro."""
        return MARKET if (urlsplit(url).hostname or "") in _HOSTS else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; products say all by their form, so what is listed is only checked."""
        if self.market_of(url) is None or urlsplit(url).path != "/products":
            return {}
        return by_symbol((listing.id for listing in decode(_LISTED, answer)), _instrument_of)

    def definition_requests(self, _market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return [_coinbase_rest.definitions_request()]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `products`."""
        if self.market_of(url) is None or urlsplit(url).path != "/products":
            return ()
        return _coinbase_rest.definitions(answer, received_at, _instrument_of)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, _listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_coinbase_rest` knows."""
        product = None if self.market_of(url) is None else _coinbase_rest.product_of(url)
        if product is None:
            return None
        return _coinbase_rest.read(url, answer, Maker(_instrument_of(product), received_at, max_clock_skew))

    def trades_request(self, _channel: str, missing: Missing) -> Request | None:
        """See `ingest.rest_venue.HealingVenue.trades_request`."""
        return _coinbase_rest.missed(self.symbol_of(missing.instrument), missing)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.rest_venue.PollableVenue.poll_request`."""
        return _coinbase_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return CoinbaseParser(listings, max_clock_skew)


def _instrument_of(product: str) -> str:
    return instrument_of_pair("coinbase", product)


def _match(frame: bytes, maker: Maker) -> Record:
    match = decode(_MATCH, frame)
    return maker.trade(
        trade_id=str(match.trade_id),
        sequence=match.trade_id,
        price=match.price,
        size=match.size,
        side=side_of(match.side, TAKERS_SIDE),
        exchange_time=micros_of_iso(match.time, "exchange_time"),
    )


def _ticker(frame: bytes, maker: Maker) -> Record:
    ticker = decode(_TICKERS, frame)
    return maker.quote(
        TICKER,
        None if ticker.time is None else micros_of_iso(ticker.time, "exchange_time"),
        sequence=ticker.sequence,
        bid=ticker.best_bid,
        bid_size=ticker.best_bid_size,
        ask=ticker.best_ask,
        ask_size=ticker.best_ask_size,
        last=ticker.price,
        last_size=ticker.last_size,
        open_24h=ticker.open_24h,
        high_24h=ticker.high_24h,
        low_24h=ticker.low_24h,
        volume_24h=ticker.volume_24h,
    )


def _snapshot(frame: bytes, maker: Maker) -> Record:
    book = decode(_SNAPSHOT, frame)
    time = None if book.time is None else micros_of_iso(book.time, "exchange_time")
    return maker.depth(DepthKind.SNAPSHOT, levels_of(book.bids, "bids"), levels_of(book.asks, "asks"), time)


def _update(frame: bytes, maker: Maker) -> Record:
    """A change has the side of the book, the price and the size there now."""
    update = decode(_UPDATE, frame)
    sides: dict[Side, list[tuple[str, str]]] = {"buy": [], "sell": []}
    for side, price, size in update.changes:
        sides[side_of(side)].append((price, size))
    time = micros_of_iso(update.time, "exchange_time")
    return maker.depth(DepthKind.DELTA, levels_of(sides["buy"], "bids"), levels_of(sides["sell"], "asks"), time)


_READERS: Mapping[str, Callable[[bytes, Maker], Record]] = {
    "match": _match,
    "last_match": _match,
    "ticker": _ticker,
    "snapshot": _snapshot,
    "l2update": _update,
}

VENUE = Coinbase()
