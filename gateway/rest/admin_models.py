"""What operators ask and are answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.connections import MOST_TOLD
from gateway.rest.models import ConnectionsBody, Metadata, Micros


class ConnectionsMetadata(Metadata):
    """With where the next page begins."""

    next: int | None = Field(description="Ask with it as `after` for the next page; null where nothing follows.")


class ConnectionBody(BaseModel):
    """A connection; counts are since it was opened."""

    number: int
    client_id: str
    subject: str | None = Field(description="Null as long as no token was shown.")
    address: str
    opened_at: Micros
    heard_at: Micros | None = Field(description="When its last message came.")
    subscriptions: int
    is_behind: bool = Field(description="Whether its socket takes no more for now.")
    waiting_messages: int
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int
    errors: int = Field(description="Requests that were refused.")


class RoomBody(BaseModel):
    """A subscription."""

    data_type: str
    instrument: str
    interval: str | None = None


class InspectedBody(ConnectionBody):
    """A connection with its subscriptions."""

    rooms: list[RoomBody]


class NoticeBody(BaseModel):
    """What clients are to be told."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MOST_TOLD)
    subjects: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list, max_length=1000, description="Whose connections; all where none is named."
    )


class ToldBody(BaseModel):
    """How many connections were told."""

    told: int


class StatisticsBody(ConnectionsBody):
    """Totals since the start; `errors` are those of the connections that are there."""

    clients_behind: int
    waiting_messages: int
    errors: int
    failed: int = Field(description="Records that could not be rendered.")
    average_latency_ms: float | None = Field(description="From receiving a record to telling of it.")
    by_instrument: dict[str, int] = Field(description="Messages told, by instrument that may be seen, each counted once.")
