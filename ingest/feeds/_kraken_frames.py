"""What Kraken's v1 frames say: arrays `[channel id, payload, …, channel name, pair]`, and objects for everything else.

Klines (`ohlc-5`) are read as documented ("Candles (OHLC)"): of the stream none was recorded. A kline is told with each trade,
and after subscribing the last one there was, however old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any
from zlib import crc32

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Parsed
from ingest.feeds._levels import levels_of
from ingest.feeds._nameless import NamelessTrades
from ingest.feeds._records import Maker
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._sides import side_of
from market.book_rules import BookRules
from market.decimals import parse_decimal
from market.depth import DepthKind, Level
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.trade import Side
from schemas.records import Record

SIDES: Mapping[str, Side] = {"b": "buy", "s": "sell"}
CHECKED_LEVELS = 10

THEIR_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
"""What Kraken calls assets that others call by these names."""

OUR_NAMES = {theirs: ours for ours, theirs in THEIR_NAMES.items()}

KLINES = "ohlc-"
"""Beginning of the channels of klines, which have the minutes behind it: ohlc-5."""
INTERVALS = {1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d"}
"""By their minutes; those of a week and of 15 days are not carried."""

_NOT_CARRIED = ("spread", "ohlc")
_MINUTE = 60_000_000
_FRACTION_DIGITS = 6
_LONGEST_TIME = 24


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Subscription(msgspec.Struct):
    name: str = ""
    depth: int | None = None
    interval: int | None = None

    @property
    def channel(self) -> str:
        """As frames of it call it: book-10, ohlc-5, trade."""
        given = [number for number in (self.depth, self.interval) if number is not None]
        return "-".join((self.name, *map(str, given)))


class _Event(msgspec.Struct):
    """A frame that is no array."""

    event: str
    status: str | None = None
    pair: str = ""
    subscription: _Subscription = msgspec.field(default_factory=_Subscription)
    error_message: str | None = msgspec.field(name="errorMessage", default=None)


class TickerFigures(msgspec.Struct):
    """Ask, bid and last as price, (whole lots,) size; the others as today's and the last 24 hours' figure."""

    a: tuple[str, int | str, str]
    b: tuple[str, int | str, str]
    c: tuple[str, str]
    v: tuple[str, str]
    l: tuple[str, str]  # noqa: E741  # the venue's name
    h: tuple[str, str]


class _Ticker(TickerFigures):
    """Of the stream, where the opening price is told of both as well."""

    o: tuple[str, str]


class _Book(msgspec.Struct):
    """A snapshot has `as` and `bs`, a delta `a` or `b`; one message may bring two deltas, the checksum in the last of them."""

    a: list[list[str]] = []
    b: list[list[str]] = []
    asks: list[list[str]] | None = msgspec.field(name="as", default=None)
    bids: list[list[str]] | None = msgspec.field(name="bs", default=None)
    c: str | None = None


_EVENT = msgspec.json.Decoder(_Event)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_TRADES = msgspec.json.Decoder(list[tuple[str, str, str, str, str, str]])
_TICKER = msgspec.json.Decoder(_Ticker)
_BOOK = msgspec.json.Decoder(_Book)
_KLINE = msgspec.json.Decoder(tuple[str, str, str, str, str, str, str, str, _Count])

Reader = Callable[[Sequence[msgspec.Raw], str, Maker], Sequence[Record]]


class KrakenParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser`."""

    contiguous: Collection[str] = ()

    def __init__(self, max_clock_skew: int) -> None:
        self._max_skew = max_clock_skew
        self._trades = NamelessTrades()
        self._instruments: dict[str, str] = {}
        self._readers: dict[str, Reader] = {"trade": self._read_trades, "ticker": _ticker, "book": _books}
        self._readers |= {f"{KLINES}{minutes}": _klines for minutes in INTERVALS}

    def book_rules(self, channel: str) -> BookRules:
        """Snapshot and deltas come in the stream, with the checksum of the ten best levels of each side.

        A book has as many levels as were subscribed to; the listener removes what falls beyond (docs: "Book", "How to maintain
        a valid order book").
        """
        depth = channel.partition("-")[2]
        most = int(depth) if depth.isascii() and depth.isdecimal() else None
        return BookRules(checksum=checksum, checked_levels=CHECKED_LEVELS, max_levels=most)

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        if not frame.lstrip().startswith(b"["):
            return self._told(decode(_EVENT, frame))
        payloads, channel, pair = _taken_apart(frame)
        kind = channel.partition("-")[0]
        reader = self._readers.get(kind) or self._readers.get(channel)
        if reader is not None:
            return Parsed(channel, reader(payloads, channel, Maker(self._instrument(pair), received_at, self._max_skew)))
        if kind in _NOT_CARRIED:
            return Parsed(channel, ())
        raise DataValidationError("unknown_stream", f"channel: {channel!r:.80} is not known", field="channel")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            channel = _taken_apart(frame)[1]
        except DataValidationError:
            return UNKNOWN_CHANNEL
        kind = channel.partition("-")[0]
        is_known = kind in self._readers or kind in _NOT_CARRIED
        return channel if is_known else UNKNOWN_CHANNEL

    def _told(self, event: _Event) -> Parsed:
        if event.status == "error":
            channel = event.subscription.channel
            is_known = channel.partition("-")[0] in self._readers or channel in self._readers
            named = streams_named(channel, self._instrument, event.pair) if is_known else ()
            return refused((event.error_message,), named)
        if event.event in ("heartbeat", "systemStatus"):
            return Parsed(event.event, ())
        if event.event in ("subscriptionStatus", "pong"):
            return Parsed("reply", ())
        raise DataValidationError("unknown_stream", f"event: {event.event!r:.80} is not known", field="event")

    def _instrument(self, pair: str) -> str:
        known = self._instruments.get(pair)
        if known is None:
            known = self._instruments[pair] = instrument_of(pair)
        return known

    def _read_trades(self, payloads: Sequence[msgspec.Raw], _channel: str, maker: Maker) -> Sequence[Record]:
        return [self._read_trade(row, maker) for payload in payloads for row in decode(_TRADES, payload)]

    def _read_trade(self, row: tuple[str, ...], maker: Maker) -> Record:
        price, size, time, side, kind, _ = row
        micros = micros_of(time, "exchange_time")
        trade_id, sequence = self._trades.name(maker.instrument, micros, figures_of(price, size, side, kind))
        return maker.trade(
            trade_id=trade_id, sequence=sequence, price=price, size=size, side=side_of(side, SIDES), exchange_time=micros
        )


def figures_of(price: str, size: str, side: str, kind: str) -> str:
    """What tells a trade from others of its time; the same of a stream and by REST."""
    return f"{price}:{size}:{side}{kind}"


def instrument_of(pair: str) -> str:
    """Instrument of a pair as streams name it: XBT/USD is kraken:BTC-USD. Raises DataValidationError."""
    base, _, quote = pair.partition("/")
    if not base or not quote:
        raise DataValidationError("unknown_symbol", f"{pair!r:.80} is no pair such as XBT/USD", field="symbol")
    return check_instrument(f"kraken:{OUR_NAMES.get(base, base)}-{OUR_NAMES.get(quote, quote)}")


def micros_of(seconds: str, field: str) -> int:
    """Microseconds of seconds in decimal text (1618678142.557535), further digits cut off."""
    whole, _, fraction = seconds.partition(".")
    if not (f"{whole}{fraction}".isdecimal() and seconds.isascii() and whole and len(seconds) <= _LONGEST_TIME):
        raise DataValidationError("bad_time", f"{field}: {seconds!r:.40} is no time in seconds", field=field)
    return int(whole) * 1_000_000 + int(fraction[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0"))


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 of the best ten asks, then the best ten bids: price and size without the point and without leading zeros."""
    return crc32("".join(level.text or "" for level in (*asks, *bids)).encode())


def _text_of(price: str, size: str) -> str:
    return price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")


def _taken_apart(frame: bytes) -> tuple[Sequence[msgspec.Raw], str, str]:
    """Payloads, channel name and pair of an array."""
    parts = decode(_ARRAY, frame)
    if len(parts) < 4:
        raise DataValidationError("missing_field", "an array needs channel id, payload, name and pair", field="channel")
    return parts[1:-2], decode(_TEXT, parts[-2]), decode(_TEXT, parts[-1])


def _ticker(payloads: Sequence[msgspec.Raw], channel: str, maker: Maker) -> Sequence[Record]:
    ticker = decode(_TICKER, payloads[0])
    return [quote_of(ticker, channel, ticker.o[1], maker)]


def quote_of(ticker: TickerFigures, channel: str, open_24h: str | None, maker: Maker) -> Record:
    """The quote of a ticker, of the stream or by REST."""
    return maker.quote(
        channel,
        None,
        bid=ticker.b[0],
        bid_size=ticker.b[2],
        ask=ticker.a[0],
        ask_size=ticker.a[2],
        last=ticker.c[0],
        last_size=ticker.c[1],
        open_24h=open_24h,
        high_24h=ticker.h[1],
        low_24h=ticker.l[1],
        volume_24h=ticker.v[1],
    )


def _books(payloads: Sequence[msgspec.Raw], _channel: str, maker: Maker) -> Sequence[Record]:
    """The time is that of the latest level, since the message has none."""
    books = [decode(_BOOK, payload) for payload in payloads]
    is_snapshot = any(book.asks is not None or book.bids is not None for book in books)
    asks = [row for book in books for row in (*(book.asks or ()), *book.a)]
    bids = [row for book in books for row in (*(book.bids or ()), *book.b)]
    times = [micros_of(row[2], "exchange_time") for row in (*asks, *bids) if len(row) > 2]
    sums: list[int] = [_checksum(book.c) for book in books if book.c is not None]
    given: dict[str, Any] = {"checksum": sums[-1] if sums else None}
    kind = DepthKind.SNAPSHOT if is_snapshot else DepthKind.DELTA
    levels = levels_of(bids, "bids", _text_of), levels_of(asks, "asks", _text_of)
    return [maker.depth(kind, *levels, max(times, default=None), **given)]


def _klines(payloads: Sequence[msgspec.Raw], channel: str, maker: Maker) -> Sequence[Record]:
    """Time, end of the interval, open, high, low, close, VWAP, volume, count.

    Nothing says that a kline is closed: it is told so where its end has passed for as long as clocks may differ.
    """
    minutes = int(channel.removeprefix(KLINES))
    length = minutes * _MINUTE
    found = []
    for payload in payloads:
        time, end, open_, high, low, close, _, volume, count = decode(_KLINE, payload)
        opened = (micros_of(end, "open_time") - 1) // length * length
        prices = {"open": open_, "high": high, "low": low, "close": close}
        given: dict[str, Any] = {"volume": parse_decimal(volume, field="volume"), "trade_count": count}
        is_closed = opened + length + maker.max_skew <= maker.received_at
        micros = micros_of(time, "exchange_time")
        found.append(maker.kline(INTERVALS[minutes], opened, prices, is_closed=is_closed, exchange_time=micros, **given))
    return found


def _checksum(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise DataValidationError("wrong_type", f"c: {text!r:.40} is no checksum", field="c")
    return int(text)
