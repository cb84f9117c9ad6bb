"""What the frames of Coinbase Advanced Trade say: a channel, a time, a number, and events of one product or several.

The frames of a connection are numbered one by one from zero on, whatever their channel (docs: "Advanced Trade WebSocket
Overview", "Sequence Numbers"). A number that was skipped shows in every book of the connection, and leaves trades in doubt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Listings, Parsed, Told
from ingest.feeds._instruments import Instruments, instrument_of_pair
from ingest.feeds._iso_times import micros_of_iso
from ingest.feeds._levels import Row, levels_of
from ingest.feeds._numbers import exact_or_none
from ingest.feeds._records import Maker, figure_or_none
from ingest.feeds._refusals import refused, streams_named
from ingest.refusals import Requested
from market.book_rules import BookRules, by_previous_if_named
from market.depth import Depth, DepthKind
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.trade import Trade
from schemas.records import Record

MARKET = "advanced"
TRADES, BOOK, TICKER, BATCHED_TICKER, CANDLES = "market_trades", "level2", "ticker", "ticker_batch", "candles"
HEARTBEATS = "heartbeats"
INTERVAL = "5m"
"""Of the candles that the stream tells (docs: "Candles Channel")."""

_CHANNELS = {TRADES: TRADES, "l2_data": BOOK, TICKER: TICKER, BATCHED_TICKER: BATCHED_TICKER, CANDLES: CANDLES}
"""What we call the channels that frames name; books are subscribed to under another name than they have in frames."""
_NOT_CARRIED = (HEARTBEATS, "status")
_REPLIES = "subscriptions"
_KINDS_OF_BOOK = {"snapshot": DepthKind.SNAPSHOT, "update": DepthKind.DELTA}
_SIDES_OF_BOOK = {"bid": "bids", "offer": "asks", "ask": "asks"}
_BOOK_RULES = BookRules(by_previous_if_named)
_LONGEST_ID = 18

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Envelope(msgspec.Struct):
    """Any frame; a refusal has a type and a message instead of a channel."""

    channel: str = ""
    type: str = ""
    message: str = ""
    timestamp: str = ""
    sequence_num: _Count | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")


class TradeRow(msgspec.Struct):
    """Of the stream and of REST. There is a `side`, of which the documentation does not say whose it is."""

    trade_id: str
    product_id: str
    price: str
    size: str
    time: str


class _Trades(msgspec.Struct):
    trades: list[TradeRow]


class _Level(msgspec.Struct):
    side: str
    price_level: str
    new_quantity: str


class _Book(msgspec.Struct):
    type: str
    product_id: str
    updates: list[_Level]


class _Ticker(msgspec.Struct):
    """Those that are told every five seconds have no best prices."""

    product_id: str
    price: str
    volume_24_h: str = ""
    low_24_h: str = ""
    high_24_h: str = ""
    price_percent_chg_24_h: str = ""
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class _Tickers(msgspec.Struct):
    tickers: list[_Ticker]


class CandleRow(msgspec.Struct):
    """Of the stream and of REST, where the request names the product; `start` is in seconds."""

    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    product_id: str = ""


class _Candles(msgspec.Struct):
    candles: list[CandleRow]


class _Confirmed(msgspec.Struct):
    """Products that are subscribed to, by their channel as it was asked for."""

    subscriptions: dict[str, list[str]] = {}


_CONFIRMED = msgspec.json.Decoder(list[_Confirmed])
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_TRADES = msgspec.json.Decoder(list[_Trades])
_BOOKS = msgspec.json.Decoder(list[_Book])
_TICKERS = msgspec.json.Decoder(list[_Tickers])
_CANDLES = msgspec.json.Decoder(list[_Candles])


class CoinbaseAdvancedParser:
    """Reads the frames of one line; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`."""

    contiguous: Collection[str] = ()  # nothing says that trade ids have no holes

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, MARKET, instrument_of)
        self._sequence: int | None = None
        self._missed = -1  # number of the last frame that did not come
        self._is_told = True  # whether trades were told to be in doubt since
        self._traded: set[str] = set()
        self._books: dict[str, int | None] = {}  # number of the last frame of a book, by product

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshot and deltas come in the stream; a delta follows the last one unless a frame of the line was missed since."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        envelope = decode(_ENVELOPE, frame)
        if envelope.type == "error":
            return refused((envelope.message,), self.requested.oldest())
        if not envelope.channel:
            raise DataValidationError("missing_field", "channel: the frame does not have it", field="channel")
        self._count(envelope.sequence_num)
        channel = _CHANNELS.get(envelope.channel)
        if channel is not None:
            records = self._read(channel, envelope, received_at)
            return Parsed(channel, records, self._doubts())
        if envelope.channel in _NOT_CARRIED:
            return Parsed(envelope.channel, (), self._doubts())
        if envelope.channel == _REPLIES:
            self._confirm(decode(_CONFIRMED, envelope.events))
            return Parsed("reply", (), self._doubts())
        raise DataValidationError("unknown_stream", f"channel: {envelope.channel!r:.80} is not known", field="channel")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            channel = decode(_ENVELOPE, frame).channel
        except DataValidationError:
            return UNKNOWN_CHANNEL
        return _CHANNELS.get(channel, channel if channel in _NOT_CARRIED else UNKNOWN_CHANNEL)

    def _confirm(self, events: list[_Confirmed]) -> None:
        for event in events:
            for channel, products in event.subscriptions.items():
                self.requested.confirmed(streams_named(channel, self._instruments.of, *products))

    def _count(self, sequence: int | None) -> None:
        if sequence is None:
            return
        if self._sequence is not None and sequence < self._sequence:  # another connection
            self._books.clear()
            self._missed, self._is_told = -1, True
        elif self._sequence is not None and sequence > self._sequence + 1:
            self._missed, self._is_told = sequence - 1, False
        self._sequence = sequence

    def _doubts(self) -> Sequence[Told]:
        """Trades may have been in a frame that did not come."""
        if self._is_told:
            return ()
        self._is_told = True
        reason = f"the frame {self._missed} of the connection did not come"
        return [Told(instrument, FeedState.GAP, reason) for instrument in sorted(self._traded)]

    def _read(self, channel: str, envelope: _Envelope, received_at: int) -> Sequence[Record]:
        time = micros_of_iso(envelope.timestamp, "exchange_time") if envelope.timestamp else None
        if channel == BOOK:
            books = decode(_BOOKS, envelope.events)
            return self._books_of(books, envelope.sequence_num, time, received_at)
        if channel == TRADES:
            rows = [row for event in decode(_TRADES, envelope.events) for row in event.trades]
            trades = in_order(trade_of(row, self._maker(row.product_id, received_at)) for row in rows)
            self._traded.update(trade.instrument for trade in trades)
            return trades
        if channel == CANDLES:
            told = [row for event in decode(_CANDLES, envelope.events) for row in event.candles]
            return list(self._candles_of(told, time, received_at))
        tickers = (row for event in decode(_TICKERS, envelope.events) for row in event.tickers)
        number = envelope.sequence_num
        return [_quote(row, channel, time, number, self._maker(row.product_id, received_at)) for row in tickers]

    def _maker(self, product: str, received_at: int) -> Maker:
        return Maker(self._instruments.of(product), received_at, self._max_skew)

    def _books_of(self, books: list[_Book], number: int | None, time: int | None, received_at: int) -> list[Depth]:
        try:
            return [self._book(book, number, time, self._maker(book.product_id, received_at)) for book in books]
        except DataValidationError:
            self._books.update(dict.fromkeys((book.product_id for book in books), number))  # which the books do not have
            raise

    def _book(self, book: _Book, number: int | None, time: int | None, maker: Maker) -> Depth:
        kind = _KINDS_OF_BOOK.get(book.type)
        if kind is None:
            raise DataValidationError("unknown_action", f"type: {book.type!r:.40} is no snapshot and no update", field="type")
        sides: Mapping[str, list[Row]] = {"bids": [], "asks": []}
        for level in book.updates:
            side = _SIDES_OF_BOOK.get(level.side)
            if side is None:
                raise DataValidationError("unknown_side", f"side: {level.side!r:.40} is no side", field="side")
            sides[side].append((level.price_level, level.new_quantity))
        last = self._books.get(book.product_id)
        previous = self._missed if last is not None and self._missed > last else last
        bids, asks = levels_of(sides["bids"], "bids"), levels_of(sides["asks"], "asks")
        depth = maker.depth(kind, bids, asks, time, last=number, previous=previous if kind is DepthKind.DELTA else None)
        self._books[book.product_id] = number
        return depth

    def _candles_of(self, rows: Sequence[CandleRow], time: int | None, received_at: int) -> Iterator[Record]:
        """Oldest first. Nothing says that a candle is closed, but that another one follows it."""
        newest: dict[str, int] = {}
        for row in rows:
            newest[row.product_id] = max(seconds_of(row), newest.get(row.product_id, 0))
        for row in sorted(rows, key=seconds_of):
            is_closed = seconds_of(row) < newest[row.product_id]
            yield kline_of(row, time, self._maker(row.product_id, received_at), is_closed=is_closed)


def instrument_of(product: str) -> str:
    """Instrument of a pair such as BTC-USD. Raises DataValidationError."""
    return instrument_of_pair("coinbase_advanced", product)


def trade_of(row: TradeRow, maker: Maker) -> Trade:
    """A trade, of the side that bought or sold nothing is said."""
    if not (row.trade_id.isascii() and row.trade_id.isdecimal() and len(row.trade_id) <= _LONGEST_ID):
        raise DataValidationError("wrong_type", f"trade_id: {row.trade_id!r:.40} is no whole number", field="trade_id")
    return maker.trade(
        trade_id=row.trade_id,
        sequence=int(row.trade_id),
        price=row.price,
        size=row.size,
        side=None,
        exchange_time=micros_of_iso(row.time, "exchange_time"),
    )


def in_order(trades: Iterable[Trade]) -> list[Trade]:
    """Oldest first, whatever the order in which they were told."""
    return sorted(trades, key=lambda trade: (trade.event_time, trade.sequence))


def kline_of(row: CandleRow, time: int | None, maker: Maker, *, is_closed: bool) -> Record:
    """A candle of five minutes."""
    prices = {"open": row.open, "high": row.high, "low": row.low, "close": row.close}
    volume = figure_or_none(row.volume, "volume")
    opened = seconds_of(row) * 1_000_000
    return maker.kline(INTERVAL, opened, prices, is_closed=is_closed, exchange_time=time, volume=volume)


def seconds_of(row: CandleRow) -> int:
    """When a candle began. Raises DataValidationError (`bad_time`)."""
    if not (row.start.isascii() and row.start.isdecimal() and len(row.start) <= 12):
        raise DataValidationError("bad_time", f"start: {row.start!r:.40} is no time in seconds", field="open_time")
    return int(row.start)


def _quote(row: _Ticker, channel: str, time: int | None, number: int | None, maker: Maker) -> Record:
    return maker.quote(
        channel,
        time,
        sequence=number,
        bid=row.best_bid,
        bid_size=row.best_bid_quantity,
        ask=row.best_ask,
        ask_size=row.best_ask_quantity,
        last=row.price,
        high_24h=row.high_24_h,
        low_24h=row.low_24_h,
        volume_24h=exact_or_none(row.volume_24_h or None, "volume_24h"),
        change_percent_24h=exact_or_none(row.price_percent_chg_24_h or None, "change_percent_24h"),
    )
