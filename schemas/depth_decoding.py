"""The Avro body of a message about a book, read by hand: the same record as by the codec's own reader, several times sooner.

It reads what `schemas.depth_encoding` and ordinary Avro writers write. Anything else, damaged or merely unusual (an array in
sized blocks, a negative price), is left to the codec's own reader. A test compares both.
"""

from __future__ import annotations

from functools import partial
from itertools import repeat

from market.depth import BookState, Depth, DepthKind, Level

_level = partial(tuple.__new__, Level)
"""A level of its three fields: what `Level._make` does, for those who count them right."""
_KINDS = dict(enumerate(DepthKind))
_STATES = dict(enumerate(BookState))
_UNUSUAL_LENGTH = 0x81
"""Bits that the byte before a decimal has where its length is negative or takes more than that byte."""
_NEGATIVE = 0x80
"""The bit that the first byte of a negative decimal has."""
_LONGEST = 63
"""Bits of a long after which a further byte could be too much for it."""


class Unreadable(Exception):
    """These bytes are not what is read here."""


def decode_depth(body: bytes) -> Depth | None:
    """The message of a body, None where the codec's own reader must look at it."""
    try:
        return _depth(body)
    except (Unreadable, IndexError, KeyError, ValueError):
        return None


def decode_levels(body: bytes, at: int) -> tuple[tuple[Level, ...], int]:
    """The array of levels that begins at `at`, and where it ends. Raises IndexError or Unreadable where there is none."""
    prices: list[int] = []
    sizes: list[int] = []
    integer = int.from_bytes
    while True:
        count, at = _long(body, at)
        if count <= 0:
            if count:
                raise Unreadable
            return tuple(map(_level, zip(prices, sizes, repeat(None), strict=False))), at
        for _ in range(count):
            first = body[at]
            middle = at + 1 + (first >> 1)
            second = body[middle]
            if (first | second) & _UNUSUAL_LENGTH or (body[at + 1] | body[middle + 1]) & _NEGATIVE:
                raise Unreadable
            end = middle + 1 + (second >> 1)
            prices.append(integer(body[at + 1 : middle]))
            sizes.append(integer(body[middle + 1 : end]))
            at = end


def _depth(body: bytes) -> Depth:
    length, at = _long(body, 0)
    end = at + length
    if not at <= end <= len(body):
        raise Unreadable
    instrument = body[at:end].decode()
    kind, at = _long(body, end)
    bids, at = decode_levels(body, at)
    asks, at = decode_levels(body, at)
    first_sequence, at = _optional(body, at)
    last_sequence, at = _optional(body, at)
    previous_sequence, at = _optional(body, at)
    checksum, at = _optional(body, at)
    exchange_time, at = _optional(body, at)
    received_at, at = _long(body, at)
    state, at = _long(body, at)
    published_at, at = _optional(body, at)
    if at != len(body):
        raise Unreadable
    return Depth(
        instrument,
        _KINDS[kind],
        bids,
        asks,
        first_sequence,
        last_sequence,
        previous_sequence,
        checksum,
        exchange_time,
        received_at,
        _STATES[state],
        published_at,
    )


def _optional(body: bytes, at: int) -> tuple[int | None, int]:
    branch = body[at]
    if branch == 0:
        return None, at + 1
    if branch != 2:
        raise Unreadable
    return _long(body, at + 1)


def _long(body: bytes, at: int) -> tuple[int, int]:
    """Avro's long that begins at `at`, and where it ends."""
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift >= _LONGEST:
            raise Unreadable
