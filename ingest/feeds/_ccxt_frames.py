"""Frames of what CCXT says, in its unified words: exchange, channel, instrument, and the data as CCXT made it, numbers as text.

What CCXT derives itself by division (a change in per cent, an opening price) has up to 18 decimals: per cents are rounded
half-even as everywhere, other figures that do not fit are left out. Trades without ids cannot be told apart and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Parsed, Told
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker, figure_or_none
from market.book_rules import BookRules
from market.decimals import AMOUNT_SCALE, SCALE
from market.depth import DepthKind
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.interval import parse_interval
from market.quote import Kline
from market.trade import Trade
from schemas.records import Record

TICKER, TRADES, BOOK, OHLCV = "ticker", "trades", "order_book", "ohlcv_"
"""Channels; an interval follows the last one: ohlcv_1m."""
FUNDING, OPEN_INTEREST = "funding_rate", "open_interest"
CHANNELS = (TICKER, TRADES, BOOK, FUNDING, OPEN_INTEREST)
"""Those without an interval."""
PAYMENTS = "funding_rate_history"
"""Channel of the funding that was paid, in answers about the past."""

_ROW = 6


class Frame(msgspec.Struct):
    """One answer."""

    exchange: str
    channel: str
    instrument: str
    data: msgspec.Raw


class _Ticker(msgspec.Struct):
    timestamp: int | None = None
    bid: str | None = None
    bidVolume: str | None = None  # noqa: N815  # CCXT's names
    ask: str | None = None
    askVolume: str | None = None  # noqa: N815
    last: str | None = None
    open: str | None = None
    high: str | None = None
    low: str | None = None
    baseVolume: str | None = None  # noqa: N815
    quoteVolume: str | None = None  # noqa: N815
    change: str | None = None
    percentage: str | None = None
    markPrice: str | None = None  # noqa: N815
    indexPrice: str | None = None  # noqa: N815


class _Trade(msgspec.Struct):
    id: str | None
    timestamp: int | None
    price: str
    amount: str
    side: str | None = None


class _Book(msgspec.Struct):
    bids: list[list[str]]
    asks: list[list[str]]
    timestamp: int | None = None


class _Funding(msgspec.Struct):
    """`fundingRate` is paid at `fundingTimestamp`, every `interval` (8h)."""

    fundingRate: str | None  # noqa: N815
    fundingTimestamp: int | None = None  # noqa: N815
    interval: str | None = None
    timestamp: int | None = None
    markPrice: str | None = None  # noqa: N815
    indexPrice: str | None = None  # noqa: N815


class _Payment(msgspec.Struct):
    fundingRate: str | None  # noqa: N815
    timestamp: int | None


class _OpenInterest(msgspec.Struct):
    """The amount is in base currency or in contracts, as the exchange has it; the value is that in money."""

    openInterestAmount: str | None = None  # noqa: N815
    openInterestValue: str | None = None  # noqa: N815
    timestamp: int | None = None


_FRAME = msgspec.json.Decoder(Frame)
_TICKER = msgspec.json.Decoder(_Ticker)
_TRADES = msgspec.json.Decoder(list[_Trade])
_BOOK = msgspec.json.Decoder(_Book)
_FUNDING = msgspec.json.Decoder(_Funding)
_PAYMENTS = msgspec.json.Decoder(list[_Payment])
_OPEN_INTEREST = msgspec.json.Decoder(_OpenInterest)
_KLINES = msgspec.json.Decoder(list[list[int | str | None]])


def frame_of(exchange: str, channel: str, instrument: str, data: Any) -> bytes:
    """The frame of an answer. Raises DataValidationError (`not_exact`) where CCXT made a binary number of a figure."""
    inexact = _inexact(data)
    if inexact is not None:
        text = f"{inexact}: CCXT gives a binary number for {channel} of {exchange}"
        raise DataValidationError("not_exact", text, field=inexact)
    return msgspec.json.encode(Frame(exchange, channel, instrument, msgspec.Raw(msgspec.json.encode(data))))


def instrument_of(frame: bytes) -> str | None:
    """The instrument of a frame; None where it is none."""
    try:
        return decode(_FRAME, frame).instrument
    except DataValidationError:
        return None


class CcxtParser:
    """See `ingest.feed.BookParser`."""

    contiguous = ()

    def __init__(self, max_clock_skew: int) -> None:
        self._max_skew = max_clock_skew
        self._page: dict[str, frozenset[str]] = {}
        self._klines: dict[tuple[str, str, int], Kline] = {}
        self._sequence = 0

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        message = decode(_FRAME, frame)
        maker, data = Maker(message.instrument, received_at, self._max_skew), bytes(message.data)
        if message.channel == TICKER:
            return Parsed(TICKER, [_quote(maker, decode(_TICKER, data))])
        if message.channel == TRADES:
            return self._traded(maker, decode(_TRADES, data))
        if message.channel == BOOK:
            return Parsed(BOOK, [_depth(maker, decode(_BOOK, data))])
        if message.channel == FUNDING:
            return Parsed(FUNDING, [_funding(maker, decode(_FUNDING, data))])
        if message.channel == OPEN_INTEREST:
            return Parsed(OPEN_INTEREST, [_open_interest(maker, decode(_OPEN_INTEREST, data))])
        if message.channel == PAYMENTS:
            return Parsed(PAYMENTS, [_payment(maker, one) for one in decode(_PAYMENTS, data)])
        if message.channel.startswith(OHLCV):
            return Parsed(message.channel, self._new_klines(maker, message.channel, decode(_KLINES, data)))
        raise DataValidationError("unknown_channel", f"{message.channel!r:.40} is no channel of this feed")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            channel = decode(_FRAME, frame).channel
        except DataValidationError:
            return UNKNOWN_CHANNEL
        return channel if channel in (*CHANNELS, PAYMENTS) or channel.startswith(OHLCV) else UNKNOWN_CHANNEL

    def book_rules(self, _channel: str) -> BookRules:
        """See `ingest.feed.BookParser.book_rules`: every answer is a whole book."""
        return BookRules()

    def _traded(self, maker: Maker, rows: list[_Trade]) -> Parsed:
        before = self._page.get(maker.instrument)
        ids = frozenset(row.id for row in rows if row.id)
        made = [self._trade(maker, row) for row in rows if before is None or row.id not in before]
        told: list[Told] = []
        if before and ids and not before & ids:
            reason = "more was traded than one answer holds"
            told.append(Told(maker.instrument, FeedState.GAP, reason))
        if ids:
            self._page[maker.instrument] = ids
        return Parsed(TRADES, made, told)

    def _trade(self, maker: Maker, row: _Trade) -> Trade:
        if not row.id:
            raise DataValidationError("missing_field", "id: without it a trade cannot be told from another one", field="id")
        self._sequence += 1
        number = row.id.isascii() and row.id.isdecimal() and len(row.id) <= 18
        return maker.trade(
            trade_id=row.id,
            sequence=int(row.id) if number else self._sequence,
            price=row.price,
            size=row.amount,
            side="buy" if row.side == "buy" else "sell" if row.side == "sell" else None,
            exchange_time=None if row.timestamp is None else row.timestamp * 1000,
        )

    def _new_klines(self, maker: Maker, channel: str, rows: list[list[int | str | None]]) -> Sequence[Record]:
        """Klines that were not told just so; the last one is usually open."""
        interval = parse_interval(channel.removeprefix(OHLCV))
        found = []
        for row in rows:
            kline = _kline(maker, interval.name, interval.micros, row)
            key = (maker.instrument, interval.name, kline.open_time)
            known = self._klines.get(key)
            if known is None or known._replace(received_at=kline.received_at) != kline:
                self._klines[key] = kline
                found.append(kline)
        kept = {(maker.instrument, interval.name, kline) for kline in _open_times(rows)}
        for key in [key for key in self._klines if key[:2] == (maker.instrument, interval.name) and key not in kept]:
            del self._klines[key]
        return found


def _open_times(rows: list[list[int | str | None]]) -> list[int]:
    return [int(row[0] or 0) * 1000 for row in rows]


def _quote(maker: Maker, ticker: _Ticker) -> Record:
    return maker.quote(
        TICKER,
        None if ticker.timestamp is None else ticker.timestamp * 1000,
        bid=ticker.bid,
        bid_size=ticker.bidVolume,
        ask=ticker.ask,
        ask_size=ticker.askVolume,
        last=ticker.last,
        open_24h=_fitting(ticker.open),
        high_24h=ticker.high,
        low_24h=ticker.low,
        volume_24h=ticker.baseVolume,
        amount_24h=_fitting(ticker.quoteVolume, AMOUNT_SCALE),
        change_24h=_fitting(ticker.change),
        change_percent_24h=_rounded(ticker.percentage),
        mark_price=_fitting(ticker.markPrice),
        index_price=_fitting(ticker.indexPrice),
    )


def _depth(maker: Maker, book: _Book) -> Record:
    bids = sorted(levels_of(book.bids, "bids"), reverse=True)  # CCXT sorts what it takes for text
    asks = sorted(levels_of(book.asks, "asks"))
    time = None if book.timestamp is None else book.timestamp * 1000
    return maker.depth(DepthKind.SNAPSHOT, tuple(bids), tuple(asks), time)


def _kline(maker: Maker, interval: str, micros: int, row: Sequence[int | str | None]) -> Kline:
    if len(row) < _ROW or not isinstance(row[0], int) or not all(isinstance(text, str) for text in row[1:5]):
        raise DataValidationError("wrong_type", "a kline is its time, open, high, low, close and volume")
    open_time = row[0] * 1000
    names = ("open", "high", "low", "close")
    prices: Mapping[str, str] = {name: str(text) for name, text in zip(names, row[1:5], strict=True)}
    volume = None if row[5] is None else figure_or_none(str(row[5]), "volume")
    is_closed = open_time + micros <= maker.received_at
    return maker.kline(interval, open_time, prices, is_closed=is_closed, exchange_time=None, volume=volume)


def _funding(maker: Maker, told: _Funding) -> Record:
    return maker.funding(
        FUNDING,
        None if told.timestamp is None else told.timestamp * 1000,
        rate=_given(told.fundingRate, "rate"),
        next_funding_time=(told.fundingTimestamp or 0) * 1000,
        interval_seconds=_seconds(told.interval),
        mark_price=_fitting(told.markPrice),
        index_price=_fitting(told.indexPrice),
    )


def _payment(maker: Maker, paid: _Payment) -> Record:
    if paid.timestamp is None:
        raise DataValidationError("missing_field", "timestamp: without it nobody knows when it was paid", field="exchange_time")
    return maker.payment(PAYMENTS, paid.timestamp * 1000, _given(paid.fundingRate, "rate"))


def _open_interest(maker: Maker, told: _OpenInterest) -> Record:
    return maker.open_interest(
        OPEN_INTEREST,
        None if told.timestamp is None else told.timestamp * 1000,
        open_interest=_given(told.openInterestAmount, "open_interest"),
        notional=_fitting(told.openInterestValue, AMOUNT_SCALE),
    )


def _given(text: str | None, field: str) -> str:
    if text is None:
        raise DataValidationError("missing_field", f"{field}: the exchange does not tell it", field=field)
    return text


def _seconds(interval: str | None) -> int | None:
    """Of an interval such as 8h, None of others."""
    try:
        return parse_interval(interval or "").micros // 1_000_000
    except DataValidationError:
        return None


def _fitting(text: str | None, scale: int = SCALE) -> str | None:
    """A figure, None where it has more digits than we keep: then CCXT has made it by division."""
    if text is None or len(text.partition(".")[2]) <= scale:
        return text
    return None


def _rounded(text: str | None) -> str | None:
    """Per cent at our scale, half-even."""
    if text is None or len(text.partition(".")[2]) <= SCALE:
        return text
    try:
        return format(Decimal(text).quantize(Decimal(1).scaleb(-SCALE), rounding=ROUND_HALF_EVEN), "f")
    except ArithmeticError:
        return text  # refused as what it is


def _inexact(data: Any, path: str = "data") -> str | None:
    """Where a binary number is, None if nowhere."""
    if isinstance(data, float):
        return path
    if isinstance(data, Mapping):
        return next((found for key, part in data.items() if (found := _inexact(part, f"{path}.{key}"))), None)
    if isinstance(data, list | tuple):
        return next((found for part in data if (found := _inexact(part, path))), None)
    return None
