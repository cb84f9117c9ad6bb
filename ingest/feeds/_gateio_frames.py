"""What Gate.io's v4 frames say: those of spot pairs, and which are of perpetuals (`_gateio_futures`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Parsed
from ingest.feeds import _gateio_futures
from ingest.feeds._gateio_rest import CANDLES, TICKERS, TRADES, Ticker, quote_of
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._refusals import refused
from ingest.feeds._sides import side_of
from ingest.refusals import Requested
from market.book_rules import BookRules, by_range
from market.depth import DepthKind
from market.errors import DataValidationError
from market.instrument import check_instrument
from schemas.records import Record

BOOKS = "spot.order_book_update"
_INTERVALS = ("10s", "1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")
_NOT_CARRIED = re.compile(
    r"spot\.(pong|book_ticker|order_book|obu|trades_v2)|futures\.(pong|order_book|obu|public_liquidates|contract_stats)",
    re.ASCII,
)
_BOOK_RULES = BookRules(by_range, fetched=True)

_ABSENT = msgspec.Raw(b"")
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[tuple[str, str]]


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""


class _Message(msgspec.Struct):
    """Any frame. `time` is the venue's, in seconds; newer servers tell it in milliseconds, too.

    `error` is read as documented ("Server Response"); none was recorded.
    """

    channel: str | None = None
    event: str | None = None
    time: _Count | None = None
    time_ms: _Count | None = None
    id: int | str | None = None
    error: _Error | None = None
    result: msgspec.Raw = _ABSENT

    @property
    def micros(self) -> int | None:
        """The time of the message."""
        if self.time_ms:
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


_MESSAGE = msgspec.json.Decoder(_Message)
_TRADE = msgspec.json.Decoder(_Trade)
_BOOK = msgspec.json.Decoder(_Book)
_TICKER = msgspec.json.Decoder(Ticker)
_CANDLE = msgspec.json.Decoder(_Candle)

Reader = Callable[[_Message, "GateioParser", int], Record]


class GateioParser:
    """Reads the frames of one connection; see `ingest.feed.BookParser` and `ingest.refusals.RequestedParser`."""

    contiguous: Collection[str] = ()  # trade ids are those of the whole venue

    def __init__(self, max_clock_skew: int) -> None:
        self.requested = Requested()
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
            return refused((message.error.code, message.error.message), self.requested.answered(message.id))
        if message.event in ("subscribe", "unsubscribe"):
            self.requested.answered(message.id)
            return Parsed("reply", ())
        if channel in _gateio_futures.CHANNELS:

            def maker_of(contract: str) -> Maker:
                return Maker(_gateio_futures.instrument_of(contract), received_at, self._max_skew)

            return Parsed(channel, _gateio_futures.read(channel, message.result, message.micros, maker_of))
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
        is_known = channel in _READERS or channel in _gateio_futures.CHANNELS or _NOT_CARRIED.fullmatch(channel)
        return channel if is_known else UNKNOWN_CHANNEL

    def maker(self, pair: str, received_at: int) -> Maker:
        """The maker of records of a pair."""
        return Maker(instrument_of(pair), received_at, self._max_skew)


def instrument_of(pair: str) -> str:
    """Instrument of NEO_BTC. Raises DataValidationError."""
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
    BOOKS: _book,
    TICKERS: _ticker,
    CANDLES: _candle,
}
