"""A line between a worker and the broker that can be disturbed: an asyncio TCP proxy in a thread.

The broker listens on a second port and advertises the proxy's in its place, so that whoever asks the proxy first stays with it
for every later connection, and everybody else goes straight to the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from tapeline.demo.services import free_port

T = TypeVar("T")

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Line:
    """Forwards connections; a test sets what is wrong with them, from any thread."""

    def __init__(self) -> None:
        self.target = free_port()
        self.latency = 0.0
        """Seconds by which every piece is late, in both directions."""
        self.bytes_per_second: int | None = None
        """How much each connection carries at most."""
        self.is_silent = False
        """Everything sent is swallowed, and connections stay open: a black hole."""
        self.cut_after: Callable[[], int] | None = None
        """How many bytes a new connection carries in a direction before it is cut in the middle of whatever it carries."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.cuts = 0
        """Connections that were cut after so many bytes."""

    @property
    def address(self) -> str:
        """Where a worker finds it."""
        return f"127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Take all disturbances away. What a black hole has swallowed is gone: its connections are cut."""
        was_silent = self.is_silent
        self.latency, self.bytes_per_second, self.is_silent, self.cut_after = 0.0, None, False, None
        if was_silent:
            self.reset()

    def reset(self) -> int:
        """End all connections by RST; how many there were."""

        async def end() -> int:
            count = len(self._open)
            for writer in list(self._open):
                _abort(writer)
            return count

        return self._call(end())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self._server.close()

        async def rest() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._call(rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _abort(writer)
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                _abort(end)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried, limit = 0, self.cut_after() if self.cut_after else None
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.is_silent:
                    continue
                if self.latency:
                    await asyncio.sleep(self.latency)
                if self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
                if limit is not None and carried + len(data) >= limit:
                    writer.write(data[: limit - carried])
                    await writer.drain()
                    self.cuts += 1
                    break
                carried += len(data)
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close by RST rather than in good order."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def second_listener(line: Line) -> str:
    """Settings of a broker with a port besides its own that only the line leads to."""
    return (
        f"listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller}},DISTURBED://127.0.0.1:{line.target}\n"
        f"advertised.listeners=PLAINTEXT://{{host}}:{{port}},DISTURBED://127.0.0.1:{line.port}\n"
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DISTURBED:PLAINTEXT\n"
    )
