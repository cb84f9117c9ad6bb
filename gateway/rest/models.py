"""What REST answers look like: one envelope for data, one for errors. Decimals are text, times integer microseconds."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
M = TypeVar("M")

Micros = int


class Answer(BaseModel, Generic[T, M]):
    """Every successful answer."""

    data: T
    metadata: M


class Stamp(BaseModel):
    """When the answer was made, and whether the gateway's own source was undisturbed then."""

    timestamp: Micros = Field(description="Microseconds since the epoch, UTC.")
    state: Literal["LIVE", "STALE"]
    reason: str | None = Field(None, description="What is wrong with the gateway's source when the state is STALE.")


class Metadata(Stamp):
    """With where to go on by WebSocket."""

    resume: str = Field(description="Token with which a subscription goes on from this answer, without a gap.")


class ErrorDetail(BaseModel):
    """Why a request was refused; further fields depend on the code."""

    model_config = ConfigDict(extra="allow")

    code: int
    name: str
    message: str
    symbol: str | None = None
    candidates: list[str] | None = Field(None, description="What may have been meant.")


class ErrorAnswer(BaseModel):
    """Every answer that is an error."""

    error: ErrorDetail


class FieldSource(BaseModel):
    """Where a group of fields comes from, and when it was said."""

    channel: str
    exchange_time: Micros | None
    received_at: Micros


class QuoteSources(BaseModel):
    """Sources of the groups of a quote."""

    book: FieldSource | None
    last: FieldSource | None
    day: FieldSource | None
    mark: FieldSource | None


class QuoteBody(BaseModel):
    """The latest quote of an instrument; null is what no message told yet."""

    instrument: str
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    last: str | None
    last_size: str | None
    open_24h: str | None
    high_24h: str | None
    low_24h: str | None
    volume_24h: str | None
    amount_24h: str | None
    change_24h: str | None
    change_percent_24h: str | None
    mark_price: str | None
    index_price: str | None
    sources: QuoteSources


class QuoteMetadata(Metadata):
    """With the record that changed the quote last."""

    topic: str
    partition: int
    offset: int


class QuotesMetadata(Metadata):
    """With the symbols that have no quote."""

    errors: list[ErrorDetail]


class FeedBody(BaseModel):
    """State of one stream of a venue."""

    venue: str
    channel: str
    instrument: str
    state: str
    reason: str
    changed_at: Micros


class ConnectionsBody(BaseModel):
    """WebSocket clients now, and what passed since the start."""

    clients: int
    subscriptions: int
    opened: int
    most_at_once: int
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int
    conflated: int
    dropped: int


class PartitionBody(BaseModel):
    """How far a partition was read."""

    topic: str
    partition: int
    position: int
    end: int


class CacheBody(BaseModel):
    """Use of the latest-quote store."""

    entries: int
    hits: int
    misses: int
    hit_rate: float | None


class StatusBody(BaseModel):
    """State of the gateway and of the feeds it hears of."""

    ready: bool
    reasons: dict[str, str]
    instruments: int
    feeds: list[FeedBody]
    connections: ConnectionsBody
    cache: CacheBody
    partitions: list[PartitionBody]


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of an endpoint."""
    return {status: {"model": ErrorAnswer} for status in statuses}
