"""Avro's plain types as bytes, for writers made by hand."""

from __future__ import annotations

from collections.abc import Collection

from market.errors import DataValidationError

LENGTHS = [bytes([2 * length]) for length in range(64)]
"""Lengths below 64, which are one byte each."""

END = b"\x00"
"""The end of an array; all there is of an empty one."""

_LONG = 1 << 63


def encode_long(number: int) -> bytes:
    """Avro's long, and its int: zigzag, then seven bits a byte, lowest first. Raises DataValidationError (`unencodable`)."""
    if not -_LONG <= number < _LONG:
        raise DataValidationError("unencodable", f"{number} has more than 64 bits")
    return encode_varint((number << 1) ^ (number >> 63))


def encode_varint(rest: int) -> bytes:
    """A number of zero or above: seven bits a byte, lowest first."""
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def encode_maybe_long(number: int | None) -> bytes:
    """A long that may be null: a union of null and long."""
    return b"\x00" if number is None else b"\x02" + encode_long(number)


def encode_text(text: str) -> bytes:
    """A string: its length and its bytes in UTF-8."""
    encoded = text.encode()
    length = len(encoded)
    return (LENGTHS[length] if length < len(LENGTHS) else encode_long(length)) + encoded


def encode_decimal(unscaled: int, limit: int) -> bytes:
    """Big-endian bytes after their number, which is below 64. Raises DataValidationError (`too_large`) beyond the limit."""
    if not -limit < unscaled < limit:
        raise DataValidationError("too_large", "a price, size or figure has too many digits")
    length = unscaled.bit_length() // 8 + 1
    return LENGTHS[length] + unscaled.to_bytes(length, "big", signed=True)


def encode_array(encoded: Collection[bytes]) -> bytes:
    """An array of encoded items."""
    return b"".join((encode_long(len(encoded)), *encoded, END)) if encoded else END
