"""The cases of the Autobahn test suite on the real server; `tests/websocket_cases` has the table."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from gateway.service import GatewayOptions
from tests.gateway_running import RawClient, in_loop, running
from tests.websocket_cases import CLOSE, END, Case, cases, close, in_words


def send(client: RawClient, stream: bytes, chop: int) -> None:
    """Send so many octets at a time; what the gateway does not take any more, it has said why."""
    step = chop or len(stream)
    with suppress(ConnectionError):
        for place in range(0, len(stream), step):
            client.socket.sendall(stream[place : place + step])


def outcome(port: int, case: Case) -> tuple[str, ...]:
    """What the gateway answers to a case, up to the end of the connection."""
    client = RawClient(port)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        assert b" 101 " in client.upgrade()
        client.read_json("status")
        try:
            send(client, b"".join(frame.serialize() for frame in case.frames), case.chop)
            frames = [client.read_frame() for _ in case.answers]
            if not frames or frames[-1][0] != CLOSE:
                send(client, close(1000).serialize(), case.chop)
                frames.append(client.read_frame())
        except ConnectionError:
            frames = [(CLOSE, b"\0\0")]
        return in_words(frames, case)
    finally:
        client.close()


@in_loop
async def test_every_case_of_the_suite_is_answered_as_it_wants() -> None:
    async with running(GatewayOptions()) as gateway:

        def failures() -> list[str]:
            found = []
            for case in cases():
                wanted = case.answers if case.answers and case.answers[-1].startswith("close") else (*case.answers, END)
                try:
                    answers: tuple[str, ...] = outcome(gateway.port, case)
                except EOFError:
                    answers = ("ended without a close frame",)
                if answers != wanted:
                    found.append(f"{case.number}: {answers}, not {wanted}")
            return found

        assert await asyncio.to_thread(failures) == []
