"""What an outbox does; there is a compiled one and a plain one, with the same records for each topic and partition."""

from __future__ import annotations

from typing import Protocol

from processors.outputs import Message
from processors.transport.packing import Output


class Outbox(Protocol):
    """Gathers records on their way out."""

    def append(self, message: Message) -> None:
        """Add a record behind those of its topic and partition."""

    def take(self) -> list[Output]:
        """What was added since the last time; the order holds within each topic and partition."""
