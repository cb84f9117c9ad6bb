"""A client of the gateway for Python programs: connect, subscribe, read messages.

    async with GatewayClient("ws://127.0.0.1:8080") as client:
        await client.subscribe("BTC/USDT", data_types=["QUOTE", "TRADE"])
        async for message in client:
            print(message["type"], message["data"])

`token` is a token or API key, or what gives one: it is asked again for each connection. With a `reconnect` policy it connects
again after a loss and goes on where it was: the answers to the subscriptions come as messages, and say in each grant whether
what was missed follows (`resumed`), is being read (`reading`, ended by a `recovery` message) or is gone (`reset`, with a new
snapshot). Without one, iteration ends. Messages wait in a bounded queue: a program that reads too slowly is conflated by the
gateway, as any client. With `packed` it speaks MessagePack instead of JSON, and with `compressed` it offers permessage-deflate,
which a gateway accepts that has `gateway.compression`. `gateway.local_book` keeps order books of its messages.

`parameters={"replay": TIME, "speed": "10"}` asks for a replay, which is not gone on with after a loss: its messages end with
`replay_end`, or it was lost.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from gateway.client_subscriptions import Message, Subscribed
from gateway.close_codes import CloseCode
from gateway.door import MARKET_PATH
from gateway.packing import PACKED_SUBPROTOCOL, encode_packed
from market.errors import SubscriptionError, WebSocketError
from runtime.retry import Backoff, delays

_WAITING_MESSAGES = 1000
_MOST_BYTES = 16 << 20  # the snapshot of the largest portfolio there can be
_RENEWAL = "renewal"
"""Id of the requests by which the tokens to go on with are kept young."""


class Refused(SubscriptionError):
    """The gateway refused a request; `error` is its answer, with code, name and perhaps candidates."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


class NotAdmitted(WebSocketError):
    """The gateway does not let us in with this token, however often we ask."""


class GatewayClient:
    """One connection to a gateway at `url` (ws:// or wss://, without the path); an async context manager.

    Entering it raises WebSocketError when the gateway cannot be reached or does not let us in.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        token: str | Callable[[], str] | None = None,
        tls: ssl.SSLContext | None = None,
        reconnect: Backoff | None = None,
        answer_seconds: float = 10.0,
        renew_seconds: float = 30.0,
        path: str = MARKET_PATH,
        parameters: Mapping[str, str] = {},
        packed: bool = False,
        compressed: bool = False,
    ) -> None:
        given = {**parameters, **({"client_id": client_id} if client_id else {})}
        query = f"?{urlencode(given)}" if given else ""
        self._url = f"{url.rstrip('/')}{path}{query}"
        self.asked_again: dict[str, Message] = {}
        """Requests to be sent anew, without waiting for their answers, whenever it has connected again."""
        self._token = token
        self._tls = tls
        self._reconnect = reconnect
        self._answer_seconds = answer_seconds
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._renew_seconds = renew_seconds
        self._resumes = path == MARKET_PATH and "replay" not in parameters
        """Whether there are tokens to go on with; what is told of portfolios begins anew, and a replay is over."""
        self._packed = packed
        self._compressed = compressed
        self._subscribed = Subscribed()
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Condition()
        self._connection: ClientConnection
        self._reader: asyncio.Task[None]
        self._renewer: asyncio.Task[None] | None = None
        self._closing = False
        self._ended = False
        self.close_code: int | None = None
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        self._connection = await self._open()
        self._reader = asyncio.create_task(self._run())
        if self._reconnect is not None and self._resumes:
            self._renewer = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def subscribe(
        self,
        symbols: str | Iterable[str],
        data_types: Iterable[str] = ("QUOTE",),
        *,
        interval: str | None = None,
        history: int | None = None,
        **settings: Any,
    ) -> Message:
        """Subscribe, and return what was granted (`subscriptions`) and what was not (`refused`).

        `settings` are `fields`, `filter`, `levels` and `max_rate`; subscribing again with others changes them.

        Raises Refused when nothing was granted, WebSocketError when the connection is lost meanwhile.
        """
        request = _named(symbols, data_types) | {"interval": interval, "history": history, **settings}
        return await self.ask("subscribe", {name: value for name, value in request.items() if value is not None})

    async def unsubscribe(self, symbols: str | Iterable[str], data_types: Iterable[str] = ()) -> Message:
        """Unsubscribe from these data types of the symbols, from all if none is named. Raises as `subscribe`."""
        return await self.ask("unsubscribe", _named(symbols, data_types))

    async def subscriptions(self) -> Message:
        """What is subscribed, and what became of its messages (delivered, conflated, dropped). Raises as `subscribe`."""
        return await self.ask("subscriptions", {})

    async def authenticate(self, token: str) -> Message:
        """Show a newer token before the time of the one before is over; what is granted now. Raises as `subscribe`."""
        return await self.ask("authenticate", {"token": token})

    async def ping(self) -> float:
        """Seconds until the gateway answered. Raises as `subscribe`."""
        sent = time.perf_counter()
        await self.ask("ping", {})
        return time.perf_counter() - sent

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._iterate()

    async def close(self) -> None:
        """Leave; messages received before can still be read."""
        self._closing = True
        async with self._changed:
            self._changed.notify_all()
        if self._renewer is not None:
            self._renewer.cancel()
        await self._connection.close()
        if self._reconnect is not None:
            self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader

    # messages

    async def _iterate(self) -> AsyncIterator[Message]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._messages or self._ended)
                if not self._messages:
                    return
                message = self._messages.popleft()
                self._changed.notify_all()
            yield message

    async def ask(self, action: str, fields: Message) -> Message:
        """Send a request and return the data of its answer. Raises Refused, WebSocketError when there is none."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            async with self._changed:
                self._changed.notify_all()  # the reader must get past waiting messages to the answer
            async with asyncio.timeout(self._answer_seconds):
                await self._send({"action": action, "id": number, **fields})
                answer = await future
        except (ConnectionClosed, TimeoutError) as error:
            raise WebSocketError(f"the gateway did not answer {action!r}: {error or 'time is up'}") from error
        finally:
            self._answers.pop(number, None)
        if answer["type"] == "error":
            raise Refused(answer["data"])
        return dict(answer["data"])

    # the connection

    async def _open(self) -> ClientConnection:
        try:
            token = self._token() if callable(self._token) else self._token
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            return await connect(
                self._url,
                compression="deflate" if self._compressed else None,
                proxy=None,
                ssl=self._tls,
                additional_headers=headers,
                subprotocols=[Subprotocol(PACKED_SUBPROTOCOL)] if self._packed else None,
                max_size=_MOST_BYTES,
            )
        except InvalidStatus as error:
            said = (error.response.body or b"").decode(errors="replace")[:500]
            kind = NotAdmitted if error.response.status_code in (401, 403) else WebSocketError
            raise kind(f"{self._url} refuses with status {error.response.status_code}: {said}") from error
        except (OSError, InvalidHandshake, WebSocketException, TimeoutError) as error:
            raise WebSocketError(f"{self._url} cannot be reached: {error}") from error

    async def _send(self, request: Message) -> None:
        await self._connection.send(encode_packed(request) if self._packed else orjson.dumps(request).decode())

    @staticmethod
    def _read(received: str | bytes) -> Message:
        message: Message = orjson.loads(received) if isinstance(received, str) else msgspec.msgpack.decode(received)
        return message

    async def _run(self) -> None:
        try:
            while True:
                await self._receive()
                if self._closing or self._reconnect is None or not _worth_returning(self.close_code):
                    return
                await self._return(self._reconnect)
        except NotAdmitted:
            self.close_code = CloseCode.UNAUTHENTICATED
        finally:
            self._ended = True
            async with self._changed:
                self._changed.notify_all()

    async def _receive(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._take(self._read(await self._connection.recv()))
        self.close_code = self._connection.close_code
        for future in self._answers.values():
            if not future.done():
                future.set_exception(WebSocketError(f"the connection was lost, close code {self.close_code}"))

    async def _take(self, message: Message) -> None:
        if self._resumes:
            self._subscribed.take(message)
        if message.get("id") == _RENEWAL:
            return
        future = self._answers.get(message.get("id", -1))
        if future is not None and not future.done():
            future.set_result(message)
            return
        async with self._changed:
            self._messages.append(message)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: len(self._messages) < _WAITING_MESSAGES or self._answers or self._closing)

    async def _return(self, policy: Backoff) -> None:
        """Connect again, as often as it takes, and ask for what was granted before."""
        for delay in delays(policy):
            await asyncio.sleep(delay)
            try:
                self._connection = await self._open()
                break
            except NotAdmitted:
                raise
            except WebSocketError:
                continue
        self.reconnects += 1
        with suppress(ConnectionClosed):  # then the reader notices, and it begins again
            for subscription in self._subscribed:
                await self._send(subscription.request())
            for request in self.asked_again.values():
                await self._send(request)

    async def _renew(self) -> None:
        """Ask now and then for a token of everything that has come, so that a quiet subscription does not stand far back."""
        while True:
            await asyncio.sleep(self._renew_seconds)
            with suppress(ConnectionClosed):
                await self._send({"action": "ping", "id": _RENEWAL})


def _named(symbols: str | Iterable[str], data_types: Iterable[str]) -> Message:
    return {"symbols": [symbols] if isinstance(symbols, str) else list(symbols), "data_types": list(data_types)}


def _worth_returning(code: int | None) -> bool:
    try:
        return code is None or CloseCode(code).reconnect
    except ValueError:
        return True
