"""What Binance's frames say: typed messages of the combined streams, and the parser that makes records of them.

Times are those of the trade or of the book (`T`), never that of the message (`E`) where both are given, as the venue's own
candles take them. Fields keep the venue's names, of one letter and of both cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import msgspec

from ingest.decoding import UNREADABLE, decode, refusal
from ingest.feed import FETCHED_BOOK, UNKNOWN_CHANNEL, Listings, Lone, Parsed
from ingest.feeds._binance_depth import DEPTH_CHANNEL, FUTURES_BOOKS, SPOT_BOOKS, DepthMessage, delta_of, snapshot_of
from ingest.feeds._binance_ticks import READERS, Combined, Reader, symbol_mismatch
from ingest.feeds._records import Maker, amount_of
from ingest.feeds._refusals import refused
from ingest.refusals import Requested
from ingest.symbols import split_symbol
from market.book_rules import BookRules
from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.instrument import check_instrument

SPOT, FUTURES = "spot", "usdm"

FUNDING_CHANNEL = re.compile(r"markPrice(@1s)?", re.ASCII)
KLINE_CHANNEL = re.compile(r"kline_(1s|[135]m|15m|30m|[12468]h|12h|[13]d|1w|1M)", re.ASCII)

_QUOTE_ASSETS = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USD1", "BFUSD", "PAX", "DAI", "VAI"),
    *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "SOL", "DOT"),
    *("EUR", "EURI", "GBP", "AUD", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR", "ARS", "PLN", "RON", "JPY", "CZK", "MXN", "COP"),
    *("BIDR", "IDRT", "BKRW", "BVND", "GYEN"),
)
_NOT_CARRIED = re.compile(r"(depth\d|rpiDepth|miniTicker|avgPrice|forceOrder|compositeIndex|ticker_(1h|4h|1d))[\w@]*", re.ASCII)
_BEGINNING = b'{"stream":"%b"'

_ABSENT = msgspec.Raw(b"")

try:
    _COMPILED: Any = import_module("ingest.feeds._binance_compiled")
except ImportError:
    _COMPILED = None  # where it was not built


class _TickerMessage(msgspec.Struct):
    E: int
    s: str
    p: str
    P: str
    c: str
    Q: str
    o: str
    h: str
    l: str  # noqa: E741  # the venue's name
    v: str
    q: str
    b: str | None = None
    B: str | None = None
    a: str | None = None
    A: str | None = None


class _MarkPriceMessage(msgspec.Struct):
    """`r` is empty and `T` zero for contracts that are delivered, which have no funding."""

    E: int
    s: str
    p: str
    r: str
    T: int
    i: str | None = None


class _KlineFields(msgspec.Struct):
    t: int
    i: str
    f: int
    L: int
    o: str
    c: str
    h: str
    l: str  # noqa: E741  # the venue's name
    v: str
    n: int
    x: bool
    q: str
    V: str


class _KlineMessage(msgspec.Struct):
    E: int
    s: str
    k: _KlineFields


class _Error(msgspec.Struct):
    code: int | None = None
    msg: str | None = None


class _Envelope(_Error):
    """Any frame: of a stream, an answer to a request of ours, or a REST answer kept in a recording.

    An error stands in the frame, or the frame is one.
    """

    stream: str | None = None
    id: int | str | None = None
    error: _Error | None = None
    last_update_id: int | None = msgspec.field(name="lastUpdateId", default=None)


class _Evidence(msgspec.Struct):
    """Fields that tell the markets apart."""

    e: str = ""
    pu: msgspec.Raw = _ABSENT
    X: msgspec.Raw = _ABSENT
    M: msgspec.Raw = _ABSENT
    u: msgspec.Raw = _ABSENT
    U: msgspec.Raw = _ABSENT
    x: msgspec.Raw = _ABSENT


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_SHOWING = msgspec.json.Decoder(Combined[_Evidence])
_SKIPPED = msgspec.json.Decoder(Combined[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class _Stream:
    """How frames of one stream are read."""

    channel: str
    symbol: str
    instrument: str
    decoder: msgspec.json.Decoder[Combined[Any]]
    build: Callable[[Any, _Stream, int], Parsed] | None  # None: known, not carried

    def read(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feeds._binance_ticks.Reader`."""
        data = self.decoder.decode(frame).data
        if self.build is None:
            return Parsed(self.channel, ())
        if data.s != self.symbol:
            raise symbol_mismatch(data.s, self.symbol)
        return self.build(data, self, received_at)


class BinanceParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`."""

    def __init__(self, market: str | None, listings: Listings, max_clock_skew: int) -> None:
        self.requested = Requested()
        self._market = market
        self._listings = listings
        self._max_skew = max_clock_skew
        self._streams: dict[bytes, Reader] = {}  # by what their frames begin with, up to the first comma
        self._compiled: Any = None if _COMPILED is None else _COMPILED.TickReaders(self._parse)  # reads what it knows sooner
        self.parse: Callable[[bytes, int], Parsed] = self._parse if self._compiled is None else self._compiled.parse
        """Read one frame; see `ingest.feed.Parser.parse`."""
        self.parse_lone: Callable[[bytes, int], Parsed | Lone]
        """Read one frame; see `ingest.feed.LoneParser.parse_lone`."""
        self.parse_lone = self._parse_lone if self._compiled is None else self._compiled.parse
        self._booked: set[str] = set()  # instruments of the diff streams
        self._readers: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any, _Stream, int], Parsed]]] = {
            "ticker": (msgspec.json.Decoder(Combined[_TickerMessage]), self._ticker),
            "markPrice": (msgspec.json.Decoder(Combined[_MarkPriceMessage]), self._mark_price),
            "depth": (msgspec.json.Decoder(Combined[DepthMessage]), self._depth),
            "kline_": (msgspec.json.Decoder(Combined[_KlineMessage]), self._kline),
        }

    @property
    def contiguous(self) -> Collection[str]:
        """Futures leave the ids of off-book trades out of the raw trades, but not out of the aggregates' own ids."""
        return ("trade", "aggTrade") if self._market == SPOT else ("aggTrade",)

    def book_rules(self, _channel: str) -> BookRules:
        """See `ingest.feed.BookParser.book_rules`."""
        return FUTURES_BOOKS if self._market == FUTURES else SPOT_BOOKS

    def _parse(self, frame: bytes, received_at: int) -> Parsed:
        found = self._parse_lone(frame, received_at)
        if isinstance(found, Parsed):
            return found
        channel, record = found
        return Parsed(channel, (record,))

    def _parse_lone(self, frame: bytes, received_at: int) -> Parsed | Lone:
        read = self._streams.get(frame[: frame.find(b",")])
        if read is None:
            found = self._resolve(frame, received_at)
            if isinstance(found, Parsed):
                return found
            read = found
        try:
            return read(frame, received_at)
        except UNREADABLE as error:
            raise refusal(error) from None

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            channel = (decode(_ENVELOPE, frame).stream or "").partition("@")[2]
        except DataValidationError:
            return UNKNOWN_CHANNEL
        known = channel in READERS or _reader_name(channel) in self._readers or _NOT_CARRIED.fullmatch(channel)
        return channel if known else UNKNOWN_CHANNEL

    # streams

    def _resolve(self, frame: bytes, received_at: int) -> Reader | Parsed:
        envelope = decode(_ENVELOPE, frame)
        if envelope.stream is None:
            return self._answer(envelope) or self._fetched_book(frame, received_at)
        symbol, _, channel = envelope.stream.partition("@")
        self._learn_market(frame)
        read: Reader
        if _NOT_CARRIED.fullmatch(channel):
            read = _Stream(channel, symbol, "", _SKIPPED, None).read
        elif channel in READERS:
            name, instrument = symbol.upper(), self._instrument(symbol.upper())
            read = READERS[channel](name, instrument, self._max_skew)
            if self._compiled is not None:
                reader = _COMPILED.TickReader(channel, envelope.stream, name, instrument, self._max_skew)
                self._compiled.add(envelope.stream, reader)
        else:
            found = self._readers.get(_reader_name(channel))
            if found is None:
                raise DataValidationError("unknown_stream", f"stream: {envelope.stream!r:.80} is not known", field="stream")
            read = _Stream(channel, symbol.upper(), self._instrument(symbol.upper()), *found).read
        self._streams[_BEGINNING % envelope.stream.encode()] = read
        return read

    def _answer(self, envelope: _Envelope) -> Parsed | None:
        """A frame outside the streams: an answer to a request of ours; None for an order book fetched by REST.

        Refusals are read as documented ("Live Subscribing/Unsubscribing to streams", "Error Messages").
        """
        if envelope.error is not None or envelope.code is not None:
            error = envelope.error or envelope
            return refused((error.code, error.msg), self.requested.answered(envelope.id))
        if envelope.last_update_id is not None:
            return None
        if envelope.id is not None:
            self.requested.answered(envelope.id)
            return Parsed("reply", ())
        raise DataValidationError("missing_field", "stream: the frame does not have it", field="stream")

    def _learn_market(self, frame: bytes) -> None:
        if self._market is None:
            self._market = _market_shown_by(decode(_SHOWING, frame).data)

    def _instrument(self, symbol: str) -> str:
        if self._market is None:
            raise DataValidationError(
                "unknown_market", f"nothing shows yet whether {symbol:.40} is of {SPOT} or {FUTURES}", field="stream"
            )
        return check_instrument(instrument_of_symbol(self._market, symbol, self._listings))

    # messages

    def _maker(self, stream: _Stream, received_at: int) -> Maker:
        return Maker(stream.instrument, received_at, self._max_skew)

    def _ticker(self, message: _TickerMessage, stream: _Stream, received_at: int) -> Parsed:
        quote = self._maker(stream, received_at).quote(
            stream.channel,
            message.E * 1000,
            bid=message.b,
            bid_size=message.B,
            ask=message.a,
            ask_size=message.A,
            last=message.c,
            last_size=message.Q,
            open_24h=message.o,
            high_24h=message.h,
            low_24h=message.l,
            volume_24h=message.v,
            amount_24h=message.q,
            change_24h=message.p,
            change_percent_24h=message.P,
        )
        return Parsed(stream.channel, (quote,))

    def _mark_price(self, message: _MarkPriceMessage, stream: _Stream, received_at: int) -> Parsed:
        maker, time = self._maker(stream, received_at), message.E * 1000
        quote = maker.quote(stream.channel, time, mark_price=message.p, index_price=message.i)
        if not message.r:
            return Parsed(stream.channel, (quote,))
        funding = maker.funding(
            stream.channel,
            time,
            rate=message.r,
            next_funding_time=message.T * 1000,
            mark_price=message.p,
            index_price=message.i,
        )
        return Parsed(stream.channel, (quote, funding))

    def _depth(self, message: DepthMessage, stream: _Stream, received_at: int) -> Parsed:
        self._booked.add(stream.instrument)
        return Parsed(stream.channel, (delta_of(message, stream.instrument, received_at, self._max_skew),))

    def _fetched_book(self, frame: bytes, received_at: int) -> Parsed:
        """An order book that a recorder asked for and wrote among the frames: of the line's only book."""
        if len(self._booked) != 1:
            return Parsed(FETCHED_BOOK, ())
        (instrument,) = self._booked
        return Parsed(FETCHED_BOOK, (snapshot_of(frame, instrument, received_at, self._max_skew),))

    def _kline(self, message: _KlineMessage, stream: _Stream, received_at: int) -> Parsed:
        k = message.k
        if stream.channel != f"kline_{k.i}":
            raise DataValidationError("wrong_interval", f"i: {k.i!r:.20} in the stream {stream.channel}", field="i")
        kline = self._maker(stream, received_at).kline(
            k.i,
            k.t * 1000,
            {"open": k.o, "high": k.h, "low": k.l, "close": k.c},
            is_closed=k.x,
            exchange_time=message.E * 1000,
            volume=parse_decimal(k.v, field="volume"),
            amount=amount_of(k.q, "amount"),
            trade_count=k.n,
            taker_buy_volume=parse_decimal(k.V, field="taker_buy_volume"),
            first_trade_id=None if k.f < 0 else str(k.f),
            last_trade_id=None if k.L < 0 else str(k.L),
        )
        return Parsed(stream.channel, (kline,))


def _market_shown_by(message: _Evidence) -> str | None:
    """The market a message must be of, by the fields only one of them writes."""
    has = {name for name in ("pu", "X", "M", "u", "U", "x") if bytes(getattr(message, name))}
    if has & {"pu", "X"} or message.e == "bookTicker":
        return FUTURES
    if has & {"M", "U"} or ("u" in has and not message.e):
        return SPOT
    if message.e in ("trade", "aggTrade"):
        return FUTURES
    if message.e == "markPriceUpdate":
        return FUTURES
    if message.e == "24hrTicker":
        return SPOT if "x" in has else FUTURES
    return None


def _reader_name(channel: str) -> str:
    """The kind of frames of a channel."""
    if KLINE_CHANNEL.fullmatch(channel):
        return "kline_"
    if FUNDING_CHANNEL.fullmatch(channel):
        return "markPrice"
    return "depth" if DEPTH_CHANNEL.fullmatch(channel) else channel


def instrument_of_symbol(market: str, symbol: str, listings: Listings) -> str:
    """The instrument of a symbol such as BTCUSDT, by the listings or by its form. Raises DataValidationError."""
    listed = listings.get(market, {}).get(symbol)
    if listed is not None:
        return listed
    pair, _, delivery = symbol.partition("_")
    return instrument_of(market, *split_symbol(pair, _QUOTE_ASSETS), delivery)


def instrument_of(market: str, base: str, quote: str, delivery: str) -> str:
    contract = f"-{delivery or 'PERP'}" if market == FUTURES else ""
    return check_instrument(f"binance:{base}-{quote}{contract}")
