"""The Avro body of a message about a book, written by hand: the same bytes as the codec's own writer, many times sooner.

Messages about books are the most frequent records there are and have tens of levels each. The fields are those of
`depth.avsc`, in its order; a test compares both writers.
"""

from __future__ import annotations

from collections.abc import Collection

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
    instrument = depth.instrument.encode()
    out = bytearray(_long(len(instrument)))
    out += instrument
    out += _KINDS[depth.kind]
    out += encode_levels([encode_level(price, size) for price, size, _ in depth.bids])
    out += encode_levels([encode_level(price, size) for price, size, _ in depth.asks])
    for number in (depth.first_sequence, depth.last_sequence, depth.previous_sequence, depth.checksum, depth.exchange_time):
        _optional(out, number)
    out += _long(depth.received_at)
    out += _STATES[depth.state]
    _optional(out, depth.published_at)
    return bytes(out)


def encode_level(price: int, size: int) -> bytes:
    """A level, as it stands in an array. Raises DataValidationError (`too_large`)."""
    return _decimal(price) + _decimal(size)


def encode_levels(encoded: Collection[bytes]) -> bytes:
    """An array of encoded levels."""
    return b"".join((_long(len(encoded)), *encoded, _END)) if encoded else _END


def _decimal(unscaled: int) -> bytes:
    """Big-endian bytes after their number, which is below 64 and so one byte: twice itself."""
    if not -_LIMIT < unscaled < _LIMIT:
        raise DataValidationError("too_large", f"a price or size has more than {PRECISION} digits")
    length = unscaled.bit_length() // 8 + 1
    return _LENGTHS[length] + unscaled.to_bytes(length, "big", signed=True)


def _optional(out: bytearray, number: int | None) -> None:
    if number is None:
        out += b"\x00"
    else:
        out += b"\x02"
        out += _long(number)


def _long(number: int) -> bytes:
    """Avro's long: zigzag, then seven bits a byte, lowest first."""
    if not -_LONG <= number < _LONG:
        raise DataValidationError("unencodable", "Depth does not fit its schema: a number has more than 64 bits")
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)
