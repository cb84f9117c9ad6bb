"""Avro bodies of trades and quotes, written by hand: the bytes of the codec's own writer, much sooner.

They are what a feed tells most. The fields are those of `trade.avsc` and `quote.avsc`, in their order; a test compares the
writers, of which `schemas._ticks_compiled` has one more where it was built. What is unusual is left to the codec's own writer,
which says what is wrong with it.
"""

from __future__ import annotations

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.quality import INT, LONG
from market.quote import Quote
from market.remembered import Remembered
from market.trade import Trade
from schemas.codec import Codec, encode_body
from schemas.primitives import LENGTHS, encode_long, encode_text, encode_varint

_LIMIT = 10**PRECISION
_LENGTHS = LENGTHS[: _LIMIT.bit_length() // 8 + 1]  # of figures with fewer bits than the limit has
_OPTIONAL_LENGTHS = [b"\x02" + length for length in _LENGTHS]
_LOW_BITS = 13
_LOW = (1 << _LOW_BITS) - 1
_FIRST_TWO = [bytes((number << 1 & 0x7F | 0x80, number >> 6 | 0x80)) for number in range(1 << _LOW_BITS)]
"""The first two bytes of a number above `_LOW`, by its low bits; those of `_UPPER` follow."""
_SIDES = {None: b"\x00", "buy": b"\x02\x00", "sell": b"\x02\x02"}
_UNUSUAL = (TypeError, ValueError, KeyError, AttributeError, OverflowError, IndexError, DataValidationError)
_NO_FIGURES, _NO_FIGURES_ENCODED = (None,) * 9, b"\x00" * 9  # of the last trade and of 24 hours, which tickers alone have
_NO_MARK_ENCODED = b"\x00" * 2


def write_ticks(codec: Codec) -> None:
    """Have a codec's trades and quotes written by the soonest of the writers there are here."""
    try:
        from schemas import _ticks_compiled as writers
    except ImportError:
        codec.encode_with(Trade, encode_trade, encode_trade)
        codec.encode_with(Quote, encode_quote, encode_quote)
    else:
        codec.encode_with(Trade, writers.encode_trade, writers.encode_trade)
        codec.encode_with(Quote, writers.encode_quote, writers.encode_quote)


def encode_trade(trade: Trade, header: bytes = b"", published_at: int | None = None) -> bytes:
    """The body of a trade behind a header, with `published_at` if given. Raises DataValidationError for what does not fit."""
    try:
        name, number, sequence, price, size, side, event, received, first, last, count, published, origin = trade
        published = published if published_at is None else published_at
        if origin is not None or not 0 < count < INT:
            raise ValueError
        own = LENGTHS[len(text := number.encode())] + text
        first_id = own if first == number else LENGTHS[len(text := first.encode())] + text
        if sequence > _LOW:
            begun, rest = _FIRST_TWO[sequence & _LOW], _UPPER[sequence >> _LOW_BITS]
        else:
            begun, rest = b"", encode_long(sequence)
        return b"".join(
            (
                header,
                _NAMES[name],
                own,
                begun,
                rest,
                _LENGTHS[length := price.bit_length() // 8 + 1],
                price.to_bytes(length, "big"),
                _LENGTHS[length := size.bit_length() // 8 + 1],
                size.to_bytes(length, "big"),
                _SIDES[side],
                b"\x00" if event is None else b"\x02" + _FIRST_TWO[event & _LOW] + _UPPER[event >> _LOW_BITS],
                _FIRST_TWO[received & _LOW],
                _UPPER[received >> _LOW_BITS],
                first_id,
                first_id if last == first else encode_text(last),
                b"\x02" if count == 1 else encode_long(count),
                b"\x00" if published is None else _OPTIONAL[published << 1],
                b"\x00",
            )
        )
    except _UNUSUAL:
        return header + encode_body(trade if published_at is None else trade._replace(published_at=published_at))


def encode_quote(quote: Quote, header: bytes = b"", published_at: int | None = None) -> bytes:
    """The body of a quote, as `encode_trade`."""
    try:
        name, channel, sequence, bid, bid_size, ask, ask_size = quote[:7]
        event, received, published, mark, index = quote[16:]
        published = published if published_at is None else published_at
        if bid is None or bid_size is None or ask is None or ask_size is None:
            raise ValueError
        if quote[7:16] != _NO_FIGURES or mark is not None or index is not None:
            raise ValueError
        if sequence is None:
            begun, rest = b"\x00", b""
        elif sequence > _LOW:
            begun, rest = b"\x02" + _FIRST_TWO[sequence & _LOW], _UPPER[sequence >> _LOW_BITS]
        else:
            begun, rest = b"\x02", encode_long(sequence)
        return b"".join(
            (
                header,
                _NAMES[name],
                _NAMES[channel],
                begun,
                rest,
                _OPTIONAL_LENGTHS[length := bid.bit_length() // 8 + 1],
                bid.to_bytes(length, "big"),
                _OPTIONAL_LENGTHS[length := bid_size.bit_length() // 8 + 1],
                bid_size.to_bytes(length, "big"),
                _OPTIONAL_LENGTHS[length := ask.bit_length() // 8 + 1],
                ask.to_bytes(length, "big"),
                _OPTIONAL_LENGTHS[length := ask_size.bit_length() // 8 + 1],
                ask_size.to_bytes(length, "big"),
                _NO_FIGURES_ENCODED,
                b"\x00" if event is None else b"\x02" + _FIRST_TWO[event & _LOW] + _UPPER[event >> _LOW_BITS],
                _FIRST_TWO[received & _LOW],
                _UPPER[received >> _LOW_BITS],
                b"\x00" if published is None else _OPTIONAL[published << 1],
                _NO_MARK_ENCODED,
            )
        )
    except _UNUSUAL:
        return header + encode_body(quote if published_at is None else quote._replace(published_at=published_at))


def _encode_optional(rest: int) -> bytes:
    if not 0 < rest < LONG:
        raise ValueError
    return b"\x02" + encode_varint(rest)


def _encode_upper(rest: int) -> bytes:
    if not 0 < rest < LONG >> _LOW_BITS + 1:
        raise ValueError
    return encode_varint(rest)


_UPPER = Remembered(_encode_upper, 4096)
"""Of times and ids, which rise slowly, the upper bytes are those of the one before."""
_OPTIONAL = Remembered(_encode_optional, 4096)
"""Times by twice their number: many trades happen at one time of the venue's, many records are published at one of ours."""
_NAMES = Remembered(encode_text, 65_536)
"""Names of instruments and channels, which come again."""
