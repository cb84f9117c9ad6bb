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

FIGURE_LIMITS = tuple(min(1 << (4 * n - 1), 10**PRECISION) if n and n % 2 == 0 else 0 for n in range(33))
"""By the length byte of a decimal: what a positive one stays below. There is no limit for what is longer than 128 bits."""

_TWO_TIMES = struct.Struct("<BHHIHHI")
"""Union index, exchange time, receive time. A time we believe takes eight bytes, seven bits in each, the lowest first."""

_ONE_TIME = struct.Struct("<HHI")

LOW_BITS = {a | b << 8: (a & 127 | (b & 127) << 7) >> 1 for a in range(128, 256, 2) for b in range(128, 256)}
"""By the two low bytes of a longer number that is not negative, as one integer: what they stand for, 13 bits."""

MIDDLE_BITS = {a | b << 8: (a & 127 | (b & 127) << 7) << 13 for a in range(128, 256) for b in range(128, 256)}
"""The same for the two bytes that follow, 14 bits."""

_MOST_BASES = 4096
time_bases: dict[int, int] = {}
"""By the four high bytes of a time what they stand for, about four minutes of times; all of them are times we believe."""

_from_bytes = int.from_bytes

Body = tuple[int, int, int, int, int, int | None, int, int, bytes, bytes, int]
"""A trade, checked but for its place in the window; a class of its own would cost half a microsecond to make.

Number of its id, event time, price, size, amount, side (0 for buy, 2 for sell, None where unknown), sequence, receive time,
first and last trade id with their size before them, trade count.
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
        if not 0 < price < FIGURE_LIMITS[size]:
            return None
        size = value[end]
        p = end + 1 + (size >> 1)
        quantity = _from_bytes(value[end + 1 : p])
        amount = price * quantity
        if not 0 < quantity < FIGURE_LIMITS[size] or amount >= LARGEST_RUN_AMOUNT:
            return None

        side = None
        if value[p]:
            side = value[p + 1]
            if value[p] != 2 or side & ~2:
                return None
            p += 1
        p += 1

        if value[p]:
            index, low, middle, high, low_2, middle_2, high_2 = _TWO_TIMES.unpack_from(value, p)
            p += 17
            if index != 2:
                return None
            event_time = _time(low, middle, high)
            received_at = _time(low_2, middle_2, high_2)
            if event_time > received_at + skew:
                return None
        else:
            event_time = received_at = _time(*_ONE_TIME.unpack_from(value, p + 1))
            p += 9
        if received_at > limit:
            return None

        if value.startswith(ids, p):
            first_id = last_id = value[at : at + 1 + len(text)]
            p += len(ids)
        else:
            first_id, p = _read_point_id(value, p)
            last_id, p = _read_point_id(value, p)

        count, p = (value[p] >> 1, p + 1) if not value[p] & 129 else _read_varint(value, p)
        if not 1 <= count <= _LONGEST_COUNT or value[-1] or not _is_optional_time(value, p, len(value) - 1):
            return None  # the last byte says that there is no origin: what did not come by a stream is rare
        return int(text), event_time, price, quantity, amount, side, sequence, received_at, first_id, last_id, count
    except (IndexError, ValueError, struct.error):
        return None


def read_mark(value: bytes, at: int, limit: int) -> int | None:
    """The time of a mark, which follows its instrument at `at`; None when it is not simple or not valid."""
    try:
        time = _time(*_ONE_TIME.unpack_from(value, at))
        return time if time <= limit and _is_optional_time(value, at + 8, len(value)) else None
    except (IndexError, ValueError, struct.error):
        return None


def _is_optional_time(value: bytes, at: int, end: int) -> bool:
    """Whether null or a time we believe stands at `at`, up to `end`. Raises ValueError, IndexError, struct.error."""
    if not value[at]:
        return end == at + 1
    if value[at] != 2 or end != at + 9:
        return False
    low, middle, high = _ONE_TIME.unpack_from(value, at + 1)
    return low in LOW_BITS and middle in MIDDLE_BITS and (high in time_bases or _learn_base(high) > 0)


def _time(low: int, middle: int, high: int) -> int:
    """A time from its eight bytes. Raises ValueError when it is none we believe."""
    try:
        base = time_bases.get(high) or _learn_base(high)
        return base + MIDDLE_BITS[middle] + LOW_BITS[low]
    except KeyError:
        raise ValueError("no time we believe") from None


def _learn_base(high: int) -> int:
    """Remember what the four high bytes of a time stand for. Raises ValueError when it is not believed."""
    a, b, c, d = high.to_bytes(4, "little")
    base = (a & 127 | (b & 127) << 7 | (c & 127) << 14 | d << 21) << 27
    if not a & b & c & ~d & 128 or not BEGIN_OF_TIMES <= base < END_OF_TIMES:
        raise ValueError("no time we believe")
    if len(time_bases) >= _MOST_BASES:
        time_bases.clear()
    time_bases[high] = base
    return base


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
    sized = value[at:end]
    if not size or size & 1 or size > 2 * LONGEST_POINT_ID or not sized.isascii():
        raise ValueError("no id of a run")
    return sized, end
