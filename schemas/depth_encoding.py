"""The Avro body of a message about a book, written by hand: the same bytes as the codec's own writer, many times sooner.

Messages about books are the most frequent records there are and have tens of levels each. The fields are those of
`depth.avsc`, in its order; a test compares both writers.
"""

from __future__ import annotations

from collections.abc import Sequence

from market.decimals import PRECISION
from market.depth import BookState, Depth, DepthKind, Level
from market.errors import DataValidationError

_KINDS = {kind: bytes([2 * number]) for number, kind in enumerate(DepthKind)}
_STATES = {state: bytes([2 * number]) for number, state in enumerate(BookState)}
_END = b"\x00"
_LIMIT = 10**PRECISION
_LONG = 1 << 63


def encode_depth(depth: Depth) -> bytes:
    """The body of a message. Raises DataValidationError when a value does not fit its field."""
    instrument = depth.instrument.encode()
    out = bytearray(_long(len(instrument)))
    out += instrument
    out += _KINDS[depth.kind]
    _levels(out, depth.bids)
    _levels(out, depth.asks)
    for number in (depth.first_sequence, depth.last_sequence, depth.previous_sequence, depth.checksum, depth.exchange_time):
        _optional(out, number)
    out += _long(depth.received_at)
    out += _STATES[depth.state]
    _optional(out, depth.published_at)
    return bytes(out)


def _levels(out: bytearray, levels: Sequence[Level]) -> None:
    if levels:
        out += _long(len(levels))
        for price, size, _ in levels:
            _decimal(out, price)
            _decimal(out, size)
    out += _END


def _decimal(out: bytearray, unscaled: int) -> None:
    """Big-endian bytes after their number, which is below 64 and so one byte: twice itself."""
    if not -_LIMIT < unscaled < _LIMIT:
        raise DataValidationError("too_large", f"a price or size has more than {PRECISION} digits")
    length = unscaled.bit_length() // 8 + 1
    out.append(2 * length)
    out += unscaled.to_bytes(length, "big", signed=True)


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
