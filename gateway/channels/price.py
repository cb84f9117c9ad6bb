"""PRICE: the latest prices of an instrument (bid, ask, last, mark, index, closes), each with its source, at each change."""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode
from gateway.requests import Request
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.price import FIGURES_24H, POINTS, PricePoint, PriceRecord
from schemas.topics import PRICES


class _Latest:
    """The last prices of an instrument."""

    def __init__(self) -> None:
        self.arrival: Arrival | None = None


class Channel:
    """Prices by instrument, as portfolios are valued by them. A record that takes in nothing newer is not told."""

    data_type = "PRICE"
    message_type = "price_data"
    delivery = "latest"
    records = (PriceRecord,)
    topics = (PRICES,)
    fields = PriceRecord._fields

    def __init__(self, options: ChannelOptions) -> None:
        self._prices: LatestStore[str, _Latest] = LatestStore("prices", options.capacity)

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument may have prices."""
        return Grant(Room(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the prices; None for a record that is not newer than the one kept."""
        record: PriceRecord = arrival.record
        latest = self._prices.entry(record.instrument, _Latest)
        if latest.arrival is not None and not record.is_newer_than(latest.arrival.record):
            return None
        latest.arrival = arrival
        return Room(self.data_type, record.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The prices after this record."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The prices as they stand, if there are any."""
        latest = self._prices.look_up(grant.room.instrument)
        if latest is None or latest.arrival is None:
            return []
        return [self._message(latest.arrival, now, {"snapshot": True})]

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        room = Room(self.data_type, arrival.record.instrument)
        payload = encode(self.message_type, now, describe(arrival.record), metadata | arrival.source.metadata())
        return Message(room, room, arrival.source, payload)


def describe(record: PriceRecord) -> dict[str, Any]:
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
