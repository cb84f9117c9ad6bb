"""Frames on their way to sockets: put down for many clients, flushed for many, and written to one connection.

`gateway._writing_compiled` does it sooner where it was built: a plain socket whose transport has nothing left to write is
handed frames directly, many sockets in a row while other threads run. What it does not take goes to the transport, and until
the transport has written that, so does all else: nothing overtakes. That needs the number of the socket's file, which is
given to another connection as soon as this one is lost, so `close` must be called when the transport says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING

from runtime.logs import get_logger

log = get_logger(__name__)


class PlainPending:
    """Frames that wait to be written to one client; its socket is full when it is `behind`, then they go on waiting."""

    __slots__ = ("behind", "flushed_at", "pending", "write")

    def __init__(self, write: Callable[[list[bytes]], None]) -> None:
        self.write = write
        self.pending: list[bytes] = []
        self.behind = False
        self.flushed_at = -inf
        """When whoever flushes did so last (monotonic seconds)."""

    def flush(self) -> None:
        """Write what is pending, unless the client is behind."""
        if self.pending and not self.behind:
            frames, self.pending = self.pending, []
            self.write(frames)


class PlainSocketWriter:
    """Writes to one connection, and counts messages and their bytes."""

    __slots__ = ("_transport", "messages", "size")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.messages = 0
        self.size = 0

    def __call__(self, frames: list[bytes]) -> None:
        """Write frames of messages."""
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        if self.write(data):
            self.messages += len(frames)
            self.size += len(data)

    def write(self, data: bytes) -> bool:
        """Write what is no message; whether the connection took it."""
        return write_or_cut(self._transport, data)

    def close(self) -> None:
        """The connection is lost."""


def put_plainly(clients: Iterable[PlainPending], frame: bytes, dirty: list[PlainPending]) -> None:
    """Put a frame down for these; who had nothing pending joins `dirty`."""
    for client in clients:
        pending = client.pending
        if not pending:
            dirty.append(client)
        pending.append(frame)


def flush_plainly(clients: list[PlainPending], now: float, longest: float) -> tuple[int, float]:
    """Flush these, at `now` in monotonic seconds.

    Returns how many frames were pending, and the seconds since each client was flushed before, added up; of each no more than
    `longest`.
    """
    count, seconds = 0, 0.0
    for client in clients:
        count += len(client.pending)
        seconds += min(now - client.flushed_at, longest)
        client.flushed_at = now
        client.flush()
    return count, seconds


def write_or_cut(transport: asyncio.Transport, data: bytes) -> bool:
    """Have a transport write; False where its connection is closing. Should that fail, it is cut, and others are not harmed."""
    if transport.is_closing():
        return False
    try:
        transport.write(data)
    except Exception:
        log.exception("connection cannot be written to, cut")
        transport.abort()
        return False
    return True


def open_file_of(transport: asyncio.Transport) -> int:
    """The number of the socket's file where it may be written to past the transport, -1 where not.

    Not where bytes are encrypted on the way, nor in event loops other than asyncio's own: it tells a connection that it is lost
    before its file is closed, and keeps no bytes back without counting them.
    """
    socket = transport.get_extra_info("socket")
    is_plain = socket is not None and transport.get_extra_info("sslcontext") is None
    return socket.fileno() if is_plain and isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop) else -1


if TYPE_CHECKING:
    Pending = PlainPending
    SocketWriter = PlainSocketWriter
    flush_all, put_all = flush_plainly, put_plainly
else:
    try:
        from gateway._writing_compiled import Pending, SocketWriter, flush_all, put_all
    except ImportError:  # it was not built
        Pending, SocketWriter, flush_all, put_all = PlainPending, PlainSocketWriter, flush_plainly, put_plainly
