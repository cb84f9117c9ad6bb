"""What a conversation may ask for, and what follows from a message of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.close_codes import CloseCode
from gateway.messages import Message, Room
from gateway.resumption import Recovering


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one client may do. It may err `errors` times in a row, and once more each `error_pause` microseconds.

    `snapshot_messages` bounds what one request may bring: many symbols times much history.
    """

    message_bytes: int = 1 << 16
    message_depth: int = 16
    subscriptions: int = 1000
    symbols_per_message: int = 500
    venues: int = 50
    snapshot_messages: int = 20_000
    errors: int = 100
    error_pause: int = 100_000

    def describe(self) -> dict[str, int]:
        """The limits a well-behaved client needs to know."""
        return {
            "message_bytes": self.message_bytes,
            "message_depth": self.message_depth,
            "subscriptions": self.subscriptions,
            "symbols_per_message": self.symbols_per_message,
            "snapshot_messages": self.snapshot_messages,
        }


@dataclass(slots=True)
class Outcome:
    """What follows from a client's message, to be carried out in this order; `close` ends the connection after it.

    The rooms `lost` are those the client may no longer be in.
    """

    reply: bytes = b""
    leaves: list[Room] = field(default_factory=list)
    lost: list[Room] = field(default_factory=list)
    joins: list[Room] = field(default_factory=list)
    snapshots: list[Message] = field(default_factory=list)
    recovering: list[Recovering] = field(default_factory=list)
    close: CloseCode | None = None
    refused: bool = False
    start: Callable[[Callable[[bytes], None]], None] | None = None
    """Begins what is answered later, and is given how to answer; then there is no `reply`."""
