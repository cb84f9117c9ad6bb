"""A loop over librdkafka in plain Python (`programs/librdkafka_candles.py`), and the same without any work: its limit."""

from __future__ import annotations

import sys

from benchmarks.stream.launch import Launch
from benchmarks.stream.outputs import decode_fixed
from benchmarks.stream.servers import Server

_PROGRAM = "benchmarks.stream.programs.librdkafka_candles"


def librdkafka(server: Server, group: str) -> Launch:
    """The whole job."""
    return _whole_job(server, group)


def librdkafka_swift(server: Server, group: str) -> Launch:
    """The whole job, each candle written at once."""
    return _whole_job(server, group, "swift")


def librdkafka_limit(server: Server, group: str) -> Launch:
    """Reading and committing only."""
    return Launch(_command(server, group), group)


def _whole_job(server: Server, group: str, *pace: str) -> Launch:
    output = f"benchmark.{group}"
    server.create_topic(output)
    return Launch([*_command(server, group), output, *pace], group, output, decode_fixed)


def _command(server: Server, group: str) -> list[str]:
    return [sys.executable, "-m", _PROGRAM, server.bootstrap, group, str(server.schema_ids.trade)]
