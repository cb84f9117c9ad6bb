"""PRICE: the latest prices of an instrument (bid, ask, last, mark, index, closes), each with its source, at each change."""

from __future__ import annotations

from typing import Any

from gateway.channels._latest_record import LatestRecordChannel
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.price import FIGURES_24H, POINTS, PricePoint, PriceRecord
from schemas.topics import PRICES


class Channel(LatestRecordChannel):
    """Prices by instrument, as portfolios are valued by them. A record that takes in nothing newer is not told."""

    data_type = "PRICE"
    message_type = "price_data"
    store = "prices"
    records = (PriceRecord,)
    topics = (PRICES,)
    fields = PriceRecord._fields

    def is_newer(self, record: PriceRecord, kept: PriceRecord) -> bool:
        """Whether any of its sources went on."""
        return record.is_newer_than(kept)

    def describe(self, record: PriceRecord) -> dict[str, Any]:
        """Prices as messages carry them."""
        figures = {name: getattr(record, name) for name in FIGURES_24H}
        return record._asdict() | {
            **{name: _point(getattr(record, name)) for name in POINTS},
            **{name: None if value is None else format_decimal(value, _scale(name)) for name, value in figures.items()},
            "source_24h": None if record.source_24h is None else record.source_24h._asdict(),
        }


def _scale(name: str) -> int:
    return AMOUNT_SCALE if name == "amount_24h" else SCALE


def _point(point: PricePoint | None) -> dict[str, Any] | None:
    if point is None:
        return None
    size = None if point.size is None else format_decimal(point.size)
    return {"price": format_decimal(point.price), "size": size, "source": point.source._asdict()}
