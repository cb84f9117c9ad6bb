"""Avro bodies of messages about books and of books' tops, written by hand: the bytes of the codec's own writer, much sooner.

Messages about books are the most frequent records there are and have tens of levels each. The fields are those of
`depth.avsc` and `book_top.avsc`, in their order; a test compares both writers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from market.book_top import BookTop
from market.decimals import PRECISION
from market.depth import BookState, Depth, DepthKind
from market.errors import DataValidationError

_KINDS = {kind: bytes([2 * number]) for number, kind in enumerate(DepthKind)}
_STATES = {state: bytes([2 * number]) for number, state in enumerate(BookState)}
_END = b"\x00"
_LENGTHS = [bytes([2 * length]) for length in range(64)]
_LIMIT = 10**PRECISION
_LONG = 1 << 63


def encode_depth(depth: Depth) -> bytes:
    """The body of a message. Raises DataValidationError when a value does not fit its field."""
    numbers = depth.first_sequence, depth.last_sequence, depth.previous_sequence, depth.checksum, depth.exchange_time
    return b"".join(
        (
            _text(depth.instrument),
            _KINDS[depth.kind],
            encode_levels([encode_level(price, size) for price, size, _ in depth.bids]),
            encode_levels([encode_level(price, size) for price, size, _ in depth.asks]),
            *[_optional(number, _long) for number in numbers],
            _long(depth.received_at),
            _STATES[depth.state],
            _optional(depth.published_at, _long),
        )
    )


def encode_book_top(top: BookTop) -> bytes:
    """The body of a book's top. Raises DataValidationError when a value does not fit its field."""
    return b"".join(
        (
            _text(top.instrument),
            _STATES[top.state],
            encode_levels([encode_level(price, size) for price, size, _ in top.bids]),
            encode_levels([encode_level(price, size) for price, size, _ in top.asks]),
            *[_optional(figure, _decimal) for figure in (top.spread, top.imbalance, top.microprice)],
            b"\x01" if top.is_crossed else b"\x00",
            _optional(top.sequence, _long),
            _optional(top.exchange_time, _long),
            _long(top.received_at),
            _text(top.source_topic),
            _long(top.source_partition),
            _long(top.source_offset),
        )
    )


def encode_level(price: int, size: int) -> bytes:
    """A level, as it stands in an array. Raises DataValidationError (`too_large`)."""
    if not (-_LIMIT < price < _LIMIT and -_LIMIT < size < _LIMIT):
        raise _too_large()
    first, second = price.bit_length() // 8 + 1, size.bit_length() // 8 + 1
    return (
        _LENGTHS[first]
        + price.to_bytes(first, "big", signed=True)
        + _LENGTHS[second]
        + size.to_bytes(second, "big", signed=True)
    )


def encode_levels(encoded: Collection[bytes]) -> bytes:
    """An array of encoded levels."""
    return b"".join((_long(len(encoded)), *encoded, _END)) if encoded else _END


def _decimal(unscaled: int) -> bytes:
    """Big-endian bytes after their number, which is below 64 and so one byte: twice itself."""
    if not -_LIMIT < unscaled < _LIMIT:
        raise _too_large()
    length = unscaled.bit_length() // 8 + 1
    return _LENGTHS[length] + unscaled.to_bytes(length, "big", signed=True)


def _too_large() -> DataValidationError:
    return DataValidationError("too_large", f"a price, size or figure has more than {PRECISION} digits")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _long(len(encoded)) + encoded


def _optional(number: int | None, encode: Callable[[int], bytes]) -> bytes:
    return b"\x00" if number is None else b"\x02" + encode(number)


def _long(number: int) -> bytes:
    """Avro's long, and its int: zigzag, then seven bits a byte, lowest first."""
    if not -_LONG <= number < _LONG:
        raise DataValidationError("unencodable", f"{number} has more than 64 bits")
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)
