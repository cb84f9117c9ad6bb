"""A WebSocket and REST server on one port of this machine, for tests of what connects to a venue."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

Script = Callable[[ServerConnection, int], Awaitable[None]]


def answer_of(status: HTTPStatus, body: bytes = b"", **headers: str) -> Response:
    """An HTTP answer; underscores in names of headers are dashes."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, status.phrase, Headers({"Content-Length": str(len(body)), "Connection": "close", **names}), body)


class LocalServer:
    """Counts connections, keeps requests, and refuses as told: `refusals` go to WebSockets, `rest_refusals` to REST."""

    def __init__(self) -> None:
        self.connections = 0
        self.open: list[ServerConnection] = []
        self.requests: list[Any] = []
        self.paths: list[str] = []
        self.asked: list[str] = []
        self.refusals: list[Response] = []
        self.rest_refusals: list[Response] = []
        self.is_refusing = False
        self.server: Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, at the same port as before."""
        self.server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit, ssl=tls, close_timeout=0.1, compression=None
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Cut everybody off and listen no more."""
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admit(self, _path: str) -> Response | None:
        """What a WebSocket is refused with."""
        if self.is_refusing:
            return answer_of(HTTPStatus.SERVICE_UNAVAILABLE)
        return self.refusals.pop(0) if self.refusals else None

    def answer(self, _path: str) -> bytes | None:
        """The answer to a REST request, None where there is nothing."""
        return None

    async def converse(self, connection: ServerConnection) -> None:
        """The life of one connection."""
        async for message in connection:
            await self.told(connection, str(message))

    async def told(self, connection: ServerConnection, message: str) -> None:
        """A client said something."""
        self.requests.append(json.loads(message))

    async def _admit(self, _connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade"):
            return self.admit(request.path)
        self.asked.append(request.path)
        if self.rest_refusals:
            return self.rest_refusals.pop(0)
        body = self.answer(request.path)
        return answer_of(HTTPStatus.NOT_FOUND) if body is None else answer_of(HTTPStatus.OK, body)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.open.append(connection)
        try:
            await self.converse(connection)
        finally:
            self.open.remove(connection)


class FakeVenue(LocalServer):
    """A venue whose script is run for each connection, once it has subscribed, with its number from 1."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    async def converse(self, connection: ServerConnection) -> None:
        subscribed, number = asyncio.Event(), self.connections
        listening = asyncio.create_task(self._listen(connection, subscribed))
        try:
            await subscribed.wait()
            await self.script(connection, number)
        finally:
            listening.cancel()

    async def _listen(self, connection: ServerConnection, subscribed: asyncio.Event) -> None:
        async for message in connection:
            self.requests.append(json.loads(message))
            subscribed.set()
            await connection.send(json.dumps({"result": None, "id": self.requests[-1]["id"]}))
