"""What operators ask of feeds, and what they are answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.rest.models import FeedBody, Micros

_Name = Annotated[str, Field(min_length=1, max_length=64)]


class VenueBody(BaseModel):
    """Whose feeds are steered, why, and until when."""

    model_config = ConfigDict(extra="forbid")

    venue: _Name = Field(description="Name of a venue, as instruments begin with it.")
    reason: str = Field(min_length=1, max_length=200, description="Told on md.status with who wants it.")
    expires_at: Micros | None = Field(
        None, gt=0, lt=1 << 53, description="Until when, microseconds since the epoch; for good where it is not given."
    )


class StreamsBody(VenueBody):
    """Which streams are wanted, or are not."""

    instruments: tuple[_Name, ...] = Field(min_length=1, max_length=500)
    channels: tuple[_Name, ...] = Field(min_length=1, max_length=50, description="As the venue's feed names them.")


class FeedCommandBody(BaseModel):
    """A command that the broker has."""

    command_id: str
    venue: str
    action: Literal["START", "STOP", "SUBSCRIBE", "UNSUBSCRIBE"]
    instruments: list[str]
    channels: list[str]
    actor: str = Field(description="The subject of the operator.")
    reason: str
    issued_at: Micros
    expires_at: Micros | None
    feeds: list[FeedBody] = Field(description="States of the venue's streams now; empty where no ingest is known to have it.")
