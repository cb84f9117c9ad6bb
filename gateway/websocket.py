"""WebSocket connections: the thin shell between sockets and the hub, and the only server-side user of the library.

uvicorn makes one object of this class for each upgrade request (its `ws=` option), hands over the transport and the request
as bytes, calls `shutdown` when it stops, and waits until every connection has left `server_state.connections`. The
library's `ServerProtocol` does handshake, parsing and closing without I/O; frames made once by `frame_on` go past it
to the socket. A connection has no task, queue or ASGI scope of its own.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, cast

import orjson
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import parse_subprotocol
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.admission import Visitor
from gateway.authentication import SUBPROTOCOL, bearer, offered, one_token
from gateway.clients import Client
from gateway.close_codes import CloseCode
from gateway.door import Door
from gateway.hub import Hub
from gateway.metrics import CLOSED, REFUSED
from gateway.packing import PACKED_SUBPROTOCOL, unpack
from gateway.refusals import ErrorCode, Refusal
from gateway.wire import PLAIN, Wire
from gateway.writing import SocketWriter
from runtime.logs import get_logger

log = get_logger(__name__)

_DATA = (Opcode.TEXT, Opcode.CONT, Opcode.BINARY)

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")

_LIBRARY_LOG = logging.getLogger("gateway.websocket.protocol")
_LIBRARY_LOG.setLevel(logging.WARNING)  # it tells of every connection


_WINDOW_BITS = 9
"""Of the sliding window: the least a client can ask for, and as good as more for messages of this size."""
_COMPRESSION = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=_WINDOW_BITS
)
"""Each message is compressed by itself, so that the frame made once serves every client, and none costs memory between two."""
_DEFLATER = PerMessageDeflate(
    remote_no_context_takeover=True,
    local_no_context_takeover=True,
    remote_max_window_bits=15,
    local_max_window_bits=_WINDOW_BITS,
    compress_settings={"level": 1, "memLevel": 2},
)


def frame_on(payload: bytes, wire: Wire = PLAIN) -> bytes:
    """A message as it stands on the wire, the same for every client of that wire."""
    opcode = Opcode.BINARY if wire.packed else Opcode.TEXT
    plain = _head(opcode, len(payload)) + payload
    return min(plain, Frame(opcode, payload).serialize(mask=False, extensions=[_DEFLATER]), key=len) if wire.deflated else plain


@lru_cache(maxsize=10_000)
def _head(opcode: Opcode, length: int) -> bytes:
    """What the library puts before a payload of this length; messages of most lengths come again and again."""
    frame = Frame(opcode, bytes(length)).serialize(mask=False)
    return frame[: len(frame) - length]


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Limits of a connection, in bytes and seconds.

    A message above `message_bytes` ends the connection (the session answers those above its own, lower limit by an error).
    A client is behind when `unsent_bytes` wait in its socket, and is cut after `slow_seconds` of it, or of a replay, which
    waits for it, after `slow_replay_seconds`. One that came without a token has `token_seconds` to show one. Each is asked
    for a sign of life every `ping_seconds`.
    """

    message_bytes: int = 1 << 18
    unsent_bytes: int = 1 << 18
    slow_seconds: float = 10.0
    slow_replay_seconds: float = 300.0
    close_seconds: float = 5.0
    drain_seconds: float = 5.0
    token_seconds: float = 5.0
    ping_seconds: float = 30.0


class MarketSocket(asyncio.Protocol):
    """One WebSocket connection; `bind` gives the class that belongs to a hub."""

    hub: ClassVar[Hub]
    door: ClassVar[Door]
    limits: ClassVar[SocketLimits]
    compression: ClassVar[bool] = False

    __slots__ = (
        *("_alive", "_client", "_closing", "_connections", "_decoder", "_is_binary", "_loop", "_packed", "_probing", "_slow"),
        *("_text", "_token_due", "_transport", "_writer", "_ws"),
    )

    @classmethod
    def bind(cls, hub: Hub, door: Door, limits: SocketLimits, *, compression: bool = False) -> type[MarketSocket]:
        """The class whose connections talk to this hub; with `compression` clients that offer it get compressed messages."""
        bound = {"hub": hub, "door": door, "limits": limits, "compression": compression, "__slots__": ()}
        return type("BoundMarketSocket", (cls,), bound)

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._connections = cast("set[Any]", server_state.connections)
        self._loop = asyncio.get_running_loop()
        self._ws = ServerProtocol(
            extensions=[_COMPRESSION] if self.compression else None,
            max_size=self.limits.message_bytes,
            select_subprotocol=_select_subprotocol,
            logger=_LIBRARY_LOG,
        )
        self._transport: asyncio.Transport
        self._writer: SocketWriter
        self._client: Client | None = None
        self._text: bytearray | None = None
        self._is_binary = False
        self._packed = False
        self._decoder = _Utf8Decoder()
        self._alive = True
        self._closing: asyncio.TimerHandle | None = None
        self._probing: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._token_due: asyncio.TimerHandle | None = None

    # called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is ours from here."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self.limits.unsent_bytes)
        self._writer = SocketWriter(self._transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self._alive = True
        if self._client is not None and not self.hub.receive_bytes(self._client, len(data)):
            self.close(CloseCode.BYTE_RATE)
        self._ws.receive_data(data)
        if self._ws.state is State.OPEN:
            self._pump()  # answers to pings, before those to messages that ended after them
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame) and self._client is not None:
                self._frame(event)
        if self._client is not None and self._ws.state is not State.OPEN:
            self._client.outbox.flush()  # answers to what came before a close frame, or a wrong one
        self._pump()

    def eof_received(self) -> None:
        """The client sends no more; the transport closes itself after this."""
        self._ws.receive_eof()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._writer.close()
        self._connections.discard(self)
        self._leave()
        for timer in (self._closing, self._probing, self._slow, self._token_due):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """The client does not take what we send: it gets less, and is not listened to, until it does."""
        if self._client is not None:
            self.hub.fall_behind(self._client)
            self._transport.pause_reading()
            patience = self.limits.slow_seconds if self._client.replay is None else self.limits.slow_replay_seconds
            self._slow = self._loop.call_later(patience, self.close, CloseCode.SLOW_CONSUMER)

    def resume_writing(self) -> None:
        """The client takes what we send again."""
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if self._client is not None and self._client.outbox.behind:
            self._transport.resume_reading()
            self.hub.catch_up(self._client)

    # called by uvicorn

    def shutdown(self) -> None:
        """The gateway stops: all clients are told, spread over a while, since all will come back at once."""
        if self._client is None:
            self._transport.close()
            return
        spread = min(self.limits.drain_seconds, self.hub.clients / 1000)
        self._loop.call_later(random.uniform(0, spread), self.close, CloseCode.SERVICE_RESTART)  # noqa: S311  # no secret

    def _probe_in(self, seconds: float) -> None:
        self._probing = self._loop.call_later(seconds, self._probe)

    def _probe(self) -> None:
        """Ask for a sign of life; who gave none since the last time is cut. Who is behind has its own time limit."""
        if self._ws.state is not State.OPEN:
            return
        self._probe_in(self.limits.ping_seconds)
        if self._slow is not None:
            return
        if not self._alive:
            log.info("client is silent, cut", client=self._name)
            self._transport.abort()
            return
        self._alive = False
        self._ws.send_ping(b"")
        self._pump()

    # handshake and messages

    def _handshake(self, request: Request) -> None:
        try:
            entrance = self.door.admit(
                request.path, host=_header(request, "Host"), origin=_header(request, "Origin"), clients=self.hub.clients
            )
            visitor = self.hub.arrive(self._address, _token(request.headers), entrance)
        except Refusal as refusal:
            REFUSED.labels(refusal.code.name).inc()
            self._ws.send_response(self._rejection(refusal))
            return
        response = self._ws.accept(request)
        request.headers.clear()  # the library keeps them as long as the connection: a token, and 2 kB of each client
        self._ws.send_response(response)
        self._pump()
        if self._ws.state is not State.OPEN:
            self.hub.admission.leave(visitor)
            return
        self._packed = self._ws.subprotocol == PACKED_SUBPROTOCOL
        wire = Wire(packed=self._packed, deflated=bool(self._ws.extensions))
        self._client = self.hub.connect(entrance.client_id, self._writer, self.close, visitor, entrance, wire=wire)
        self._client.stats.address = self._address
        self._client.stats.writer = self._writer
        self._probe_in(random.uniform(0.5, 1) * self.limits.ping_seconds)  # noqa: S311  # all who came at once answer at once
        if visitor.principal is None:
            self._token_due = self._loop.call_later(self.limits.token_seconds, self._miss_token, visitor)

    def _miss_token(self, visitor: Visitor) -> None:
        if visitor.principal is None:
            self.close(CloseCode.UNAUTHENTICATED)

    @property
    def _address(self) -> str:
        return str((self._transport.get_extra_info("peername") or ("unknown",))[0])

    def _rejection(self, refusal: Refusal) -> Response:
        response = self._ws.reject(refusal.status, orjson.dumps({"error": refusal.body()}).decode())
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    def _frame(self, frame: Frame) -> None:
        """Take a part of a message; frames that are none, pings above all, are counted as messages are."""
        client = cast("Client", self._client)
        is_data = frame.opcode in _DATA
        counted_later = is_data and frame.fin
        if (counted_later or self.hub.receive_frame(client)) and is_data:
            self._fragment(frame)

    def _fragment(self, frame: Frame) -> None:
        """Gather the fragments of a message; the library bounds their sum."""
        if frame.opcode is not Opcode.CONT:
            self._is_binary = frame.opcode is Opcode.BINARY
        if (self._is_binary and not self._packed) or (frame.opcode is Opcode.CONT and self._text is None):
            if frame.fin and self._client is not None:
                self.hub.refuse(self._client, Refusal(ErrorCode.BINARY_NOT_SUPPORTED, "messages are JSON text, not binary"))
            return
        try:
            if not self._is_binary:
                self._decoder.decode(frame.data, final=frame.fin)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_TEXT, "the text is not UTF-8")
            return
        self._text = bytearray() if self._text is None else self._text
        self._text += frame.data
        if frame.fin:
            text, self._text = bytes(self._text), None
            self._unpack(text) if self._is_binary else self._message(text)

    def _unpack(self, packed: bytes) -> None:
        try:
            text = unpack(packed)
        except Refusal as refusal:
            self.hub.refuse(cast("Client", self._client), refusal)
        else:
            self._message(text)

    def _message(self, text: bytes) -> None:
        try:
            self.hub.receive(cast("Client", self._client), text)
        except Exception:  # one client's message must not harm the others
            log.exception("message failed", client=self._name)
            self.close(CloseCode.INTERNAL_ERROR)

    # closing

    def close(self, code: CloseCode) -> None:
        """Say goodbye with a code; nothing follows it."""
        if self._ws.state is not State.OPEN:
            return
        log.debug("closing", client=self._name, code=code.name)
        self._leave()
        self._ws.send_close(code, code.name.lower().replace("_", " "))
        self._transport.resume_reading()
        CLOSED.labels(str(int(code))).inc()
        self._pump()

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self._client is not None:
            self._client.outbox.flush()
        self._leave()
        self._ws.fail(code, reason)
        self._pump()

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self.hub.disconnect(client)

    @property
    def _name(self) -> str:
        return self._client.session.client_id if self._client else "?"

    # writing

    def _pump(self) -> None:
        """Write what the protocol has to say, and end the connection when it says so."""
        chunks = self._ws.data_to_send()
        if chunks and not self._transport.is_closing():
            if data := b"".join(chunks):
                self._writer.write(data)
            if chunks[-1] == b"":
                self._end()
        if self._closing is None and self._ws.close_expected():
            self._closing = self._loop.call_later(self.limits.close_seconds, self._transport.abort)

    def _end(self) -> None:
        self._leave()
        if self._transport.can_write_eof():
            self._transport.write_eof()  # a full close would answer what still comes by a reset, which eats our close frame
        else:
            self._transport.close()


def _select_subprotocol(protocol: ServerProtocol, offers: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours where it is offered; never the one that holds a token, which would be sent back."""
    return next((Subprotocol(ours) for ours in (PACKED_SUBPROTOCOL, SUBPROTOCOL) if ours in offers), None)


def _token(headers: Headers) -> str | None:
    """The token that a request shows, None when it shows none. Raises Refusal for one that is not shown as it must be."""
    try:
        offers = [name for value in headers.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(value)]
    except InvalidHeader as error:
        raise Refusal(ErrorCode.INVALID_MESSAGE, "the Sec-WebSocket-Protocol header cannot be read") from error
    return one_token(bearer(headers.get_all("Authorization")), offered(offers))


def _header(request: Request, name: str) -> str | None:
    values = request.headers.get_all(name)
    if len(values) > 1:
        raise Refusal(ErrorCode.INVALID_MESSAGE, f"the request has {len(values)} {name} headers")
    return values[0] if values else None
