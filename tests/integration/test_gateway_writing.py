"""Writing past transports to real sockets: nothing is lost, comes twice, overtakes, or reaches another connection."""

import asyncio
import itertools
import os
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.writing import Pending, PlainPending, PlainSocketWriter, SocketWriter, flush_all, flush_plainly
from tests.gateway_running import in_loop

CLIENTS = 70
"""More than are written to in a row."""

either = pytest.mark.parametrize(
    ("writer_class", "kind", "flush"), [(PlainSocketWriter, PlainPending, flush_plainly), (SocketWriter, Pending, flush_all)]
)
"""One and the same where nothing was built."""

Writers = type[PlainSocketWriter]
Kind = type[PlainPending]
Flush = Callable[[list[PlainPending], float, float], tuple[int, float]]


class Served(asyncio.Protocol):
    """The near end of a connection: its writer, and whether its file was open when it was told that it is lost."""

    def __init__(self, writer_class: Writers, kind: Kind) -> None:
        self._writer_class, self._kind = writer_class, kind
        self.was_open: bool | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        near = transport.get_extra_info("socket")
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)  # so that it is full now and then
        self.file: int = near.fileno()
        self.writer = self._writer_class(transport)
        self.outbox = self._kind(self.writer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.writer.close()
        try:
            os.fstat(self.file)
            self.was_open = True
        except OSError:
            self.was_open = False
        self.lost.set()


@asynccontextmanager
async def served(writer_class: Writers, kind: Kind, count: int = 1) -> AsyncIterator[list[tuple[Served, socket.socket]]]:
    """Connections over loopback, each with its far end, which does not block and takes little at a time."""
    loop, near = asyncio.get_running_loop(), list[Served]()
    far = list[socket.socket]()

    def accept() -> Served:
        near.append(Served(writer_class, kind))
        return near[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    try:
        for number in range(count):
            end = socket.socket()
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
            far.append(end)
            end.setblocking(False)
            await loop.sock_connect(end, server.sockets[0].getsockname())
            while len(near) <= number or not hasattr(near[-1], "file"):
                await asyncio.sleep(0)
        yield list(zip(near, far, strict=True))
    finally:
        for each in near:
            each.transport.abort()
        for end in far:
            end.close()
        server.close()
        await server.wait_closed()


def taken(end: socket.socket, most: int = 1 << 20) -> bytes:
    """What has come."""
    try:
        return end.recv(most)
    except BlockingIOError:
        return b""


@either
@pytest.mark.parametrize("seed", range(3))
@in_loop
async def test_every_byte_comes_once_and_in_order(writer_class: Writers, kind: Kind, flush: Flush, seed: int) -> None:
    """Frames of all sizes and numbers, and pings between, to clients that read now and then, some of them hardly."""
    chance = random.Random(seed)
    async with served(writer_class, kind, CLIENTS) as connections:
        wanted = [bytearray() for _ in connections]
        got = [bytearray() for _ in connections]
        messages = [0] * CLIENTS
        held_up = 0
        for turn in range(30):
            for number, (near, _) in enumerate(connections):
                if chance.random() < 0.1:
                    near.outbox.flush()  # what is pending comes first
                    near.writer.write(b"<ping %d>" % turn)
                    wanted[number] += b"<ping %d>" % turn
                for _ in range(chance.choice((0, 1, 2, 3, 40))):
                    frame = b"%d:%d" % (number, turn) + b"x" * chance.choice((0, 10, 10, 200, 200, 5000))
                    near.outbox.pending.append(frame)
                    wanted[number] += frame
                    messages[number] += 1
            outboxes = [near.outbox for near, _ in connections]
            flush(outboxes, float(turn), 0.0)
            held_up += sum(near.transport.get_write_buffer_size() > 0 for near, _ in connections)
            for number, (_, end) in enumerate(connections):
                if chance.random() < (0.9 if number % 3 else 0.1):
                    got[number] += taken(end)
            await asyncio.sleep(0)
        assert held_up > 20
        async with asyncio.timeout(20):
            while got != wanted:
                for number, (_, end) in enumerate(connections):
                    got[number] += taken(end)
                await asyncio.sleep(0)
                assert all(len(mine) <= len(ours) for mine, ours in zip(got, wanted, strict=True))
        assert [near.writer.messages for near, _ in connections] == messages
        pings = [sum(map(len, re.findall(rb"<ping \d+>", sent))) for sent in wanted]
        assert [near.writer.size for near, _ in connections] == [len(w) - p for w, p in zip(wanted, pings, strict=True)]


@either
@pytest.mark.parametrize("how", ["close", "abort", "reset"])
@in_loop
async def test_connection_that_is_lost_reaches_no_other(writer_class: Writers, kind: Kind, flush: Flush, how: str) -> None:
    """Its file's number goes to the next connection; the loop says that it is lost before."""
    async with served(writer_class, kind) as connections:
        lost, end = connections[0]
        if how == "reset":
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        else:
            getattr(lost.transport, how)()
        lost.outbox.pending.append(b"between")
        flush([lost.outbox], 1.0, 0.0)  # the loop has not said yet that it is lost
        await asyncio.wait_for(lost.lost.wait(), 10)
        assert lost.was_open
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lost.file)
        pairs = [socket.socketpair()]
        while lost.file not in [each.fileno() for each in itertools.chain(*pairs)]:
            pairs.append(socket.socketpair())
        lost.outbox.pending.append(b"secret")
        flush([lost.outbox], 2.0, 0.0)
        lost.writer.write(b"secret")
        for each in itertools.chain(*pairs):
            each.setblocking(False)
            assert taken(each) == b""
            each.close()


@either
@in_loop
async def test_lost_connection_does_not_keep_others_from_theirs(writer_class: Writers, kind: Kind, flush: Flush) -> None:
    async with served(writer_class, kind, 3) as connections:
        connections[1][1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connections[1][1].close()
        for near, _ in connections:
            near.outbox.pending.append(b"hello")
        flush([near.outbox for near, _ in connections], 1.0, 0.0)
        assert [taken(end) for _, end in (connections[0], connections[2])] == [b"hello", b"hello"]
        await asyncio.wait_for(connections[1][0].lost.wait(), 10)


@either
@in_loop
async def test_connection_that_cannot_be_written_to_is_cut_alone(writer_class: Writers, kind: Kind, flush: Flush) -> None:
    async with served(writer_class, kind, 4) as connections:
        frame = b"x" * 3_000_000  # more than sockets take
        broken = connections[1][0]
        for near, _ in connections:
            near.outbox.pending.append(frame)
        broken.transport.write_eof()  # whatever is written after this is refused
        flush([near.outbox for near, _ in connections], 1.0, 0.0)
        for near, _ in connections:
            near.outbox.pending.append(b"next")
        flush([near.outbox for near, _ in connections], 2.0, 0.0)
        await asyncio.wait_for(broken.lost.wait(), 10)
        for number in (0, 2, 3):
            got = bytearray()
            async with asyncio.timeout(20):
                while len(got) < len(frame) + 4:
                    got += taken(connections[number][1])
                    await asyncio.sleep(0)
            assert got == frame + b"next"
