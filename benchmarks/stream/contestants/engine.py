"""Tapeline's own worker, as a user starts it."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.stream.launch import Launch, Prepare
from benchmarks.stream.outputs import avro_decoder
from benchmarks.stream.servers import Server
from schemas.topics import CANDLES, DEAD_LETTERS


def engine(**processors: Any) -> Prepare:
    """The candle agent on RocksDB; `processors` are settings of that section instead or besides."""

    def prepare(server: Server, group: str) -> Launch:
        settings = {"application": group, "agents": ["candles"], "store": "rocksdict", **processors}
        config = server.config(group, settings)
        server.apply(config)
        command = [sys.executable, "-m", "tapeline", "process", "-c", str(config)]
        return Launch(command, group, CANDLES.name, avro_decoder(server.codec), refusals=DEAD_LETTERS.name)

    return prepare
