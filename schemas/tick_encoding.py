"""Avro bodies of trades and quotes, written by hand: the bytes of the codec's own writer, much sooner.

They are what a feed tells most. The fields are those of `trade.avsc` and `quote.avsc`, in their order; a test compares the
writers, of which `schemas._ticks_compiled` has one more where it was built. What is unusual is left to the codec's own writer,
which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.quality import INT, LONG
from market.quote import Quote
from market.trade import Trade
from schemas.codec import Codec, encode_body
from schemas.primitives import LENGTHS, encode_long, encode_text, encode_varint

_LIMIT = 10**PRECISION
_TAIL_BITS = 14
_TAIL = (1 << _TAIL_BITS) - 1
_TAILS = [bytes((tail & 0x7F | 0x80, tail >> 7 | 0x80)) for tail in range(1 << _TAIL_BITS)]
_SIDES = {None: b"\x00", "buy": b"\x02\x00", "sell": b"\x02\x02"}
_UNUSUAL = (TypeError, ValueError, KeyError, AttributeError, OverflowError, IndexError, DataValidationError)
_NO_FIGURES, _NO_FIGURES_ENCODED = (None,) * 9, b"\x00" * 9  # of the last trade and of 24 hours, which tickers alone have
_NO_MARK, _NO_MARK_ENCODED = (None,) * 2, b"\x00" * 2


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
        return _trade(trade, header, published_at)
    except _UNUSUAL:
        return header + encode_body(trade if published_at is None else trade._replace(published_at=published_at))


def encode_quote(quote: Quote, header: bytes = b"", published_at: int | None = None) -> bytes:
    """The body of a quote, as `encode_trade`."""
    try:
        return _quote(quote, header, published_at)
    except _UNUSUAL:
        return header + encode_body(quote if published_at is None else quote._replace(published_at=published_at))


def _trade(trade: Trade, header: bytes, published_at: int | None) -> bytes:
    name, number, sequence, price, size, side, event, received, first, last, count, published, origin = trade
    published = published if published_at is None else published_at
    if origin is not None or not 0 < count < INT:
        raise ValueError
    own = encode_text(number)
    ids = own + own if number == first == last else encode_text(first) + encode_text(last)
    return b"".join(
        (
            header,
            _name(name),
            own,
            _long(sequence),
            _figure(price),
            _figure(size),
            _SIDES[side],
            _optional_time(event),
            _long(received),
            ids,
            b"\x02" if count == 1 else encode_long(count),
            _optional_time(published),
            b"\x00",
        )
    )


def _quote(quote: Quote, header: bytes, published_at: int | None) -> bytes:
    if quote[7:16] != _NO_FIGURES or quote[19:] != _NO_MARK:
        raise ValueError
    name, channel, sequence, bid, bid_size, ask, ask_size = quote[:7]
    event, received, published = quote[16:19]
    published = published if published_at is None else published_at
    return b"".join(
        (
            header,
            _name(name),
            _name(channel),
            b"\x00" if sequence is None else b"\x02" + _long(sequence),
            _optional_figure(bid),
            _optional_figure(bid_size),
            _optional_figure(ask),
            _optional_figure(ask_size),
            _NO_FIGURES_ENCODED,
            _optional_time(event),
            _long(received),
            _optional_time(published),
            _NO_MARK_ENCODED,
        )
    )


def _encode_figure(unscaled: int) -> bytes:
    if not -_LIMIT < unscaled < _LIMIT:
        raise ValueError
    length = unscaled.bit_length() // 8 + 1
    return LENGTHS[length] + unscaled.to_bytes(length, "big", signed=True)


@lru_cache(maxsize=4096, typed=True)
def _optional_figure(unscaled: int | None) -> bytes:
    return b"\x00" if unscaled is None else b"\x02" + _encode_figure(unscaled)


def _long(number: int) -> bytes:
    """Of times and ids, which rise slowly, the upper bytes are those of the one before."""
    rest = number << 1
    if not _TAIL < rest < LONG:
        return encode_long(number)
    return _TAILS[rest & _TAIL] + _upper(rest >> _TAIL_BITS)


@lru_cache(maxsize=4096, typed=True)
def _optional_time(time: int | None) -> bytes:
    """Many trades have happened at one time of the venue's, and many records are published at one of ours."""
    return b"\x00" if time is None else b"\x02" + _long(time)


_figure: Callable[[int], bytes] = lru_cache(maxsize=4096, typed=True)(_encode_figure)
"""Prices come again and again."""

_upper: Callable[[int], bytes] = lru_cache(maxsize=4096)(encode_varint)
_name: Callable[[str], bytes] = lru_cache(maxsize=65_536)(encode_text)
"""Names of instruments and channels, which come again."""
