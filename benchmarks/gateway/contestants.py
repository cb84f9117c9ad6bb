"""The servers compared, as they are started; each has a port of its own and is asked by the same clients."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import yaml

from benchmarks.stream.measure import wait_until
from benchmarks.stream.processes import Program
from benchmarks.stream.servers import Server

_SECRET = "a secret of the benchmark, of 32 bytes or more"  # of this run only
_ISSUER, _AUDIENCE = "https://benchmark.example", "tapeline"
_HOUR = 3600
_MANY = {"connections": 20_000, "connections_per_second": 1e5, "subscriptions": 10_000_000, "messages_per_second": 1e6}
"""All clients come from one address here."""


class Running(NamedTuple):
    """A server that runs: where, its process, and the tokens it takes."""

    port: int
    program: Program
    tokens: tuple[str, ...]


@contextmanager
def gateway(server: Server, tokens: int) -> Iterator[Running]:
    """`tapeline gateway` with all its channels, that knows its clients by tokens of their own."""
    port = _free_port()
    text: dict[str, Any] = yaml.safe_load(server.config("gateway", {}).read_text(encoding="utf-8"))
    text["gateway"] = {
        "port": port,
        "max_clients": 20_000,
        "access": {"jwt": {"secret": _SECRET, "issuer": _ISSUER, "audience": _AUDIENCE}},
        "quotas": {"user": _MANY, "address": _MANY},
    }
    config = server.folder / "gateway.yaml"
    config.write_text(yaml.safe_dump(text), encoding="utf-8")
    command = [sys.executable, "-m", "tapeline", "gateway", "-c", str(config)]
    with Program(command, server.folder / "gateway.log", {}) as program:
        _await(port, program, server.folder / "gateway.log")
        yield Running(port, program, tuple(_token(number) for number in range(tokens)))


@contextmanager
def broadcast(server: Server) -> Iterator[Running]:
    """The `websockets` server."""
    port, log = _free_port(), server.folder / "broadcast.log"
    config = server.config("broadcast", {})
    command = [sys.executable, "-m", "benchmarks.gateway.broadcast", str(config), str(port)]
    with Program(command, log, {}) as program:
        _await(port, program, log)
        yield Running(port, program, ())


def _token(number: int) -> str:
    claims = {"sub": f"user-{number}", "iss": _ISSUER, "aud": _AUDIENCE, "exp": int(time.time()) + _HOUR}
    return jwt.encode({**claims, "symbols": ["*"], "data_types": ["*"]}, _SECRET, algorithm="HS256")


def _await(port: int, program: Program, log: Path) -> None:
    """Wait until the port answers, and a second more, in which what was there before is read."""

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, program, f"did not listen; see {log}")
    time.sleep(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
