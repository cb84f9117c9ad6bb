"""The checksum that OKX and Bitget share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from zlib import crc32

from market.depth import Level

LEVELS = 25
_SIGN, _MODULUS = 1 << 31, 1 << 32


def text_of(price: str, size: str) -> str:
    """What the checksum reads of a level: the venue's own texts, trailing zeros and all."""
    return f"{price}:{size}"


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Signed CRC32 of bid, ask, bid, ask, … of the best 25 levels; where a side is shorter the other one goes on alone."""
    alternating = chain.from_iterable(zip_longest(bids, asks))
    number = crc32(":".join(level.text or "" for level in alternating if level is not None).encode())
    return number - _MODULUS if number >= _SIGN else number
