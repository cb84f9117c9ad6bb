"""What Bitfinex's v2 frames say: arrays `[channel id, payload, …, sequence]`, and objects for everything else.

Channel ids belong to a connection, where the venue tells what they mean. With the flag SEQ_ALL the frames of a connection are
numbered one by one, whatever their channel (docs: "WS General", "Sequencing").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, NamedTuple

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Listings, Parsed, Subscription
from ingest.feeds._instruments import Instruments
from ingest.feeds._levels import levels_of
from ingest.feeds._numbers import exact_or_none, number, number_or_none
from ingest.feeds._records import Maker, figure_or_none, micros_of_millis, percent_of
from ingest.feeds._refusals import refused, streams_named
from market.book_rules import BookRules, by_previous_if_named
from market.depth import Depth, DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.trade import Trade
from schemas.records import Record

MARKET = "v2"
TRADES, BOOK, TICKER, STATUS = "trades", "book", "ticker", "status"
CHANNELS = (TRADES, BOOK, TICKER)
CANDLES = "candles."
"""Beginning of the channels of candles, which have the interval behind it: candles.1m."""
INTERVALS = {
    f"{CANDLES}{theirs}": ours
    for theirs, ours in {
        **{f"{minutes}m": f"{minutes}m" for minutes in (1, 5, 15, 30)},
        **{f"{hours}h": f"{hours}h" for hours in (1, 3, 6, 12)},
        "1D": "1d",
    }.items()
}
"""Of the channels of candles; those of weeks and months are not carried."""
_FUNDING_SECONDS = 28_800  # docs: "Derivatives Status"

THEIR_NAMES = {
    "USDT": "UST",
    "USDC": "UDC",
    "TUSD": "TSD",
    "EURT": "EUT",
    "DASH": "DSH",
    "IOTA": "IOT",
    "QTUM": "QTM",
    "ALGO": "ALG",
    "ATOM": "ATO",
    "MANA": "MNA",
}
"""What Bitfinex calls assets that others call by these names (`pub:map:currency:sym`)."""

PERPETUAL = "F0"
_OUR_NAMES = {theirs: ours for ours, theirs in THEIR_NAMES.items()}
_PLAIN_PAIR = 6
_BOOK_RULES = BookRules(by_previous_if_named)
_NOT_CARRIED = ("tu", "cs")
"""A `tu` tells the trade of a `te` once more; a checksum is sent to those who set the flag for it."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Parts = list[msgspec.Raw]


class _Event(msgspec.Struct, rename="camel"):
    event: str
    channel: str = ""
    symbol: str = ""
    key: str = ""
    chan_id: _Count | None = None
    version: int | None = None
    code: int | None = None
    msg: str = ""


_EVENT = msgspec.json.Decoder(_Event)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[list[msgspec.Raw]])
_COUNT = msgspec.json.Decoder(_Count)
_WORD = msgspec.json.Decoder(str)


class _Stream(NamedTuple):
    channel: str
    symbol: str


class BitfinexParser:
    """Reads the frames of one line; see `ingest.feed.BookParser` and `ingest.feed.UnsubscribingParser`."""

    contiguous: Collection[str] = ()  # trade ids are those of the whole venue

    def __init__(self, listings: Listings, max_clock_skew: int) -> None:
        self._max_skew = max_clock_skew
        self._instruments = Instruments(listings, MARKET, instrument_of)
        self._streams: dict[int, _Stream] = {}
        self._sequence: int | None = None
        self._missed = -1  # number of the last frame that did not come
        self._books: dict[int, int | None] = {}  # number of the last frame of a book, by channel id

    def book_rules(self, _channel: str) -> BookRules:
        """Snapshot and deltas come in the stream; a delta follows the last one unless a frame of the line was missed since."""
        return _BOOK_RULES

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        if not frame.lstrip().startswith(b"["):
            return self._told(decode(_EVENT, frame))
        parts = decode(_ARRAY, frame)
        if len(parts) < 2:
            raise DataValidationError("missing_field", "an array needs a channel id and a payload", field="channel")
        id_ = decode(_COUNT, parts[0])
        word = decode(_WORD, parts[1]) if bytes(parts[1]).startswith(b'"') else None
        rest = parts[2:] if word in ("hb", None) else parts[3:]
        sequence = self._count(decode(_COUNT, rest[0]) if rest else None)
        if word == "hb":
            return Parsed("hb", ())
        stream = self._streams.get(id_)
        if stream is None:
            raise DataValidationError("unknown_stream", f"channel id: nothing was told of {id_}", field="channel")
        if word in _NOT_CARRIED:
            return Parsed(f"{stream.channel}, {word}", ())
        try:
            maker = Maker(self._instruments.of(stream.symbol), received_at, self._max_skew)
            return Parsed(stream.channel, self._read(id_, stream, word, parts, sequence, maker))
        except DataValidationError:
            self._books[id_] = sequence  # which the book does not have
            raise

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            stream = self._streams.get(decode(_COUNT, decode(_ARRAY, frame)[0]))
        except (DataValidationError, IndexError):
            return UNKNOWN_CHANNEL
        return UNKNOWN_CHANNEL if stream is None else stream.channel

    def unsubscriptions(self, subscriptions: Iterable[Subscription]) -> list[str]:
        """See `ingest.feed.UnsubscribingParser.unsubscriptions`; streams go by the ids that the connection has for them."""
        gone = set(subscriptions)
        return [
            msgspec.json.encode({"event": "unsubscribe", "chanId": id_}).decode()
            for id_, (channel, symbol) in self._streams.items()
            if (self._instruments.of(symbol), channel) in gone
        ]

    def _told(self, event: _Event) -> Parsed:
        if event.event == "error":
            return self._refused(event)
        stream = _stream_of(event) if event.event == "subscribed" else None
        if stream is not None and event.chan_id is not None:
            self._instruments.of(stream.symbol)
            self._streams[event.chan_id] = stream
            self._books.pop(event.chan_id, None)
            return Parsed("reply", ())
        if event.event == "unsubscribed" and event.chan_id is not None:
            self._streams.pop(event.chan_id, None)
            return Parsed("reply", ())
        if event.event == "info":
            if event.version is not None:  # the first frame of a connection
                self._streams.clear()
                self._sequence = None
            return Parsed("info", ())
        if event.event == "conf":
            self._sequence = None
            return Parsed("reply", ())
        if event.event == "pong":
            return Parsed("reply", ())
        raise DataValidationError("unknown_stream", f"event: {event.event!r:.80} is not known", field="event")

    def _refused(self, event: _Event) -> Parsed:
        stream = _stream_of(event)
        named = () if stream is None else streams_named(stream.channel, self._instruments.of, stream.symbol)
        return refused((event.code, event.msg), named)

    def _count(self, sequence: int | None) -> int | None:
        if sequence is not None:
            if self._sequence is not None and sequence != self._sequence + 1:
                self._missed = sequence - 1
            self._sequence = sequence
        return sequence

    def _read(
        self, id_: int, stream: _Stream, word: str | None, parts: _Parts, sequence: int | None, maker: Maker
    ) -> Sequence[Record]:
        if word is not None:
            if stream.channel != TRADES or word != "te" or len(parts) < 3:
                raise DataValidationError("unknown_stream", f"{stream.channel}: {word!r:.40} is not known", field="channel")
            return [read_trade(decode(_ARRAY, parts[2]), maker)]
        if stream.channel == TRADES:
            rows = decode(_ROWS, parts[1])
            return [read_trade(row, maker) for row in reversed(rows)]
        if stream.channel == TICKER:
            return [read_ticker(decode(_ARRAY, parts[1]), sequence, maker)]
        if stream.channel == STATUS:
            return _read_status(decode(_ARRAY, parts[1]), maker)
        if stream.channel in INTERVALS:
            rows = decode(_ROWS, parts[1]) if _is_list_of_rows(parts[1]) else [decode(_ARRAY, parts[1])]
            return _read_candles(rows, INTERVALS[stream.channel], maker)
        return [self._book(id_, parts[1], sequence, maker)]

    def _book(self, id_: int, payload: msgspec.Raw, sequence: int | None, maker: Maker) -> Depth:
        """A snapshot is a list of levels, a delta one level."""
        is_snapshot = _is_list_of_rows(payload)
        rows = decode(_ROWS, payload) if is_snapshot else [decode(_ARRAY, payload)]
        sides: tuple[list[tuple[str, str]], list[tuple[str, str]]] = [], []
        for row in rows:
            is_ask, price, size = _level(row)
            sides[is_ask].append((price, size))
        bids, asks = levels_of(sides[0], "bids"), levels_of(sides[1], "asks")
        if is_snapshot:
            depth = maker.depth(DepthKind.SNAPSHOT, bids, asks, None, last=sequence)
        else:
            last = self._books.get(id_)
            previous = self._missed if last is not None and self._missed > last else last
            depth = maker.depth(DepthKind.DELTA, bids, asks, None, last=sequence, previous=previous)
        self._books[id_] = sequence
        return depth


def instrument_of(symbol: str) -> str:
    """Instrument of tBTCUSD, tAVAX:USD, or of the perpetual tBTCF0:USTF0. Raises DataValidationError."""
    pair = symbol.removeprefix("t")
    base, _, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:] if len(pair) == _PLAIN_PAIR else "")
    contract = ""
    if base.endswith(PERPETUAL) and quote.endswith(PERPETUAL):
        base, quote, contract = base.removesuffix(PERPETUAL), quote.removesuffix(PERPETUAL), "-PERP"
    if not symbol.startswith("t") or not base or not quote:
        raise DataValidationError("unknown_symbol", f"{symbol!r:.80} is no pair such as tBTCUSD", field="symbol")
    return check_instrument(f"bitfinex:{_OUR_NAMES.get(base, base)}-{_OUR_NAMES.get(quote, quote)}{contract}")


def _columns(row: _Parts, number_of_columns: int, field: str) -> _Parts:
    if len(row) < number_of_columns:
        raise DataValidationError("missing_field", f"{field}: {len(row)} of {number_of_columns} columns are there", field=field)
    return row


def read_trade(row: _Parts, maker: Maker) -> Trade:
    """Id, time, amount (that of a sale is below zero), price."""
    id_, time, amount, price = _columns(row, 4, "trade")[:4]
    trade_id, size = decode(_COUNT, id_), number(amount, "size")
    return maker.trade(
        trade_id=str(trade_id),
        sequence=trade_id,
        price=number(price, "price"),
        size=size.removeprefix("-"),
        side="sell" if size.startswith("-") else "buy",
        exchange_time=micros_of_millis(number(time, "exchange_time"), "exchange_time"),
    )


def read_ticker(row: _Parts, sequence: int | None, maker: Maker) -> Record:
    """Bid, its size, ask, its size, change, relative change, last, volume, high, low.

    The sizes are sums of the 25 best levels (docs: "WS Public Ticker"), so they are not those of the best ones.
    """
    bid, _, ask, _, change, relative, last, volume, high, low = _columns(row, 10, "ticker")[:10]
    return maker.quote(
        TICKER,
        None,
        sequence=sequence,
        bid=number_or_none(bid, "bid"),
        ask=number_or_none(ask, "ask"),
        last=number_or_none(last, "last"),
        high_24h=number_or_none(high, "high_24h"),
        low_24h=number_or_none(low, "low_24h"),
        volume_24h=exact_or_none(number_or_none(volume, "volume_24h"), "volume_24h"),
        change_24h=exact_or_none(number_or_none(change, "change_24h"), "change_24h"),
        change_percent_24h=percent_of(
            exact_or_none(number_or_none(relative, "change_percent_24h"), "change_percent_24h"), "change_percent_24h"
        ),
    )


def _stream_of(event: _Event) -> _Stream | None:
    """What a subscription is of; candles and states have a key: trade:1m:tBTCUSD, deriv:tBTCF0:USTF0."""
    if event.channel in CHANNELS:
        return _Stream(event.channel, event.symbol)
    kind, _, rest = event.key.partition(":")
    if (event.channel, kind) == (STATUS, "deriv"):
        return _Stream(STATUS, rest)
    interval, _, symbol = rest.partition(":")
    is_known = (event.channel, kind) == (CANDLES.rstrip("."), "trade") and f"{CANDLES}{interval}" in INTERVALS
    return _Stream(f"{CANDLES}{interval}", symbol) if is_known else None


def _is_list_of_rows(payload: msgspec.Raw) -> bool:
    return bytes(payload)[1:].lstrip()[:1] in (b"[", b"]")


def _read_candles(rows: Sequence[_Parts], interval: str, maker: Maker) -> Sequence[Record]:
    """Time, open, close, high, low, volume; newest first. Nothing says that one is closed, but that another one follows it."""
    told = [(decode(_COUNT, _columns(row, 6, "candle")[0]) * 1000, row) for row in rows]
    newest = max((at for at, _ in told), default=0)
    in_order = sorted(told, key=lambda one: one[0])
    return [_candle(row, at, interval, maker, is_closed=at < newest) for at, row in in_order]


def read_past_candle(row: _Parts, interval: str, maker: Maker) -> Record:
    """A candle of an answer, which is closed when its time is past."""
    at = decode(_COUNT, _columns(row, 6, "candle")[0]) * 1000
    return _candle(row, at, interval, maker, is_closed=maker.is_over(at, interval))


def _candle(row: _Parts, at: int, interval: str, maker: Maker, *, is_closed: bool) -> Record:
    _, open_, close, high, low, volume = row[:6]
    prices = {"open": open_, "high": high, "low": low, "close": close}
    texts = {name: number(raw, name) for name, raw in prices.items()}
    figure = figure_or_none(exact_or_none(number(volume, "volume"), "volume"), "volume")
    return maker.kline(interval, at, texts, is_closed=is_closed, exchange_time=None, volume=figure)


def _read_status(row: _Parts, maker: Maker) -> Sequence[Record]:
    """Of a perpetual, by the places of the row (docs: "Derivatives Status").

    0 time, 3 price of the spot, 7 time of the next funding, 8 what has accrued for it, 14 mark price, 17 open interest.
    """
    columns = _columns(row, 18, "status")
    time = decode(_COUNT, columns[0]) * 1000
    index = exact_or_none(number_or_none(columns[3], "index_price"), "index_price")
    mark = exact_or_none(number_or_none(columns[14], "mark_price"), "mark_price")
    records: list[Record] = [maker.quote(STATUS, time, mark_price=mark, index_price=index)]
    rate, held = number_or_none(columns[8], "rate"), number_or_none(columns[17], "open_interest")
    if rate is not None:
        paid_at = micros_of_millis(number_or_none(columns[7], "next_funding_time") or "0", "next_funding_time")
        marks = {"mark_price": mark, "index_price": index}
        records.append(
            maker.funding(STATUS, time, rate=rate, next_funding_time=paid_at, interval_seconds=_FUNDING_SECONDS, **marks)
        )
    if held is not None:
        records.append(maker.open_interest(STATUS, time, open_interest=held))
    return records


def _level(row: _Parts) -> tuple[bool, str, str]:
    """Whether it is an ask, price and size, of price, number of orders and amount: below zero that of an ask.

    Without orders the level is gone, and the amount shows its side alone (docs: "WS Public Books").
    """
    price, orders, amount = _columns(row, 3, "level")[:3]
    text = number(amount, "amount")
    size = text.removeprefix("-") if decode(_COUNT, orders) else "0"
    return text.startswith("-"), number(price, "price"), size
