"""uvicorn's HTTP protocol with the limits it lacks: time and size of a request, number of connections.

A client that opens a connection and sends half a request would otherwise hold it for ever. Overrides callbacks of
`HttpToolsProtocol`, so uvicorn's minor version is pinned and a test holds the contract.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection, until it becomes a WebSocket or ends. `bind` sets the limits."""

    max_connections: ClassVar[int] = 10_500
    request_seconds: ClassVar[float] = 10.0
    request_bytes: ClassVar[int] = 1 << 16

    _deadline: asyncio.TimerHandle | None = None
    _received = 0

    @classmethod
    def bind(cls, *, max_connections: int, request_seconds: float) -> type[GuardedHttp]:
        """The class with these limits."""
        return type("BoundGuardedHttp", (cls,), {"max_connections": max_connections, "request_seconds": request_seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent has it
        """Accept the connection, or turn it away when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._turn_away(_FULL)
        else:
            self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)  # which sets the count to zero when a request is complete
        if self._received > self.request_bytes:
            self._turn_away(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins, perhaps a further one on this connection."""
        super().on_message_begin()
        self._start_clock()

    def on_message_complete(self) -> None:
        """A request is complete."""
        super().on_message_complete()
        self._stop_clock()
        self._received = 0

    def handle_websocket_upgrade(self) -> None:
        """The connection passes to another protocol."""
        self._stop_clock()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self._turn_away, _TIMEOUT)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _turn_away(self, answer: bytes) -> None:
        """End the connection, with an answer unless one is being sent already."""
        self._stop_clock()
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(answer)
            self.transport.close()
