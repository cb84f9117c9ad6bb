"""The outbox in plain Python: a list."""

from __future__ import annotations

from processors.outputs import Message
from processors.transport.packing import Output


class Outbox:
    """See `processors.outbox.protocol.Outbox`."""

    def __init__(self) -> None:
        self._messages: list[Output] = []

    def append(self, message: Message) -> None:
        """Add a record."""
        self._messages.append(message)

    def take(self) -> list[Output]:
        """What was added since the last time, in order."""
        found, self._messages = self._messages, []
        return found
