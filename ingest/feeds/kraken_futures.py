"""Kraken Futures (Derivatives), WebSocket API v1: perpetuals and dated contracts.

Of one pair there are inverse contracts, `kraken_futures:BTC-USD-PERP` (PI_XBTUSD) and `kraken_futures:BTC-USD-260925`
(FI_XBTUSD_260925), and linear ones with any collateral, `kraken_futures:BTC-USD-FLEX-PERP` (PF_XBTUSD) and
`kraken_futures:BTC-USD-FLEX-260925` (FF_XBTUSD_260925). Sizes are the venue's: of inverse ones contracts of one dollar. What
Kraken calls XBT and XDG is BTC and DOGE.

`side` is the taker's (docs: "Websockets API v1", "Trade"); `seq` numbers the trades of a contract without holes, and the
messages about its book. After subscribing the latest trades are told, newest first; trades of blocks and liquidations are
among them. By REST they are told under the same `uid`, but without that number (`_kraken_futures_rest`). `ticker_lite` has no
time, and a change with more digits than a record holds, which is left out. `ticker` tells the mark price, the index, open
interest and the funding of perpetuals besides; it is read as documented, none was recorded (docs: "Ticker"). Of funding it
tells an absolute rate, in money for a contract and hour, and the same relative to the price of the spot, which is the one
carried: what is paid for the hour that ends at `next_funding_rate_time`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Limits, Listings, Parsed, Parser, Route, StreamRequest, Subscription
from ingest.feeds import _kraken_futures_lists, _kraken_futures_rest
from ingest.feeds._instruments import Instruments, by_symbol
from ingest.feeds._kraken_frames import OUR_NAMES, THEIR_NAMES
from ingest.feeds._kraken_futures_rest import REST, TRADES
from ingest.feeds._levels import levels_of
from ingest.feeds._numbers import ABSENT, exact_or_none, number, number_or_none
from ingest.feeds._records import Maker
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._sides import side_of
from ingest.feeds._subscriptions import Offer, by_channel_in_parts, stream_request, symbols_of
from ingest.quota import Quota
from ingest.refusals import Requested
from ingest.rest_venue import Defined, Page, Place, Request
from ingest.symbols import split_symbol
from market.book_rules import BookRules, by_one
from market.depth import DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from schemas.records import Record

_MARKET = "derivatives"
_ADDRESS = "wss://futures.kraken.com/ws/v1"
# How much a connection takes is told for private feeds alone; 100 requests a second (docs: "Websockets", "Limits").
_LIMITS = Limits(streams=200, message_seconds=0.1)
_PRODUCTS_PER_MESSAGE = 100
# Public requests cost nothing of what a client may spend (docs: "Derivatives Rate Limits"); no number of them is told.
_QUOTA = Quota(5, 1.0)
_BOOK, _TICKER, _WHOLE_TICKER = "book", "ticker_lite", "ticker"
_CHANNELS = (TRADES, _BOOK, _TICKER)
_FUNDING_SECONDS = 3_600
_NOT_CARRIED = ("heartbeat",)
_QUOTES = ("USD", "EUR", "GBP", "USDT", "USDC")
_PRODUCT = re.compile(r"(PI|PF|FI|FF)_([A-Z0-9]+)(?:_(\d{6}))?", re.ASCII)
_KINDS = {("", False): "FI", ("", True): "PI", ("FLEX", False): "FF", ("FLEX", True): "PF"}
_PERPETUAL, _FLEXIBLE = "PERP", "FLEX"
_BOOK_RULES = BookRules(by_one)
_OFFER = Offer(
    "kraken_futures",
    re.compile(r"[A-Z0-9]+-(USD|EUR|GBP|USDT|USDC)(-FLEX)?-(PERP|\d{6})", re.ASCII),
    "kraken_futures:BTC-USD-PERP, kraken_futures:BTC-USD-FLEX-PERP or kraken_futures:BTC-USD-260925",
    (*_CHANNELS, _WHOLE_TICKER),
    lambda channel: channel in (*_CHANNELS, _WHOLE_TICKER),
)

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Head(msgspec.Struct):
    """What tells any frame: of a feed and a product, or an answer to a request of ours (`event`)."""

    event: str | None = None
    feed: str = ""
    product_id: str = ""
    product_ids: list[str] = []
    message: str = ""


class _Trade(msgspec.Struct):
    uid: str
    side: str
    seq: _Count
    time: _Count
    product_id: str = ""
    qty: msgspec.Raw = ABSENT
    price: msgspec.Raw = ABSENT


class _Trades(msgspec.Struct):
    trades: list[_Trade]


class _Level(msgspec.Struct):
    price: msgspec.Raw = ABSENT
    qty: msgspec.Raw = ABSENT


class _Book(msgspec.Struct):
    timestamp: _Count
    seq: _Count
    bids: list[_Level]
    asks: list[_Level]


class _Change(msgspec.Struct):
    timestamp: _Count
    seq: _Count
    side: str
    price: msgspec.Raw = ABSENT
    qty: msgspec.Raw = ABSENT


class _Ticker(msgspec.Struct):
    bid: msgspec.Raw = ABSENT
    ask: msgspec.Raw = ABSENT
    volume: msgspec.Raw = ABSENT


class _WholeTicker(_Ticker, rename="camel"):
    time: _Count | None = None
    bid_size: msgspec.Raw = msgspec.field(default=ABSENT, name="bid_size")
    ask_size: msgspec.Raw = msgspec.field(default=ABSENT, name="ask_size")
    last: msgspec.Raw = ABSENT
    mark_price: msgspec.Raw = ABSENT
    index: msgspec.Raw = ABSENT
    open_interest: msgspec.Raw = ABSENT
    relative_funding_rate: msgspec.Raw = msgspec.field(default=ABSENT, name="relative_funding_rate")
    next_funding_rate_time: _Count | None = msgspec.field(default=None, name="next_funding_rate_time")


class _Listing(msgspec.Struct):
    symbol: str


class _Listed(msgspec.Struct):
    instruments: list[_Listing]


_HEAD = msgspec.json.Decoder(_Head)
_TRADE = msgspec.json.Decoder(_Trade)
_SNAPSHOT_OF_TRADES = msgspec.json.Decoder(_Trades)
_SNAPSHOT = msgspec.json.Decoder(_Book)
_CHANGE = msgspec.json.Decoder(_Change)
_TICKERS = msgspec.json.Decoder(_Ticker)
_WHOLE_TICKERS = msgspec.json.Decoder(_WholeTicker)
_LISTED = msgspec.json.Decoder(_Listed)

Reader = Callable[[bytes, _Head, Maker], Sequence[Record]]


class KrakenFuturesParser:
    """Reads the frames of one connection.

    See `ingest.feed.BookParser`, `ingest.feed.SequencedParser` and `ingest.refusals.RequestedParser`.
    """

    contiguous: Collection[str] = ()
    sequenced: Collection[str] = (TRADES,)
    is_retold_by_sequence = False

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, _MARKET, _instrument_of)

    def book_rules(self, _channel: str) -> BookRules:
        """A snapshot comes in the stream, with the number of the last change in it; changes are numbered one by one."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        head = decode(_HEAD, frame)
        if head.event is not None:
            return self._answer(head)
        known = _READERS.get(head.feed)
        if known is not None:
            channel, reader = known
            maker = Maker(self._instruments.of(head.product_id), received_at, self._max_skew)
            return Parsed(channel, reader(frame, head, maker))
        if head.feed in _NOT_CARRIED:
            return Parsed(head.feed, ())
        if not head.feed:
            raise DataValidationError("missing_field", "feed: the frame does not have it", field="feed")
        raise DataValidationError("unknown_stream", f"feed: {head.feed!r:.80} is not known", field="feed")

    def _answer(self, head: _Head) -> Parsed:
        """Refusals are read as documented ("Websockets API v1", "Subscription", error response); none was recorded."""
        named = streams_named(head.feed, self._instruments.of, *head.product_ids)
        if head.event in ("error", "alert", "subscribed_failed"):
            return refused((head.message,), named or self.requested.oldest())
        if head.event == "unsubscribed_failed":
            return refused((head.message,))
        if head.event in ("subscribed", "unsubscribed", "pong"):
            if head.event == "subscribed":
                self.requested.confirmed(named)
            return Parsed("reply", ())
        if head.event == "info":
            return Parsed("info", ())
        raise DataValidationError("unknown_stream", f"event: {head.event!r:.80} is not known", field="event")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            feed = decode(_HEAD, frame).feed
        except DataValidationError:
            return UNKNOWN_CHANNEL
        if feed in _READERS:
            return _READERS[feed][0]
        return feed if feed in _NOT_CARRIED else UNKNOWN_CHANNEL


class KrakenFutures:
    """The venue; see `ingest.feed.Venue`."""

    name = "kraken_futures"
    markets = (_MARKET,)
    heartbeats = ("reply", "info", "heartbeat")
    default_channels = _CHANNELS
    channels = _OFFER.channels
    archives = tuple(_kraken_futures_rest.CANDLES)
    limits = _LIMITS
    heartbeat = None  # a WebSocket ping every minute is enough (docs: "Websockets", "Pings")

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        _OFFER.check(subscriptions)

    def route(self, _subscription: Subscription, base_url: str | None) -> Route:
        """See `ingest.feed.ListeningVenue.route`."""
        return Route(_MARKET, base_url or _ADDRESS)

    def requests(
        self, subscriptions: Sequence[Subscription], _request_id: int, _at: int, *, subscribe: bool
    ) -> list[StreamRequest]:
        """See `ingest.feed.ListeningVenue.requests`; a request is of one feed and has no id."""
        event = "subscribe" if subscribe else "unsubscribe"
        return [
            stream_request({"event": event, "feed": channel, "product_ids": symbols_of(part, self.symbol_of)}, part)
            for channel, part in by_channel_in_parts(subscriptions, _PRODUCTS_PER_MESSAGE)
        ]

    def symbol_of(self, instrument: str) -> str:
        """See `ingest.feed.ListeningVenue.symbol_of`: PI_XBTUSD, FI_XBTUSD_260925, PF_XBTUSD, FF_XBTUSD_260925."""
        base, quote, *flexible, contract = code_of(instrument).split("-")
        is_perpetual = contract == _PERPETUAL
        kind = _KINDS["".join(flexible), is_perpetual]
        return f"{kind}_{THEIR_NAMES.get(base, base)}{quote}{'' if is_perpetual else f'_{contract}'}"

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: futures.kraken.com alone."""
        return _MARKET if urlsplit(url).hostname == "futures.kraken.com" else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`; the answer of `instruments`, which has indices beside the contracts."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/instruments"):
            return {}
        return by_symbol((listing.symbol.upper() for listing in decode(_LISTED, answer).instruments), _instrument_of)

    def definition_requests(self, market: str) -> Sequence[Request]:
        """See `ingest.rest_venue.DefiningVenue.definition_requests`."""
        return [Request(market, f"{REST}/instruments", 1)]

    def definitions(self, url: str, answer: bytes, received_at: int) -> Iterable[Defined]:
        """See `ingest.rest_venue.DefiningVenue.definitions`; the answer of `instruments`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/instruments"):
            return ()
        return _kraken_futures_lists.definitions(answer, received_at, _instrument_of)

    def quota(self, _market: str) -> Quota:
        """See `ingest.rest_venue.AskedVenue.quota`."""
        return _QUOTA

    def answered(self, url: str, answer: bytes, received_at: int, listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`; what `_kraken_futures_rest` knows."""
        product = None if self.market_of(url) is None else _kraken_futures_rest.product_of(url)
        if product is None:
            return None
        instrument = Instruments(listings, _MARKET, _instrument_of).of(product)
        return _kraken_futures_rest.read(url, answer, Maker(instrument, received_at, max_clock_skew))

    def history_request(self, subscription: Subscription, place: Place, end: int) -> Request | None:
        """See `ingest.rest_venue.HistoricalVenue.history_request`: trades of seven days at most, and candles."""
        product = self.symbol_of(subscription.instrument)
        return _kraken_futures_rest.history(_MARKET, product, subscription.channel, place, end)

    def history_page(self, subscription: Subscription, place: Place, end: int, parsed: Parsed) -> Page:
        """See `ingest.rest_venue.HistoricalVenue.history_page`."""
        return _kraken_futures_rest.page(subscription.channel, place, end, parsed)

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return KrakenFuturesParser(listings, max_clock_skew)


def _instrument_of(product: str) -> str:
    match = _PRODUCT.fullmatch(product)
    is_perpetual = match is not None and match[1].startswith("P")
    if match is None or is_perpetual == (match[3] is not None):
        raise DataValidationError("unknown_symbol", f"{product!r:.80} is no contract such as PI_XBTUSD", field="product_id")
    base, quote = split_symbol(match[2], _QUOTES)
    flexible = f"-{_FLEXIBLE}" if match[1].endswith("F") else ""
    return check_instrument(f"kraken_futures:{OUR_NAMES.get(base, base)}-{quote}{flexible}-{match[3] or _PERPETUAL}")


def _trade(frame: bytes, _head: _Head, maker: Maker) -> Sequence[Record]:
    return [_trade_of(decode(_TRADE, frame), maker)]


def _trades(frame: bytes, head: _Head, maker: Maker) -> Sequence[Record]:
    trades = decode(_SNAPSHOT_OF_TRADES, frame).trades
    for trade in trades:
        if trade.product_id != head.product_id:
            raise DataValidationError(
                "symbol_mismatch", f"product_id: {trade.product_id!r:.40} in those of {head.product_id:.40}", field="product_id"
            )
    return [_trade_of(trade, maker) for trade in reversed(trades)]


def _trade_of(trade: _Trade, maker: Maker) -> Record:
    return maker.trade(
        trade_id=trade.uid,
        sequence=trade.seq,
        price=number(trade.price, "price"),
        size=number(trade.qty, "size"),
        side=side_of(trade.side),
        exchange_time=trade.time * 1000,
    )


def _rows(levels: Iterable[_Level | _Change]) -> list[tuple[str, str]]:
    return [(number(level.price, "price"), number(level.qty, "qty")) for level in levels]


def _snapshot(frame: bytes, _head: _Head, maker: Maker) -> Sequence[Record]:
    book = decode(_SNAPSHOT, frame)
    bids, asks = levels_of(_rows(book.bids), "bids"), levels_of(_rows(book.asks), "asks")
    return [maker.depth(DepthKind.SNAPSHOT, bids, asks, book.timestamp * 1000, last=book.seq)]


def _change(frame: bytes, _head: _Head, maker: Maker) -> Sequence[Record]:
    change = decode(_CHANGE, frame)
    is_bid = side_of(change.side) == "buy"
    levels = levels_of(_rows([change]), "bids" if is_bid else "asks")
    bids, asks = (levels, ()) if is_bid else ((), levels)
    return [maker.depth(DepthKind.DELTA, bids, asks, change.timestamp * 1000, last=change.seq)]


def _ticker(frame: bytes, _head: _Head, maker: Maker) -> Sequence[Record]:
    ticker = decode(_TICKERS, frame)
    bid, ask, volume = (
        number_or_none(raw, field) for raw, field in ((ticker.bid, "bid"), (ticker.ask, "ask"), (ticker.volume, "volume_24h"))
    )
    return [maker.quote(_TICKER, None, bid=bid, ask=ask, volume_24h=exact_or_none(volume, "volume_24h"))]


def _whole_ticker(frame: bytes, _head: _Head, maker: Maker) -> Sequence[Record]:
    ticker = decode(_WHOLE_TICKERS, frame)
    time = None if ticker.time is None else ticker.time * 1000
    records: list[Record] = [
        maker.quote(
            _WHOLE_TICKER,
            time,
            bid=number_or_none(ticker.bid, "bid"),
            bid_size=number_or_none(ticker.bid_size, "bid_size"),
            ask=number_or_none(ticker.ask, "ask"),
            ask_size=number_or_none(ticker.ask_size, "ask_size"),
            last=number_or_none(ticker.last, "last"),
            volume_24h=exact_or_none(number_or_none(ticker.volume, "volume_24h"), "volume_24h"),
            mark_price=exact_or_none(number_or_none(ticker.mark_price, "mark_price"), "mark_price"),
            index_price=exact_or_none(number_or_none(ticker.index, "index_price"), "index_price"),
        )
    ]
    held = exact_or_none(number_or_none(ticker.open_interest, "open_interest"), "open_interest")
    if held is not None:
        records.append(maker.open_interest(_WHOLE_TICKER, time, open_interest=held))
    rate = number_or_none(ticker.relative_funding_rate, "rate")
    if rate is not None and maker.instrument.endswith(_PERPETUAL):
        marks = {"mark_price": ticker.mark_price, "index_price": ticker.index}
        told = {name: exact_or_none(number_or_none(raw, name), name) for name, raw in marks.items()}
        paid_at = (ticker.next_funding_rate_time or 0) * 1000
        records.append(
            maker.funding(_WHOLE_TICKER, time, rate=rate, next_funding_time=paid_at, interval_seconds=_FUNDING_SECONDS, **told)
        )
    return records


_READERS: Mapping[str, tuple[str, Reader]] = {
    "trade": (TRADES, _trade),
    "trade_snapshot": (TRADES, _trades),
    "book": (_BOOK, _change),
    "book_snapshot": (_BOOK, _snapshot),
    "ticker_lite": (_TICKER, _ticker),
    "ticker": (_WHOLE_TICKER, _whole_ticker),
}

VENUE = KrakenFutures()
