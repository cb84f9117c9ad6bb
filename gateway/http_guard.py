"""uvicorn's HTTP protocol with the limits it lacks: time and size of a request, number of connections.

A client that opens a connection and sends half a request would otherwise hold it for ever. Overrides callbacks of
`HttpToolsProtocol`, so uvicorn's minor version is pinned and a test holds the contract.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.refusals import ErrorCode, Refusal

_LINGER_SECONDS = 1.0
"""How long is listened to somebody who was turned away in the middle of a request; what he says is thrown away."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


def _too_large(status: bytes, message: str) -> bytes:
    error = orjson.dumps({"error": Refusal(ErrorCode.MESSAGE_TOO_LARGE, message).body()})
    head = b"connection: close\r\ncontent-type: application/json\r\ncontent-length: %d" % len(error)
    return b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, head, error)


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection, until it becomes a WebSocket or ends. `bind` sets the limits."""

    max_connections: ClassVar[int] = 10_500
    request_seconds: ClassVar[float] = 10.0
    head_bytes: ClassVar[int] = 1 << 16
    body_bytes: ClassVar[int] = 1 << 18

    _deadline: asyncio.TimerHandle | None = None
    _received = 0
    _body = 0
    _has_head = False
    _is_over = False

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
        if self._is_over or self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)  # which sets the count to zero when a request is complete
        if not self._has_head and self._received > self.head_bytes:
            text = f"the head of the request has more than the {self.head_bytes} bytes that are accepted"
            self._turn_away(_too_large(b"431 Request Header Fields Too Large", text))

    def on_message_begin(self) -> None:
        """A request begins, perhaps a further one on this connection."""
        super().on_message_begin()
        self._start_clock()

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._has_head = True
        if not self._is_over:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body += len(body)
        if self._body <= self.body_bytes:
            super().on_body(body)
        elif not self._is_over:
            text = f"the body of the request has more than the {self.body_bytes} bytes that are accepted"
            self._turn_away(_too_large(b"413 Content Too Large", text))

    def on_message_complete(self) -> None:
        """A request is complete."""
        super().on_message_complete()
        self._stop_clock()
        self._received = 0
        self._body = 0
        self._has_head = False

    def handle_websocket_upgrade(self) -> None:
        """The connection passes to another protocol."""
        self._stop_clock()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as the parent does at the end: the two refer to each other

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
        if self.transport.is_closing():
            return
        is_answering = self.pipeline or (self.cycle and self.cycle.response_started and not self.cycle.response_complete)
        if not is_answering:
            self.transport.write(answer)
        if self.cycle is not None:  # who waits for the rest of the request waits in vain
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._received and self.transport.can_write_eof():
            self._is_over = True
            self.transport.write_eof()  # a full close would answer what still comes by a reset, which may eat our answer
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
