"""Bitstamp, WebSocket API v2: spot pairs, such as `bitstamp:BTC-USD`.

`type` of a trade is the taker's side (docs: "Live ticker": 0 is buy, 1 is sell). Prices and amounts are read from the texts
beside the numbers (`price_str`). Books are diffs with the venue's time in microseconds, which join an order book asked for by
REST; a stream tells every change, so the diff after another one of a connection covers all since that one. One that the venue
left out would not show. Trades of the last day are told again by REST, with times of whole seconds (`_bitstamp_rest`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import (
    FETCHED_BOOK,
    UNKNOWN_CHANNEL,
    Heartbeat,
    Limits,
    Listings,
    Parsed,
    Parser,
    Route,
    StreamRequest,
    Subscription,
)
from ingest.feeds import _bitstamp_rest
from ingest.feeds._bitstamp_rest import MARKET, REST, TRADES, taker_of
from ingest.feeds._instruments import Instruments, by_symbol
from ingest.feeds._levels import levels_of
from ingest.feeds._numbers import ABSENT
from ingest.feeds._records import Maker
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._subscriptions import Offer, stream_request
from ingest.marks import Stretch
from ingest.quota import Quota
from ingest.refusals import Requested
from ingest.rest_venue import Defined, Page, Place, Request
from ingest.symbols import split_symbol
from market.book_rules import BookRules, by_range
from market.depth import DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from schemas.records import Record

_ADDRESS = "wss://ws.bitstamp.net"
_HOSTS = ("ws.bitstamp.net", "www.bitstamp.net")
_LIMITS = Limits(streams=200, message_seconds=0.1)
_HEARTBEAT = Heartbeat('{"event":"bts:heartbeat"}', 30.0)
_QUOTA = Quota(80, 10.0)  # half of the 10,000 requests in ten minutes (docs: "Request limits"), evenly
_BOOK = "diff_order_book"
_CHANNELS = (TRADES, _BOOK)
_QUOTES = ("USD", "EUR", "GBP", "BTC", "ETH", "USDT", "USDC", "PAX")
_SUBSCRIBED = "bts:subscription_succeeded"
_NOT_CARRIED = re.compile(r"(live_orders|order_book|detail_order_book|funding_rate)_[a-z0-9\-]+", re.ASCII)
_BOOK_RULES = BookRules(by_range, fetched=True)
_OFFER = Offer(
    "bitstamp",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+", re.ASCII),
    "bitstamp:BTC-USD",
    _CHANNELS,
    lambda channel: channel in _CHANNELS,
)

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]
_LONGEST_TIME = 18


class _Message(msgspec.Struct):
    """Any frame; that of a stream names it with the pair: live_trades_btcusd."""

    event: str
    channel: str = ""
    data: msgspec.Raw = ABSENT


class _Error(msgspec.Struct):
    """As documented ("Websocket API v2", "Public channels", "Error"); none was recorded."""

    code: str | int | None = None
    message: str = ""


class _Trade(msgspec.Struct):
    id: _Count
    amount_str: str
    price_str: str
    type: int
    microtimestamp: str


class _Book(msgspec.Struct):
    microtimestamp: str
    bids: _Rows
    asks: _Rows


class _Listing(msgspec.Struct):
    name: str
    url_symbol: str


_MESSAGE = msgspec.json.Decoder(_Message)
_ERROR = msgspec.json.Decoder(_Error)
_TRADE = msgspec.json.Decoder(_Trade)
_BOOK_MESSAGE = msgspec.json.Decoder(_Book)
_LISTED = msgspec.json.Decoder(list[_Listing])


class BitstampParser:
    """Reads the frames of one line; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`."""

    contiguous: Collection[str] = ()  # trade ids are those of the whole venue

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, MARKET, _instrument_of)
        self._told_until: dict[str, int] = {}  # time of the last diff, by channel; none while one may be missing

    def book_rules(self, _channel: str) -> BookRules:
        """Diffs join a snapshot asked for by REST (docs: "Live full order book")."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        try:
            return self._read(decode(_MESSAGE, frame), received_at)
        except DataValidationError:
            self._told_until.clear()  # it may have been any diff
            raise

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            return _taken_apart(decode(_MESSAGE, frame).channel)[0] or UNKNOWN_CHANNEL
        except DataValidationError:
            return UNKNOWN_CHANNEL

    def _read(self, message: _Message, received_at: int) -> Parsed:
        if message.event in ("data", "trade"):
            return self._data(message, received_at)
        if message.event == "bts:error":
            error = decode(_ERROR, message.data)
            return refused((error.code, error.message), self._named(message.channel) or self.requested.oldest())
        if message.event == _SUBSCRIBED:
            self._told_until.pop(message.channel, None)
            self.requested.confirmed(self._named(message.channel))
        if message.event in (_SUBSCRIBED, "bts:unsubscription_succeeded"):
            return Parsed("reply", ())
        if message.event in ("bts:heartbeat", "bts:request_reconnect"):
            return Parsed(message.event, ())
        if _NOT_CARRIED.fullmatch(message.channel):
            return Parsed(message.channel.rpartition("_")[0], ())
        raise DataValidationError("unknown_stream", f"event: {message.event!r:.80} is not known", field="event")

    def _named(self, name: str) -> list[Subscription]:
        channel, symbol = _taken_apart(name)
        return streams_named(channel, self._instruments.of, symbol) if channel else []

    def _data(self, message: _Message, received_at: int) -> Parsed:
        channel, symbol = _taken_apart(message.channel)
        if not channel:
            if _NOT_CARRIED.fullmatch(message.channel):
                return Parsed(message.channel.rpartition("_")[0], ())
            raise DataValidationError("unknown_stream", f"channel: {message.channel!r:.80} is not known", field="channel")
        if not bytes(message.data):
            raise DataValidationError("missing_field", "data: the frame does not have it", field="data")
        maker = Maker(self._instruments.of(symbol), received_at, self._max_skew)
        record = _trade(message.data, maker) if channel == TRADES else self._diff(message, maker)
        return Parsed(channel, (record,))

    def _diff(self, message: _Message, maker: Maker) -> Record:
        """It begins where the diff before it ended; the first one of a stream is known to tell of its own time alone."""
        book = decode(_BOOK_MESSAGE, message.data)
        until = _micros_of(book.microtimestamp)
        before = self._told_until.get(message.channel)
        first = until if before is None else min(before + 1, until)
        bids, asks = levels_of(book.bids, "bids"), levels_of(book.asks, "asks")
        depth = maker.depth(DepthKind.DELTA, bids, asks, until, first=first, last=until)
        self._told_until[message.channel] = until
        return depth


class Bitstamp:
    """The venue; see `ingest.feed.Venue` and `ingest.rest_venue.FetchingVenue`."""

    name = "bitstamp"
    markets = (MARKET,)
    heartbeats = ("reply", "bts:heartbeat", "bts:request_reconnect")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    archives = tuple(_bitstamp_rest.CANDLES)
    limits = _LIMITS
    heartbeat = _HEARTBEAT

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one stream and has no id."""
        event = "bts:subscribe" if subscribe else "bts:unsubscribe"
        named = ((f"{stream.channel}_{self.symbol_of(stream.instrument)}", stream) for stream in subscriptions)
        return [stream_request({"event": event, "data": {"channel": channel}}, [stream]) for channel, stream in named]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: btcusd."""
        return code_of(instrument).replace("-", "").lower()

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def book_request(self, instrument: str) -> Request:
        """See `ingest.rest_venue.FetchingVenue.book_request`."""
        return Request(MARKET, f"{REST}/order_book/{self.symbol_of(instrument)}", 1)

    def retelling_request(self, _channel: str, stretch: Stretch, now: int) -> Request | None:
        """See `ingest.rest_venue.RetellingVenue.retelling_request`; trades of a day at most."""
        return _bitstamp_rest.since(self.symbol_of(stretch.instrument), stretch.begin, now)

    def retold(self, stretch: Stretch, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.RetellingVenue.retold`."""
        return _bitstamp_rest.page(stretch, parsed)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`; candles."""
        return _bitstamp_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _bitstamp_rest.history_page(subscription.channel, place, end, parsed)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        return MARKET if (urlsplit(url).hostname or "") in _HOSTS else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `trading-pairs-info`, which has base and quote apart."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/trading-pairs-info/"):
            return {}
        names = {listing.url_symbol: listing.name for listing in decode(_LISTED, answer)}
        return by_symbol(names, lambda symbol: _instrument_of_name(names[symbol]))

    def definition_requests(self, _market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return [_bitstamp_rest.definitions_request()]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `trading-pairs-info`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/trading-pairs-info/"):
            return ()
        return _bitstamp_rest.definitions(answer, received_at, _instrument_of_name)

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; trades, candles, and the order book until its `microtimestamp`."""
        folder, _, symbol = urlsplit(url).path.rstrip("/").rpartition("/")
        if self.market_of(url) is None or not folder.endswith(("/order_book", "/transactions", "/ohlc")):
            return None
        maker = Maker(Instruments(listings, MARKET, _instrument_of).of(symbol), received_at, max_clock_skew)
        if not folder.endswith("/order_book"):
            return _bitstamp_rest.read(url, answer, maker)
        book = decode(_BOOK_MESSAGE, answer)
        until = _micros_of(book.microtimestamp)
        bids, asks = levels_of(book.bids, "bids"), levels_of(book.asks, "asks")
        return Parsed(FETCHED_BOOK, (maker.depth(DepthKind.SNAPSHOT, bids, asks, until, last=until),))

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return BitstampParser(listings, max_clock_skew)


def _taken_apart(channel: str) -> tuple[str, str]:
    """Channel and symbol of diff_order_book_btcusd; both empty where it is none that is carried."""
    name, _, symbol = channel.rpartition("_")
    return (name, symbol) if name in _CHANNELS else ("", "")


def _instrument_of(symbol: str) -> str:
    return _instrument_of_pair(*split_symbol(symbol.upper(), _QUOTES))


def _instrument_of_name(name: str) -> str:
    return _instrument_of_pair(*name.split("/", 1))


def _instrument_of_pair(base: str, quote: str = "") -> str:
    if not base or not quote:
        raise DataValidationError("unknown_symbol", f"{base!r:.80} is no pair such as BTC/USD", field="symbol")
    return check_instrument(f"bitstamp:{base}-{quote}")


def _trade(data: msgspec.Raw, maker: Maker) -> Record:
    trade = decode(_TRADE, data)
    return maker.trade(
        trade_id=str(trade.id),
        sequence=trade.id,
        price=trade.price_str,
        size=trade.amount_str,
        side=taker_of(trade.type),
        exchange_time=_micros_of(trade.microtimestamp),
    )


def _micros_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIME):
        raise DataValidationError("bad_time", f"microtimestamp: {text!r:.40} is no time in microseconds", field="exchange_time")
    return int(text)


VENUE = Bitstamp()
