"""What the answers of the history look like. Decimals are text, times integer microseconds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from gateway.rest.models import Micros, Stamp


class PageMetadata(Stamp):
    """With the instrument that was meant, and where the next page begins."""

    instrument: str
    cursor: str | None = Field(description="Ask with it for the next page; null where nothing follows now.")


class TradeBody(BaseModel):
    """A trade."""

    instrument: str
    trade_id: str
    price: str
    size: str
    side: Literal["buy", "sell"] | None = Field(description="The taker's side.")
    exchange_time: Micros | None
    received_at: Micros
    first_trade_id: str
    last_trade_id: str
    trade_count: int


class CandleBody(BaseModel):
    """A candle; the highest (revision, source_offset) of an open time counts."""

    instrument: str
    interval: str
    open_time: Micros
    close_time: Micros
    kind: Literal["NEW", "UPDATE", "CLOSE", "CORRECTION"]
    revision: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    amount: str
    vwap: str
    taker_buy_volume: str | None
    trade_count: int
    first_trade_id: str
    last_trade_id: str
    is_closed: bool
    complete: bool
    gap: bool
    last_trade_time: Micros
    received_at: Micros
    source_topic: str
    source_partition: int
    source_offset: int


class PriceChangeBody(BaseModel):
    """A change of the price, of which several moves may be told as one (`changes`)."""

    instrument: str
    old_price: str
    new_price: str
    change: str
    change_percent: str
    changes: int
    is_significant: bool
    exchange_time: Micros | None
    received_at: Micros
    source_topic: str
    source_partition: int
    source_offset: int
