"""What is known of each connection, and what an operator can do with them: look, disconnect, tell everyone something."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.close_codes import CloseCode
from gateway.messages import encode
from gateway.writing import SocketWriter

if TYPE_CHECKING:
    from gateway.clients import Client
    from gateway.hub import Hub

MOST_TOLD = 500
"""Characters of a notice."""


@dataclass(slots=True)
class ConnectionStats:
    """Counts of one connection since it was opened at `opened_at`; `heard_at` is when its last message came (microseconds).

    `number` is its own as long as the gateway runs, `writer` has counted what was handed to its socket.
    """

    number: int
    opened_at: int
    address: str = ""
    heard_at: int | None = None
    messages_in: int = 0
    bytes_in: int = 0
    errors: int = 0
    writer: SocketWriter | None = None

    def heard(self, size: int, now: int) -> None:
        """A message came."""
        self.messages_in += 1
        self.bytes_in += size
        self.heard_at = now


class Connections:
    """The connections of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def page(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Connections by number, those above `after`; the number to go on behind, None at the end."""
        found = sorted((client for client in self._hub.everyone() if client.stats.number > after), key=_number)
        shown = found[:limit]
        return [describe(client) for client in shown], shown[-1].stats.number if len(found) > limit else None

    def find(self, number: int) -> Client | None:
        """A connection that is there."""
        return next((client for client in self._hub.everyone() if client.stats.number == number), None)

    def announce(self, text: str, clients: Iterable[Client], **more: Any) -> int:
        """Tell these clients something in words; how many they are. Who has shown no token is told nothing."""
        payload = encode("notice", self._hub.now(), {"text": text, **more})
        told = [client for client in clients if client.session.visitor.principal is not None]
        for client in told:
            self._hub.tell(client, "notice", payload)
        self._hub.wake()
        return len(told)

    def disconnect(self, client: Client) -> None:
        """End a connection on behalf of an operator."""
        client.outbox.flush()
        client.close(CloseCode.DISCONNECTED)


def describe(client: Client) -> dict[str, Any]:
    """A connection as answers carry it; no token and no message is among it."""
    stats, principal = client.stats, client.session.visitor.principal
    return {
        "number": stats.number,
        "client_id": client.session.client_id,
        "subject": None if principal is None else principal.subject,
        "address": stats.address,
        "opened_at": stats.opened_at,
        "heard_at": stats.heard_at,
        "subscriptions": client.session.subscriptions.count(),
        "is_behind": client.outbox.behind,
        "waiting_messages": client.outbox.waiting,
        "messages_in": stats.messages_in,
        "bytes_in": stats.bytes_in,
        "messages_out": 0 if stats.writer is None else stats.writer.messages,
        "bytes_out": 0 if stats.writer is None else stats.writer.size,
        "errors": stats.errors,
    }


def _number(client: Client) -> int:
    return client.stats.number
