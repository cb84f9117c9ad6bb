"""The server users would write first: `websockets` with one `broadcast()` for each message to those who asked for it.

It reads the topic as the gateway does and sends the same messages, but knows no tokens, snapshots, limits or filters.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection, broadcast, serve

from gateway.channels.trade import describe
from gateway.messages import encode
from gateway.tail import Tail
from market.trade import Trade
from runtime.kafka import admin_options, registry_options, tail_options
from runtime.settings import load
from schemas.contract import open_contract
from schemas.topics import TRADES


async def main(config: str, port: int) -> None:
    """Serve until killed."""
    settings = load(Path(config))
    codec = open_contract(
        admin_options(settings.kafka, "broadcast"), registry_options(settings.registry), settings.topics.partitions, [TRADES]
    )
    options = tail_options(settings.kafka, "broadcast", without_offset="error")
    tail = Tail(options, settings.kafka.bootstrap, {TRADES.name: 0}, codec.decode)
    rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)

    def take(arrivals: list[Any]) -> float:
        now = time.time_ns() // 1000
        for source, record in arrivals:
            if isinstance(record, Trade) and (room := rooms.get(record.instrument)):
                broadcast(room, encode("trade_data", now, describe(record), source.metadata()).decode())
        return 0.0

    async def talk(connection: ServerConnection) -> None:
        asked: list[str] = []
        try:
            async for text in connection:
                asked = orjson.loads(text)["symbols"]
                for symbol in asked:
                    rooms[symbol].add(connection)
                await connection.send(encode("subscribe", 0, {}).decode())
        finally:
            for symbol in asked:
                rooms[symbol].discard(connection)

    async with serve(talk, "127.0.0.1", port, backlog=2048, compression=None):
        await tail.run(take, lambda problem: None)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
