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
    origin: Literal["backfill", "poll"] | None = Field(description="How it came where no stream told it.")


class FundingBody(BaseModel):
    """What a venue said of a perpetual's funding: the last of a channel in a period."""

    instrument: str
    channel: str
    rate: str = Field(description="What long positions pay short ones, as a fraction of their value.")
    next_funding_time: Micros | None = Field(description="When it is paid next; until then the rate may move.")
    interval_seconds: int | None = Field(description="From one payment to the next.")
    mark_price: str | None
    index_price: str | None
    exchange_time: Micros | None
    received_at: Micros


class OpenInterestBody(BaseModel):
    """How much of a contract is held open: the last of a channel in a period."""

    instrument: str
    channel: str
    open_interest: str = Field(description="In the unit of the instrument's trade sizes: base currency, or contracts.")
    notional: str | None = Field(description="The same in money, where the venue says it.")
    exchange_time: Micros | None
    received_at: Micros


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
