"""A gateway on a free port, fed by hand: the real server, without Kafka."""

from __future__ import annotations

import asyncio
import functools
import http.client
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from gateway.client import GatewayClient
from gateway.intake import Deliver, Origin, PartitionProgress, Report
from gateway.portfolios.desk import Sender
from gateway.service import CHECKS, GatewayOptions, run, serve
from runtime.health import Health
from runtime.open_files import allow_files
from runtime.settings import Settings
from schemas.records import Record
from tests.gateway_parts import arrivals, make_origin

PATIENCE = 20.0


_OTHER_FILES = 300
"""Files and sockets of a process besides those of clients."""
_FEWEST_CLIENTS = 200


def allowed_clients(wanted: int) -> int:
    """So many clients of this process, or as many as the system's hard limit of open files allows, but not too few."""
    allowed = allow_files(wanted + _OTHER_FILES)
    clients = min(wanted, allowed - _OTHER_FILES)
    if clients < _FEWEST_CLIENTS:
        needed = _FEWEST_CLIENTS + _OTHER_FILES
        pytest.fail(
            f"the system allows a process {allowed} open files, and {needed} are needed: raise `ulimit -Hn`", pytrace=False
        )
    return clients


class HandFedIntake:
    """An intake whose records come from the test."""

    def __init__(self, *, caught_up: bool = True) -> None:
        self._caught_up = caught_up
        self._offsets: dict[str, int] = {}
        self.deliver: Deliver
        self.report: Report

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Wait until cancelled; records come by `feed`."""
        self.deliver, self.report = deliver, report
        report(None if self._caught_up else "reading recent records: 1 partitions to go")
        await asyncio.Event().wait()

    def feed(self, topic: str, *records: Record) -> None:
        """Deliver records as the next ones of a topic."""
        first = self._offsets.get(topic, 0)
        self._offsets[topic] = first + len(records)
        self.deliver(arrivals(topic, records, first))

    def origin(self) -> Origin:
        """The beginning of every topic."""
        return make_origin()

    def progress(self) -> list[PartitionProgress]:
        """How far each topic was fed."""
        return [PartitionProgress(topic, 0, offset, offset) for topic, offset in self._offsets.items()]


@dataclass
class Running:
    """A running gateway."""

    port: int
    intake: HandFedIntake
    health: Health
    stop: asyncio.Event
    ended: asyncio.Task[None]

    def client(self, **options: Any) -> GatewayClient:
        """A client of it, not connected yet."""
        return GatewayClient(f"ws://127.0.0.1:{self.port}", **options)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and decoded body of a GET."""
        status, _, body = await self.ask("GET", path, **headers)
        return status, orjson.loads(body)

    async def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request."""
        return await self.send(method, path, None, headers)

    async def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a request with a body."""

        def blocking() -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                connection.request(method, path, body, headers=dict(headers))
                response = connection.getresponse()
                return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            finally:
                connection.close()

        return await asyncio.to_thread(blocking)


@asynccontextmanager
async def running(
    options: GatewayOptions | None = None,
    *,
    caught_up: bool = True,
    sender: Callable[[HandFedIntake], Sender] | None = None,
    **collaborators: Any,
) -> AsyncIterator[Running]:
    """Run a gateway for the time of the block; it must end in time and without an error."""
    ports: list[int] = []
    intake, health, stop = HandFedIntake(caught_up=caught_up), Health(CHECKS), asyncio.Event()
    sending = None if sender is None else sender(intake)
    listening = lambda host, port: ports.append(port)  # noqa: E731
    service = serve(options or GatewayOptions(), intake, health, stop, listening, sender=sending, **collaborators)
    ended = asyncio.create_task(service)
    await eventually(lambda: ports or ended.done())
    if ended.done():
        ended.result()
    gateway = Running(ports[0], intake, health, stop, ended)
    await eventually(lambda: hasattr(intake, "deliver"))
    try:
        yield gateway
    finally:
        stop.set()
        await asyncio.wait_for(ended, 15)


@asynccontextmanager
async def gateway_on(settings: Settings) -> AsyncIterator[str]:
    """A gateway of this process on real topics; its address."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    ended = asyncio.create_task(run(settings, stop, lambda host, port: listening.set_result(f"ws://{host}:{port}")))
    done, _ = await asyncio.wait({ended, asyncio.ensure_future(listening)}, return_when=asyncio.FIRST_COMPLETED)
    if ended in done:
        ended.result()
    try:
        yield await listening
    finally:
        stop.set()
        await asyncio.wait_for(ended, 15)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def soon(awaitable: Awaitable[Any]) -> Any:
    """Await with patience, not for ever."""
    return await asyncio.wait_for(asyncio.ensure_future(awaitable), PATIENCE)


async def receive(client: GatewayClient, count: int, kinds: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The next messages of a client, of some types or of any but the greeting."""
    wanted, found = set(kinds), []
    async with asyncio.timeout(PATIENCE):
        async for message in client:
            if (message["type"] in wanted) if wanted else (message["type"] != "status"):
                found.append(message)
            if len(found) == count:
                break
    return found


class RawClient:
    """A WebSocket client made of bytes, to send what no library would."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self._unread = b""
        self.reserved = 0
        """The reserved bits of the last frame that was read."""

    def upgrade(self, path: str = "/api/ws/market", connection: str = "Upgrade", extra: str = "") -> bytes:
        """Send an upgrade request; the head of the answer."""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: {connection}\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
        )
        self.socket.sendall(request.encode())
        while b"\r\n\r\n" not in self._unread:
            self._unread += self._receive()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head

    def send_frame(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True
    ) -> None:
        """Send one frame, valid or not."""
        head = bytes([(0x80 if fin else 0) | reserved | opcode])
        mask_bit = 0x80 if masked else 0
        if len(payload) < 126:
            head += bytes([mask_bit | len(payload)])
        elif len(payload) < 1 << 16:
            head += bytes([mask_bit | 126]) + len(payload).to_bytes(2, "big")
        else:
            head += bytes([mask_bit | 127]) + len(payload).to_bytes(8, "big")
        self.socket.sendall(head + (b"\0\0\0\0" if masked else b"") + payload)

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame. Raises EOFError at the end of the connection."""
        first, second = self._take(2)
        self.reserved = first & 0x70
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first & 0x0F, self._take(size)

    def read_until_close(self) -> int:
        """Close code the server ends with; messages before are read over."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    def read_json(self, kind: str) -> Any:
        """The next message of a type."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 1 and (message := orjson.loads(payload))["type"] == kind:
                return message

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            data = self._receive()
            if not data:
                raise EOFError
            self._unread += data
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _receive(self) -> bytes:
        return self.socket.recv(1 << 16)
