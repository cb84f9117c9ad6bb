"""Trades and time marks to what a run needs of them, in as few steps as Python allows.

One layout is known, that of `trade.avsc` and `time_mark.avsc` as our own codec writes them, and what it decodes is checked as
`schemas.checks` would. What is refused here may still be valid.
"""

from __future__ import annotations

import struct

from market.candle_series import LARGEST_RUN_AMOUNT
from market.decimals import PRECISION
from processors.runs.protocol import BEGIN_OF_TIMES, END_OF_TIMES, LONGEST_POINT_ID

_LONGEST_COUNT = 2**31 - 1
_LONGEST_VARINT = 7 * 10
_LONGEST_NUMBER = 2 * 18
"""Length byte of the longest trade id that is a number: Avro writes twice the length."""

_FIGURE_LIMITS = tuple(min(1 << (4 * n - 1), 10**PRECISION) if n and n % 2 == 0 else 0 for n in range(33))
"""By the length byte of a decimal: what a positive one stays below. There is no limit for what is longer than 128 bits."""

_TWO_TIMES = struct.Struct("4B5s3B5s")
"""Union index, exchange time, receive time. A time we believe takes eight bytes, seven bits in each, the lowest first."""

_ONE_TIME = struct.Struct("3B5s")
_LOW_BITS = 128 + (128 << 7) + (128 << 14)
"""What the continuation bits of the three low bytes add up to."""

_HIGH_BYTES = 5
_MOST_BASES = 4096
_bases: dict[bytes, int] = {}
"""By the five high bytes of a time what they stand for, less the continuation bits of the low ones."""


_from_bytes = int.from_bytes

Body = tuple[int, int, int, int, int, int | None, int, int, bytes, bytes, int]
"""A trade, checked but for its place in the window; a class of its own would cost half a microsecond to make.

Number of its id, event time, price, size, amount, side (0 for buy, 2 for sell, None where unknown), sequence, receive time,
first and last trade id, trade count.
"""


def read_trade(value: bytes, at: int, limit: int, skew: int) -> Body | None:
    """The trade whose fields follow its instrument at `at`; None when it is not simple or not valid.

    Only slices do not mind an end that comes too soon, and behind each a byte is read that then is missing.
    """
    try:
        size = value[at]
        p = at + 1 + (size >> 1)
        text = value[at + 1 : p]
        if size & 1 or size > _LONGEST_NUMBER or not text.isdigit():
            return None
        ids = value[at:p] * 2

        sequence, p = _read_varint(value, p)

        size = value[p]
        end = p + 1 + (size >> 1)
        price = _from_bytes(value[p + 1 : end])
        if not 0 < price < _FIGURE_LIMITS[size]:
            return None
        size = value[end]
        p = end + 1 + (size >> 1)
        quantity = _from_bytes(value[end + 1 : p])
        amount = price * quantity
        if not 0 < quantity < _FIGURE_LIMITS[size] or amount >= LARGEST_RUN_AMOUNT:
            return None

        side = None
        if value[p]:
            side = value[p + 1]
            if value[p] != 2 or side & ~2:
                return None
            p += 1
        p += 1

        if value[p]:
            index, a, b, c, high, d, e, f, high_2 = _TWO_TIMES.unpack_from(value, p)
            p += 17
            if index != 2 or not a & b & c & d & e & f & 128 or (a | d) & 1:
                return None
            event_time = _bases[high] + (a + (b << 7) + (c << 14) >> 1)
            received_at = _bases[high_2] + (d + (e << 7) + (f << 14) >> 1)
            if event_time > received_at + skew:
                return None
        else:
            event_time = received_at = _time(*_ONE_TIME.unpack_from(value, p + 1))
            p += 9
        if received_at > limit:
            return None

        if value.startswith(ids, p):
            first_id = last_id = text
            p += len(ids)
        else:
            first_id, p = _read_point_id(value, p)
            last_id, p = _read_point_id(value, p)

        count, p = (value[p] >> 1, p + 1) if not value[p] & 129 else _read_varint(value, p)
        if not 1 <= count <= _LONGEST_COUNT or not _is_optional_time(value, p):
            return None
        return int(text), event_time, price, quantity, amount, side, sequence, received_at, first_id, last_id, count
    except KeyError as unknown:  # the high bytes of a time
        return read_trade(value, at, limit, skew) if _learn_base(unknown.args[0]) else None
    except (IndexError, ValueError, struct.error):
        return None


def read_mark(value: bytes, at: int, limit: int) -> int | None:
    """The time of a mark, which follows its instrument at `at`; None when it is not simple or not valid."""
    try:
        time = _time(*_ONE_TIME.unpack_from(value, at))
        return time if time <= limit and _is_optional_time(value, at + 8) else None
    except (IndexError, ValueError, struct.error):
        return None


def _is_optional_time(value: bytes, at: int) -> bool:
    """Whether null or a time we believe stands at `at`, and nothing behind it."""
    if not value[at]:
        return len(value) == at + 1
    high = value[at + 4 :]
    if value[at] != 2 or len(high) != _HIGH_BYTES or not (high in _bases or _learn_base(high)):
        return False
    return value[at + 1] & 129 == 128 and value[at + 2] & value[at + 3] & 128 != 0


def _time(a: int, b: int, c: int, high: bytes) -> int:
    """A time from its three low bytes and the other five. Raises ValueError when it is none we believe."""
    if not a & b & c & 128 or a & 1 or not (high in _bases or _learn_base(high)):
        raise ValueError("no time we believe")
    return _bases[high] + (a + (b << 7) + (c << 14) >> 1)


def _learn_base(high: bytes) -> bool:
    """Remember what the five high bytes of a time stand for, about a second of times; False when it is not believed."""
    a, b, c, d, e = high
    base = (a & 127 | (b & 127) << 7 | (c & 127) << 14 | (d & 127) << 21 | e << 28) << 20
    if not a & b & c & d & ~e & 128 or not BEGIN_OF_TIMES <= base < END_OF_TIMES:
        return False
    if len(_bases) >= _MOST_BASES:
        _bases.clear()
    _bases[high] = base - (_LOW_BITS >> 1)
    return True


def _read_varint(value: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits, and where it ends. Raises ValueError, IndexError."""
    byte = value[at]
    at += 1
    found, shift = byte & 127, 7
    while byte > 127:
        byte = value[at]
        at += 1
        found |= (byte & 127) << shift
        shift += 7
    if found >> 64 or shift > _LONGEST_VARINT:
        raise ValueError("no integer of 64 bits")
    return (found >> 1) ^ -(found & 1), at


def _read_point_id(value: bytes, at: int) -> tuple[bytes, int]:
    """An id that a run holds, and where it ends. Raises ValueError, IndexError."""
    size = value[at]
    end = at + 1 + (size >> 1)
    text = value[at + 1 : end]
    if not size or size & 1 or size > 2 * LONGEST_POINT_ID or not text.isascii():
        raise ValueError("no id of a run")
    return text, end
