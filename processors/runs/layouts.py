"""Trades read by the layout of those before them, in half the time that it takes field by field (`processors.runs.decoding`).

Trades of one instrument look alike: their fields are as long as those of a trade before, and ids count up. Then `struct` takes
one apart in a single step. A layout is a guess by the length of the whole; that the guess is right shows where lengths and
kinds are to stand. What is laid out otherwise, or is not valid, is left to be read field by field.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from processors.runs.decoding import FIGURE_LIMITS, LOW_BITS, MIDDLE_BITS, Body, time_bases
from processors.runs.protocol import LONGEST_POINT_ID

_SIDES = {b"\2\0\2": 0, b"\2\2\2": 2, b"\0\2": None}
"""By the bytes between size and exchange time, which say the side and that an exchange time follows: the side in a `Body`."""

_COUNTS = {2 * count | 2 << 8: count for count in range(1, 64)}
"""By the two bytes before the publish time, as one integer, which say the trade count and that such a time follows."""

_MOST_HIGHS = 4096
_highs: dict[bytes, int] = {}
_high_bits = _highs.get
"""By what follows the two low bytes of a number: what it stands for; None where it is to be learnt."""

_RETRIED_EVERY = 16
_ENDINGS = [b"%02d" % number for number in range(100)]
_from_bytes = int.from_bytes

_SHORTEST_NUMBER, _LONGEST_NUMBER = 3, 9
"""Bytes of a sequence that is in a layout; nearly all are."""

_LONGEST_FIGURES = 30
"""Sum of the length bytes of a price and a size, twice their lengths, whose product any run has room for."""


class _Layout(NamedTuple):
    """How trades of one length are taken apart; the length bytes of their price and size, and what these stay below."""

    unpack: Callable[[bytes], tuple[Any, ...]]
    price_size: int
    price_limit: int
    quantity_size: int
    quantity_limit: int


class TradeReader:
    """Reads the trades of one instrument; `prefix` is what their bytes begin with, up to the instrument.

    `_expected` is the next trade id as Avro writes it, `_beginning` that without its last two digits: to put an id together
    takes less than to read one.
    """

    __slots__ = ("_beginning", "_expected", "_layouts", "_number", "_prefix")

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._layouts: dict[int, _Layout | None] = {}  # None: the last one looked at was too rare
        self._number = 0
        self._expected = self._beginning = b""

    def read(self, value: bytes, limit: int, skew: int) -> Body | None:
        """A trade that is laid out as one before and whose id is the number after that of the last one; None for all else."""
        layout = self._layouts.get(len(value))
        if layout is None:
            return None
        unpack, price_size, price_limit, quantity_size, quantity_limit = layout
        try:
            # fmt: off
            (
                prefix, trade_id, low, high, size_of_price, price_bytes, size_of_quantity, quantity_bytes, kinds,
                low_2, middle_2, high_2, low_3, middle_3, high_3, first_id, last_id, counted, low_4, middle_4, high_4, origin,
            ) = unpack(value)
            # fmt: on
            event_time = time_bases[high_2] + MIDDLE_BITS[middle_2] + LOW_BITS[low_2]
            received_at = time_bases[high_3] + MIDDLE_BITS[middle_3] + LOW_BITS[low_3]
            sequence = (_high_bits(high) or _learn_high_bits(high)) + LOW_BITS[low]
            side = _SIDES[kinds]
            count = _COUNTS[counted]
        except KeyError:
            return None
        price = _from_bytes(price_bytes, "big")
        quantity = _from_bytes(quantity_bytes, "big")
        if (
            trade_id != self._expected
            or prefix != self._prefix
            or size_of_price != price_size
            or size_of_quantity != quantity_size
            or not 0 < price < price_limit
            or not 0 < quantity < quantity_limit
            or high_4 not in time_bases
            or middle_4 not in MIDDLE_BITS
            or low_4 not in LOW_BITS
            or origin  # what did not come by a stream is rare
            or received_at > limit
            or (event_time > received_at and event_time > received_at + skew)
            or (not trade_id == first_id == last_id and not (_is_point_id(first_id) and _is_point_id(last_id)))
        ):
            return None
        number = self._number
        self._number = number + 1
        ending = (number + 1) % 100
        if ending:
            self._expected = self._beginning + _ENDINGS[ending]
        else:
            self._expect(number + 1)
        return number, event_time, price, quantity, price * quantity, side, sequence, received_at, first_id, last_id, count

    def learn(self, value: bytes, number: int) -> None:
        """Remember how this trade is laid out, which is valid, and its number."""
        size = len(value)
        if number % _RETRIED_EVERY and size in self._layouts and self._layouts[size] is None:
            return  # some feeds have nothing but rare ones, and to look takes a third of the time to read
        self._expect(number + 1)
        self._layouts[size] = _layout_of(value, len(self._prefix))

    def _expect(self, number: int) -> None:
        """Have this be the number of the next trade; it is read only with three digits or more."""
        text = b"%d" % number
        self._number = number
        self._expected = bytes((2 * len(text),)) + text if len(text) > 2 else b""
        self._beginning = self._expected[:-2]


def _layout_of(value: bytes, at: int) -> _Layout | None:
    """The layout of a valid trade whose fields follow its instrument at `at`; None when it is one too rare to be known."""
    sequence = _end_of_sized(value, at)
    price = sequence + 1
    while value[price - 1] > 127:
        price += 1
    quantity = _end_of_sized(value, price)
    side = _end_of_sized(value, quantity)
    times = side + (3 if value[side] else 2)
    if (
        not _SHORTEST_NUMBER <= price - sequence <= _LONGEST_NUMBER
        or value[price] + value[quantity] > _LONGEST_FIGURES
        or value[side:times] not in _SIDES
    ):
        return None
    first = times + 16
    last = _end_of_sized(value, first)
    count = _end_of_sized(value, last)
    if len(value) != count + 11:
        return None
    return _layout(at, sequence - at, price - sequence, value[price], value[quantity], times - side, last - first, count - last)


def _learn_high_bits(high: bytes) -> int:
    """What the bytes behind the two low ones of a number stand for. Raises KeyError when it does not end with them."""
    found = 0
    for byte in reversed(high):
        found = found << 7 | byte & 127
    if min(high[:-1], default=128) < 128 or high[-1] > 127:
        raise KeyError(high)
    if len(_highs) >= _MOST_HIGHS:
        _highs.clear()
    _highs[high] = found << 13
    return found << 13


def _is_point_id(sized: bytes) -> bool:
    """Whether it is an id that a run holds, its size before it."""
    return sized[0] == 2 * len(sized) - 2 <= 2 * LONGEST_POINT_ID and len(sized) > 1 and sized.isascii()


def _end_of_sized(value: bytes, at: int) -> int:
    return at + 1 + (value[at] >> 1)


@lru_cache(4096)
def _layout(prefix: int, trade_id: int, sequence: int, price: int, quantity: int, side: int, first: int, last: int) -> _Layout:
    fields = f"<{prefix}s{trade_id}sH{sequence - 2}sB{price >> 1}sB{quantity >> 1}s{side}sHHIHHI{first}s{last}sHHHIB"
    limits = FIGURE_LIMITS[price], FIGURE_LIMITS[quantity]
    return _Layout(struct.Struct(fields).unpack, price, limits[0], quantity, limits[1])
