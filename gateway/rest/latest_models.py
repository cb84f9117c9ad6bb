"""What the answers of the latest state look like. Decimals are text, times integer microseconds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from gateway.rest.models import Metadata, Micros


class AllMetadata(Metadata):
    """With where the next page begins."""

    cursor: str | None = Field(description="Ask with it for the next page; null where nothing follows.")


class PriceSourceBody(BaseModel):
    """The message that said something, and where it lies."""

    channel: str
    exchange_time: Micros | None
    received_at: Micros
    topic: str
    partition: int
    offset: int


class PricePointBody(BaseModel):
    """A price with its source."""

    price: str
    size: str | None
    source: PriceSourceBody


class PriceBody(BaseModel):
    """What is known of an instrument's prices; null is what no source gives."""

    instrument: str
    bid: PricePointBody | None
    ask: PricePointBody | None
    last: PricePointBody | None
    mark_price: PricePointBody | None
    index_price: PricePointBody | None
    close: PricePointBody | None
    previous_close: PricePointBody | None
    open_24h: str | None
    high_24h: str | None
    low_24h: str | None
    volume_24h: str | None
    amount_24h: str | None
    change_24h: str | None
    change_percent_24h: str | None
    source_24h: PriceSourceBody | None
    received_at: Micros
    quotes_offset: int | None
    trades_offset: int | None


class BookBody(BaseModel):
    """The best levels of a book, each [price, size], best first."""

    instrument: str
    state: Literal["SYNCING", "LIVE", "GAP"]
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    spread: str | None
    imbalance: str | None
    microprice: str | None
    is_crossed: bool
    sequence: int | None
    exchange_time: Micros | None
    received_at: Micros
    source_topic: str
    source_partition: int
    source_offset: int


class VenueBody(BaseModel):
    """A venue: instruments that you may see, and their streams by state."""

    venue: str
    instruments: int
    streams: dict[str, int]


class SummaryBody(BaseModel):
    """What there is."""

    instruments: int
    venues: list[VenueBody]
    clients: int
    data_types: list[str]


class MarketBody(BaseModel):
    """Whether a venue trades now. Its calendar is null where it never closes."""

    venue: str
    status: Literal["OPEN", "CLOSED"]
    calendar: str | None
    zone: str | None
    closes_at: Micros | None
    opens_at: Micros | None
    streams: dict[str, int]
