"""Avro bodies of messages about books and of books' tops, written by hand: the bytes of the codec's own writer, much sooner.

Messages about books are the most frequent records there are and have tens of levels each. The fields are those of
`depth.avsc` and `book_top.avsc`, in their order; a test compares both writers.
"""

from __future__ import annotations

from collections.abc import Callable

from market.book_top import BookTop
from market.decimals import PRECISION
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError
from schemas.primitives import LENGTHS, encode_array, encode_decimal, encode_long, encode_text

_KINDS = {kind: bytes([2 * number]) for number, kind in enumerate(DepthKind)}
_STATES = {state: bytes([2 * number]) for number, state in enumerate(BookState)}
_LIMIT = 10**PRECISION


def encode_depth(depth: Depth) -> bytes:
    """The body of a message. Raises DataValidationError when a value does not fit its field."""
    numbers = depth.first_sequence, depth.last_sequence, depth.previous_sequence, depth.checksum, depth.exchange_time
    return b"".join(
        (
            encode_text(depth.instrument),
            _KINDS[depth.kind],
            encode_array([encode_level(price, size) for price, size, _ in depth.bids]),
            encode_array([encode_level(price, size) for price, size, _ in depth.asks]),
            *[_optional(number, encode_long) for number in numbers],
            encode_long(depth.received_at),
            _STATES[depth.state],
            _optional(depth.published_at, encode_long),
        )
    )


def encode_book_top(top: BookTop) -> bytes:
    """The body of a book's top. Raises DataValidationError when a value does not fit its field."""
    return b"".join(
        (
            encode_text(top.instrument),
            _STATES[top.state],
            encode_array([encode_level(price, size) for price, size, _ in top.bids]),
            encode_array([encode_level(price, size) for price, size, _ in top.asks]),
            *[_optional(figure, _decimal) for figure in (top.spread, top.imbalance, top.microprice)],
            b"\x01" if top.is_crossed else b"\x00",
            _optional(top.sequence, encode_long),
            _optional(top.exchange_time, encode_long),
            encode_long(top.received_at),
            encode_text(top.source_topic),
            encode_long(top.source_partition),
            encode_long(top.source_offset),
        )
    )


def encode_level(price: int, size: int) -> bytes:
    """A level, as it stands in an array. Raises DataValidationError (`too_large`)."""
    if not (-_LIMIT < price < _LIMIT and -_LIMIT < size < _LIMIT):
        raise DataValidationError("too_large", f"a price, size or figure has more than {PRECISION} digits")
    first, second = price.bit_length() // 8 + 1, size.bit_length() // 8 + 1
    return (
        LENGTHS[first] + price.to_bytes(first, "big", signed=True) + LENGTHS[second] + size.to_bytes(second, "big", signed=True)
    )


def _decimal(unscaled: int) -> bytes:
    return encode_decimal(unscaled, _LIMIT)


def _optional(number: int | None, encode: Callable[[int], bytes]) -> bytes:
    return b"\x00" if number is None else b"\x02" + encode(number)
