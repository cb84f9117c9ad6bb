"""Gate.io, WebSocket API v4: spot pairs, such as `gateio:NEO-BTC`.

`side` is the taker's. The `v` of a kline is the amount in the quote currency; the volume in the base currency, `a`, and whether
the window is closed, `w`, are told by newer servers only. Books are diffs, with snapshots asked for by REST. Candles are of one
minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import (
    FETCHED_BOOK,
    UNKNOWN_CHANNEL,
    Defined,
    Limits,
    Listings,
    Page,
    Parsed,
    Parser,
    Place,
    Request,
    Route,
    Subscription,
)
from ingest.feeds import _gateio_rest
from ingest.feeds._definitions import define, read_definitions, step_of_places
from ingest.feeds._gateio_rest import CANDLES, MARKET, REST, TICKERS, TRADES, Ticker, quote_of
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.feeds._subscriptions import Offer, by_channel, in_parts
from ingest.quota import Quota
from market.book_rules import BookRules, by_range
from market.depth import DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from market.instrument_definition import InstrumentDefinition
from schemas.records import Record

_ADDRESS = "wss://api.gateio.ws"
# The venue bounds neither subscriptions nor messages, but cuts off who reads too slowly (its answer in gateio/gatews#25).
_LIMITS = Limits(streams=200, message_seconds=0.05)
_PAIRS_PER_MESSAGE = 100
_QUOTA = Quota(100, 10.0)  # half of the 200 public requests in ten seconds (docs: "Frequency limit rule")
_BOOK_LEVELS = 1_000
_BOOKS = "spot.order_book_update"
_CHANNELS = (TRADES, _BOOKS, TICKERS, CANDLES)
_INTERVALS = ("10s", "1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")
_NOT_CARRIED = re.compile(r"spot\.(pong|book_ticker|order_book|obu|trades_v2)", re.ASCII)
_BOOK_RULES = BookRules(by_range, fetched=True)
_OFFER = Offer(
    "gateio",
    re.compile(r"[A-Z0-9]+-[A-Z0-9]+", re.ASCII),
    "gateio:BTC-USDT",
    _CHANNELS,
    lambda channel: channel in _CHANNELS,
)

_ABSENT = msgspec.Raw(b"")
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class _Message(msgspec.Struct):
    """Any frame. `time` is the venue's, in seconds; newer servers tell it in milliseconds, too."""

    channel: str | None = None
    event: str | None = None
    time: _Count | None = None
    time_ms: _Count | None = None
    error: Any = None
    result: msgspec.Raw = _ABSENT

    @property
    def micros(self) -> int | None:
        """The time of the message."""
        if self.time_ms is not None:
            return self.time_ms * 1000
        return None if self.time is None else self.time * 1_000_000


class _Trade(msgspec.Struct):
    id: _Count
    create_time_ms: str
    side: str
    currency_pair: str
    amount: str
    price: str


class _Book(msgspec.Struct):
    t: _Count
    s: str
    U: _Count
    u: _Count
    b: _Rows
    a: _Rows


class _Candle(msgspec.Struct):
    t: str
    v: str
    c: str
    h: str
    l: str  # noqa: E741  # the venue's name
    o: str
    n: str
    a: str | None = None
    w: bool = False


class _Snapshot(msgspec.Struct):
    id: _Count
    bids: _Rows
    asks: _Rows
    update: _Count | None = None


class _Listing(msgspec.Struct):
    id: str


class _Pair(_Listing, kw_only=True):
    precision: int
    amount_precision: int
    trade_status: str
    min_quote_amount: str | None = None


_MESSAGE = msgspec.json.Decoder(_Message)
_TRADE = msgspec.json.Decoder(_Trade)
_BOOK = msgspec.json.Decoder(_Book)
_TICKER = msgspec.json.Decoder(Ticker)
_CANDLE = msgspec.json.Decoder(_Candle)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_LISTED = msgspec.json.Decoder(list[_Listing])
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_PAIR = msgspec.json.Decoder(_Pair)

Reader = Callable[[_Message, "GateioParser", int], Record]


class GateioParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser`."""

    contiguous: Collection[str] = ()  # trade ids are those of the whole venue

    def __init__(self, max_clock_skew: int) -> None:
        self._max_skew = max_clock_skew

    def book_rules(self, _channel: str) -> BookRules:
        """Diffs join a snapshot asked for by REST (docs: "Changed order book levels", "How to maintain local order book")."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        message = decode(_MESSAGE, frame)
        channel = message.channel
        if channel is None:
            raise DataValidationError("missing_field", "channel: the frame does not have it", field="channel")
        if message.error is not None:
            raise DataValidationError("venue_error", f"the venue refuses a request: {message.error!s:.200}")
        if message.event in ("subscribe", "unsubscribe"):
            return Parsed("reply", ())
        reader = _READERS.get(channel)
        if reader is not None:
            return Parsed(channel, (reader(message, self, received_at),))
        if _NOT_CARRIED.fullmatch(channel):
            return Parsed(channel, ())
        raise DataValidationError("unknown_stream", f"channel: {channel!r:.80} is not known", field="channel")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            channel = decode(_MESSAGE, frame).channel or ""
        except DataValidationError:
            return UNKNOWN_CHANNEL
        return channel if channel in _READERS or _NOT_CARRIED.fullmatch(channel) else UNKNOWN_CHANNEL

    def maker(self, pair: str, received_at: int) -> Maker:
        """The maker of records of a pair."""
        return Maker(_instrument_of(pair), received_at, self._max_skew)


class Gateio:
    """The venue; see `ingest.feed.Venue` and `ingest.feed.AnsweringVenue`."""

    name = "gateio"
    markets = (MARKET,)
    heartbeats = ("reply", "spot.pong")
    default_channels = _CHANNELS
    limits = _LIMITS
    heartbeat = None  # the venue sends WebSocket pings

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(MARKET, f"{(base_url or _ADDRESS).rstrip('/')}/ws/v4/")

    def requests(self, subscriptions: Sequence[Subscription], request_id: int, at: int, *, subscribe: bool) -> list[str]:
        """See `ingest.feed.ListeningVenue.requests`; books and candles are asked for one by one."""
        pairs = by_channel(subscriptions, self.symbol_of)
        parts = [(channel, payload) for channel, names in pairs.items() for payload in _payloads(channel, names)]
        event = "subscribe" if subscribe else "unsubscribe"
        requests = (
            {"time": at // 1_000_000, "id": id_, "channel": channel, "event": event, "payload": payload}
            for id_, (channel, payload) in enumerate(parts, request_id)
        )
        return [msgspec.json.encode(request).decode() for request in requests]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`."""
        return code_of(instrument).replace("-", "_")

    def quota(self, _market: str) -> Quota:
        """See `ingest.feed.FetchingVenue.quota`."""
        return _QUOTA

    def book_request(self, instrument: str) -> Request:
        """See `ingest.feed.FetchingVenue.book_request`."""
        pair = self.symbol_of(instrument)
        return Request(MARKET, f"{REST}/spot/order_book?currency_pair={pair}&limit={_BOOK_LEVELS}&with_id=true", 1)

    def poll_request(self, subscription: Subscription) -> Request | None:
        """See `ingest.feed.PollableVenue.poll_request`."""
        return _gateio_rest.latest(self.symbol_of(subscription.instrument), subscription.channel)

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.feed.HistoricalVenue.history_request`."""
        return _gateio_rest.history(self.symbol_of(subscription.instrument), subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.feed.HistoricalVenue.history_page`."""
        return _gateio_rest.page(subscription.channel, place, end, parsed)

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: api.gateio.ws, but not the futures at fx-api.gateio.ws."""
        host = urlsplit(url).hostname or ""
        return MARKET if host.endswith(("gateio.ws", "gate.io")) and not host.startswith("fx-") else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; pairs say all by their form, so what is listed is only checked."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/spot/currency_pairs"):
            return {}
        found = {}
        for listing in decode(_LISTED, answer):
            try:
                found[listing.id] = _instrument_of(listing.id)
            except DataValidationError:
                continue  # a pair outside our alphabet: frames of it are refused by name
        return found

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.feed.DefiningVenue.definition_requests`."""
        return (Request(market, f"{REST}/spot/currency_pairs", 1),)

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.feed.DefiningVenue.definitions`; the answer of `currency_pairs`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/spot/currency_pairs"):
            return ()
        pairs = decode(_LIST, answer)
        return read_definitions(pairs, _PAIR, lambda pair: _define(pair, received_at))

    def answered(self, url: str, answer: bytes, received_at: int, _listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.feed.AnsweringVenue.answered`; the order book of `order_book`, and what `_gateio_rest` knows."""
        parts = urlsplit(url)
        if self.market_of(url) is None or "/spot/" not in parts.path:
            return None
        pair = _gateio_rest.pair_of(url)
        if pair is not None:
            return _gateio_rest.read(url, answer, Maker(_instrument_of(pair), received_at, max_clock_skew))
        if not parts.path.endswith("/spot/order_book"):
            return None
        pairs = parse_qs(parts.query).get("currency_pair", [])
        if len(pairs) != 1:
            raise DataValidationError("missing_field", "currency_pair: the request does not name it", field="currency_pair")
        book = decode(_SNAPSHOT, answer)
        bids, asks = levels_of(book.bids, "bids"), levels_of(book.asks, "asks")
        time = None if book.update is None else book.update * 1000
        maker = Maker(_instrument_of(pairs[0]), received_at, max_clock_skew)
        return Parsed(FETCHED_BOOK, (maker.depth(DepthKind.SNAPSHOT, bids, asks, time, last=book.id),))

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return GateioParser(max_clock_skew)


def _payloads(channel: str, pairs: Sequence[str]) -> Iterable[Sequence[str]]:
    if channel == _BOOKS:
        return [(pair, "100ms") for pair in pairs]
    if channel == CANDLES:
        return [("1m", pair) for pair in pairs]
    return in_parts(pairs, _PAIRS_PER_MESSAGE)


def _instrument_of(pair: str) -> str:
    base, _, quote = pair.partition("_")
    if not base or not quote or "_" in quote:
        raise DataValidationError("unknown_symbol", f"{pair!r:.80} is no pair such as BTC_USDT", field="symbol")
    return check_instrument(f"gateio:{base}-{quote}")


def _trade(message: _Message, parser: GateioParser, received_at: int) -> Record:
    trade = decode(_TRADE, message.result)
    return parser.maker(trade.currency_pair, received_at).trade(
        trade_id=str(trade.id),
        sequence=trade.id,
        price=trade.price,
        size=trade.amount,
        side=side_of(trade.side),
        exchange_time=micros_of_millis(trade.create_time_ms, "exchange_time"),
    )


def _book(message: _Message, parser: GateioParser, received_at: int) -> Record:
    book = decode(_BOOK, message.result)
    bids, asks = levels_of(book.b, "bids"), levels_of(book.a, "asks")
    return parser.maker(book.s, received_at).depth(DepthKind.DELTA, bids, asks, book.t * 1000, first=book.U, last=book.u)


def _ticker(message: _Message, parser: GateioParser, received_at: int) -> Record:
    ticker = decode(_TICKER, message.result)
    maker = parser.maker(ticker.currency_pair, received_at)
    return quote_of(ticker, message.channel or "", message.micros, maker)


def _candle(message: _Message, parser: GateioParser, received_at: int) -> Record:
    """`n` is interval and pair: 1m_NEO_BTC."""
    candle = decode(_CANDLE, message.result)
    interval, _, pair = candle.n.partition("_")
    if interval not in _INTERVALS:
        raise DataValidationError("wrong_interval", f"n: {candle.n!r:.40} names no interval that is known", field="n")
    given: dict[str, Any] = {"volume": figure_or_none(candle.a, "volume"), "amount": amount_of(candle.v, "amount")}
    return parser.maker(pair, received_at).kline(
        interval,
        micros_of_millis(f"{candle.t}000", "open_time"),
        {"open": candle.o, "high": candle.h, "low": candle.l, "close": candle.c},
        is_closed=candle.w,
        exchange_time=message.micros,
        **given,
    )


_READERS: Mapping[str, Reader] = {
    TRADES: _trade,
    _BOOKS: _book,
    TICKERS: _ticker,
    CANDLES: _candle,
}


def _define(pair: _Pair, received_at: int) -> InstrumentDefinition | None:
    try:
        instrument = _instrument_of(pair.id)
    except DataValidationError:
        return None  # a pair outside our alphabet: no topic has anything of it
    return define(
        instrument,
        pair.id,
        received_at,
        tick=step_of_places(pair.precision, "tick_size"),
        lot=step_of_places(pair.amount_precision, "lot_size"),
        min_notional=pair.min_quote_amount,
        status=pair.trade_status,
        is_trading=pair.trade_status == "tradable",
    )


VENUE = Gateio()
