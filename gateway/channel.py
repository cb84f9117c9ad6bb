"""A kind of message clients can subscribe to: the one interface of the files in `gateway/channels`, and their loading."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import gateway.channels
from gateway.messages import Arrival, Message, Room
from gateway.requests import Request
from runtime.errors import ConfigurationError, Problem
from schemas.records import Record
from schemas.topics import Topic


class Grant(NamedTuple):
    """A subscription as it was granted; `settings` are echoed to the client."""

    room: Room
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What channels can be told: `capacity` bounds latest values, `history_size` the candles kept of each series."""

    capacity: int = 10_000
    history_size: int = 1000
    intervals: Sequence[str] = field(default=("1m",))


class Channel(Protocol):
    """State and messages of one data type. Everything runs on the event loop and returns at once.

    `take` is called with every arrival of its `records`, in order; only if the room it returns has members is `render` called
    next with the same arrival. So what a snapshot tells and what follows live join without a gap.
    """

    data_type: ClassVar[str]
    """How clients name it: QUOTE."""
    message_type: ClassVar[str]
    """The type of its messages: market_data."""
    delivery: ClassVar[str]
    """What a subscriber gets: `latest` (each change, only the latest when it falls behind), `all`, `history` then live,
    or `deltas` to a snapshot."""
    records: ClassVar[tuple[type[Record], ...]]
    """What it reads."""
    topics: ClassVar[tuple[Topic, ...]]
    """Where that stands."""
    fields: ClassVar[tuple[str, ...]]
    """Names of the fields that the data of its messages has."""

    def __init__(self, options: ChannelOptions) -> None: ...

    def grant(self, instrument: str, request: Request) -> Grant:
        """What a request for this instrument gets. Raises Refusal."""
        ...

    def take(self, arrival: Arrival) -> Room | None:
        """Bring the state up to a record; the room that shall hear of it, None when it tells nothing new."""
        ...

    def render(self, arrival: Arrival, now: int) -> Message:
        """The message of the record just taken; `now` is the time in microseconds."""
        ...

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """What a new subscriber hears before anything live."""
        ...


def channel_names() -> list[str]:
    """Names of all channels there are: the files of the folder."""
    return sorted(module.name for module in pkgutil.iter_modules(gateway.channels.__path__) if module.name[0] != "_")


def find_channels(names: Sequence[str]) -> list[type[Channel]]:
    """The named channels. Raises ConfigurationError naming one that does not exist."""
    existing = channel_names()
    for name in names:
        if name not in existing:
            raise ConfigurationError(
                Problem("gateway.channels", "no such channel", repr(name), hint=f"there are {', '.join(existing)}")
            )
    modules = [import_module(f"{gateway.channels.__name__}.{name}") for name in names]
    return [cast("type[Channel]", module.Channel) for module in modules]
