"""Frames of Binance's trades and book tickers, which are most of what the venue tells.

Each stream has a reader of its own, a function that has at hand what is the same in all frames of the stream. Of messages as
they are nearly always, one look shows that they are sound; any other is left to the checks of its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Generic, TypeVar

import msgspec

from ingest.feed import Lone, Parsed
from market.decimals import AMOUNT_PRECISION, PLAIN_PRICES, parse_decimal, parse_positive, plain_decimal
from market.errors import DataValidationError
from market.quality import EARLIEST, INT, LATEST, LONG, LONGEST_ID
from market.quote import Quote
from market.stated import check_quote
from market.trade import Trade, check_trade

Reader = Callable[[bytes, int], Parsed | Lone]
"""Reads the frames of a stream; see `ingest.feed.LoneParser`. Raises what its decoder raises (`ingest.decoding`) as well."""

_OFF_BOOK = ("INSURANCE_FUND", "ADL", "NA")
_AMOUNT_LIMIT = 10**AMOUNT_PRECISION
_new = tuple.__new__  # makes a named tuple in half the time that calling its class takes

_T = TypeVar("_T")
_Id = Annotated[int, msgspec.Meta(ge=0)]


class Combined(msgspec.Struct, Generic[_T], gc=False):
    """A frame of a stream, whose name was read before: it is how the frame begins."""

    data: _T


class _TradeMessage(msgspec.Struct, gc=False):
    s: str
    t: _Id
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _AggTradeMessage(msgspec.Struct, gc=False):
    s: str
    a: _Id
    p: str
    q: str
    f: _Id
    l: _Id  # noqa: E741  # the venue's name
    T: int
    m: bool


class _BookTickerMessage(msgspec.Struct, gc=False):
    u: _Id
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


_TRADE = msgspec.json.Decoder(Combined[_TradeMessage])
_AGG_TRADE = msgspec.json.Decoder(Combined[_AggTradeMessage])
_BOOK_TICKER = msgspec.json.Decoder(Combined[_BookTickerMessage])


def symbol_mismatch(said: str, symbol: str) -> DataValidationError:
    """The error of a message that names another symbol than its stream."""
    return DataValidationError("symbol_mismatch", f"s: {said!r:.40} in the stream of {symbol}", field="s")


def _trade_reader(symbol: str, instrument: str, max_skew: int) -> Reader:
    decode, made = _TRADE.decode, _trade_maker("trade", instrument, max_skew)

    def read(frame: bytes, received_at: int) -> Parsed | Lone:
        message = decode(frame).data
        if message.s != symbol:
            raise symbol_mismatch(message.s, symbol)
        if message.X != "MARKET":
            if message.X not in _OFF_BOOK:
                raise DataValidationError("unknown_trade_type", f"X: {message.X!r:.40} is no known kind of trade", field="X")
            return Parsed(f"trade/{message.X}", ())
        number = str(message.t)
        return made(message, received_at, message.t, number, number, number, 1)

    return read


def _agg_trade_reader(symbol: str, instrument: str, max_skew: int) -> Reader:
    decode, made = _AGG_TRADE.decode, _trade_maker("aggTrade", instrument, max_skew)

    def read(frame: bytes, received_at: int) -> Lone:
        message = decode(frame).data
        if message.s != symbol:
            raise symbol_mismatch(message.s, symbol)
        first, last = message.f, message.l
        first_id = str(first)
        last_id = first_id if first == last else str(last)
        return made(message, received_at, message.a, str(message.a), first_id, last_id, last - first + 1)

    return read


def _trade_maker(channel: str, instrument: str, max_skew: int) -> Callable[..., Lone]:
    def made(
        message: _TradeMessage | _AggTradeMessage,
        received_at: int,
        sequence: int,
        trade_id: str,
        first: str,
        last: str,
        count: int,
    ) -> Lone:
        price, size, time = PLAIN_PRICES[message.p], plain_decimal(message.q), message.T * 1000
        is_sound = (
            price
            and size
            and price * size < _AMOUNT_LIMIT
            and sequence < LONG
            and 0 < count < INT
            and len(last) <= LONGEST_ID
            and EARLIEST <= received_at < LATEST
            and EARLIEST <= time < LATEST
            and time <= received_at + max_skew
        )
        trade = _new(
            Trade,
            (
                instrument,
                trade_id,
                sequence,
                price or parse_positive(message.p, field="price"),
                size or parse_positive(message.q, field="size"),
                "sell" if message.m else "buy",  # m: the buyer was the maker, so the seller took
                time,
                received_at,
                first,
                last,
                count,
                None,
                None,
            ),
        )
        return channel, trade if is_sound else check_trade(trade, max_skew=max_skew)

    return made


def _book_ticker_reader(symbol: str, instrument: str, max_skew: int) -> Reader:
    decode = _BOOK_TICKER.decode
    bid_size_text = ask_size_text = ""  # what was told last: mostly one side of a book changes at a time
    bid_size: int | None = None
    ask_size: int | None = None

    def read(frame: bytes, received_at: int) -> Lone:
        nonlocal bid_size_text, ask_size_text, bid_size, ask_size
        message = decode(frame).data
        if message.s != symbol:
            raise symbol_mismatch(message.s, symbol)
        sequence, time = message.u, None if message.T is None else message.T * 1000
        bid, ask = PLAIN_PRICES[message.b], PLAIN_PRICES[message.a]
        if bid_size_text != message.B:
            bid_size_text, bid_size = message.B, plain_decimal(message.B)
        if ask_size_text != message.A:
            ask_size_text, ask_size = message.A, plain_decimal(message.A)
        is_sound = (
            bid
            and bid_size
            and ask
            and ask_size
            and sequence < LONG
            and EARLIEST <= received_at < LATEST
            and (time is None or (EARLIEST <= time < LATEST and time <= received_at + max_skew))
        )
        quote = _new(
            Quote,
            (
                instrument,
                "bookTicker",
                sequence,
                bid or _price_or_none(message.b, "bid"),
                bid_size or _price_or_none(message.B, "bid_size"),
                ask or _price_or_none(message.a, "ask"),
                ask_size or _price_or_none(message.A, "ask_size"),
                None, None, None, None, None, None, None, None, None,  # of the last trade and of 24 hours
                time,
                received_at,
                None, None, None,
            ),
        )  # fmt: skip
        return "bookTicker", quote if is_sound else check_quote(quote, max_skew=max_skew)

    return read


READERS: Mapping[str, Callable[[str, str, int], Reader]] = {
    "trade": _trade_reader,
    "aggTrade": _agg_trade_reader,
    "bookTicker": _book_ticker_reader,
}
"""By channel: from a stream's symbol, a well-formed instrument and how far an exchange time may be ahead."""


def _price_or_none(text: str, field: str) -> int | None:
    """A price or size of zero or of no text is one that is not there."""
    return parse_decimal(text, field=field) or None if text else None
