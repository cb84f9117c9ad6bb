"""An exchange that plays what was recorded of one, over real WebSockets and REST, with faults on command.

Its market goes on whether anybody listens or not: `play` makes the next recorded frames happen, sends them to whoever is
subscribed, and keeps books and trades for those who ask by REST or subscribe later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.exchange.books import LocalBook
from tests.exchange.dialect import Dialect
from tests.exchange.faults import Fault, none
from tests.exchange.server import LocalServer

WITHIN = 30.0


class Exchange(LocalServer):
    """`tape` is what happens, as recorded; `position` is how much of it has happened."""

    def __init__(self, dialect: Dialect, tape: Sequence[bytes]) -> None:
        super().__init__()
        self.dialect = dialect
        self.tape = tape
        self.position = 0
        self.happened: list[bytes] = []
        self.books: dict[str, LocalBook] = {}
        self.subscribed: dict[ServerConnection, set[str]] = {}
        self.pings = 0

    # what happens

    async def play(self, number: int | None = None, fault: Fault = none) -> None:
        """Let the next frames (all that are left) happen."""
        until = len(self.tape) if number is None else min(len(self.tape), self.position + number)
        frames = self.tape[self.position : until]
        self.position = until
        for frame in frames:
            self.happened.append(frame)
            self.dialect.keep_book(self.books, frame)
        for frame in fault(frames):
            await self._send(frame, self.dialect.topic(frame))

    async def chatter(self) -> None:
        """Say something that is no market data."""
        for connection in list(self.subscribed):
            await connection.send(self.dialect.chatter, text=True)

    async def drop(self) -> None:
        """Cut every connection without a word."""
        for connection in list(self.open):
            connection.transport.abort()
        await self.until(lambda: not self.open)

    async def reset_in_a_frame(self) -> None:
        """Begin a text frame of 200 bytes, and cut the connections after 20 of them."""
        for connection in list(self.open):
            connection.transport.write(b"\x81\x7e\x00\xc8" + b'{"stream":"btcusdt@t')
        await asyncio.sleep(0.05)
        await self.drop()

    async def cut_for_renewal(self) -> None:
        """Close the connections in order, as venues do with those of a day's age."""
        for connection in list(self.open):
            await connection.close(1001, "renew")
        await self.until(lambda: not self.open)

    async def close_websocket(self) -> None:
        """Cut every connection and take no new one until told; REST goes on."""
        self.is_refusing = True
        await self.drop()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN):
            while not condition():
                await asyncio.sleep(0.005)

    async def listened_to(self, topics: int) -> None:
        """Wait until so many topics are subscribed to."""
        await self.until(lambda: len(self.topics) == topics)

    @property
    def topics(self) -> set[str]:
        """Topics that somebody is subscribed to."""
        return {topic for topics in self.subscribed.values() for topic in topics}

    async def stop(self) -> None:
        for connection in list(self.open):
            connection.transport.abort()
        await super().stop()

    # clients

    async def converse(self, connection: ServerConnection) -> None:
        self.subscribed[connection] = set()
        try:
            for greeting in self.dialect.greetings:
                await connection.send(greeting)
            await super().converse(connection)
        finally:
            del self.subscribed[connection]

    async def told(self, connection: ServerConnection, message: str) -> None:
        pong = self.dialect.pong(message)
        if pong is not None:
            self.pings += 1
            await connection.send(pong)
            return
        await super().told(connection, message)
        request = self.dialect.request(message)
        for answer in request.answers:
            await connection.send(answer)
        for topic in request.topics:
            if not request.subscribes:
                self.subscribed[connection].discard(topic)
                continue
            self.subscribed[connection].add(topic)
            for told in self.dialect.told_again(topic, self.happened):
                await connection.send(told)
            book = self.books.get(topic)
            if book is not None:
                for frame in self.dialect.snapshots(topic, book):
                    await connection.send(frame)

    def answer(self, path: str) -> bytes | None:
        parts = urlsplit(path)
        return self.dialect.answer(parts.path, dict(parse_qsl(parts.query)), self.books, self.happened)

    async def _send(self, frame: bytes, topic: str | None) -> None:
        for connection, topics in list(self.subscribed.items()):
            if topic is None or topic in topics:
                try:
                    await connection.send(frame, text=True)
                except ConnectionClosed:
                    continue
