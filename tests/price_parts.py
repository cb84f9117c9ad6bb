"""A record of latest prices in which every field is given."""

from __future__ import annotations

from market.decimals import ONE
from market.price import PricePoint, PriceRecord, PriceSource
from tests.builders import INSTRUMENT, START

SOURCE = PriceSource("ticker", START - 1_000, START, "md.quotes", 2, 70)


def make_price() -> PriceRecord:
    """Prices around 100, all of one message."""
    bid, ask, other = (PricePoint(price * ONE, ONE, SOURCE) for price in (99, 101, 100))
    return PriceRecord(
        INSTRUMENT,
        *(bid, ask, other, other, other, other, other),
        *(90 * ONE, 110 * ONE, 80 * ONE, 7 * ONE, 700 * ONE * ONE, 10 * ONE, 11_111_111_111_111),
        *(SOURCE, START, 70, 71),
    )
