"""Latency: trades sent at 5,000 a second as they would arrive, and the time until a query finds each of them.

A trade can be queried when the sink's stored offset passes it, for both are one transaction. The offsets are asked for every
few milliseconds, so what is shown is at most that much too long. Beside it stands what the broker took of this until it had
appended the trades, below which no sink can be.
"""

from __future__ import annotations

import sys
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import yaml
from confluent_kafka import Message

from benchmarks.stream.live import send_live
from benchmarks.stream.measure import wait_until
from benchmarks.stream.outputs import read_messages
from benchmarks.stream.processes import Program
from benchmarks.stream.samples import percentile
from benchmarks.stream.servers import Server, servers
from runtime.settings import load
from schemas.topics import TRADES
from sinks.stores.postgres import migrate

_EVERY_SECONDS = 0.005
_WARM_UP = 5_000_000
"""Microseconds at the begin that do not count: the sink's caches and the database's are empty."""

_OFFSETS = "SELECT partition, next_offset FROM sink_offsets WHERE topic = %s"
_SENT = "SELECT source_partition, source_offset, extract(epoch FROM received_at) * 1000000 FROM trades"


def latency(dsn: str, seconds: float) -> dict[str, float]:
    """Percentiles in milliseconds of trades that were sent for so long, and of the broker's part."""
    with servers(["sink"]) as found:
        [server] = found.values()
        config = _config(server, dsn)
        migrate(load(config))
        log = server.folder / "sink.log"
        command = [sys.executable, "-m", "tapeline", "sink", "postgres", "-c", str(config)]
        with Program(command, log, {}) as program, psycopg.connect(dsn, autocommit=True) as connection:
            wait_until(lambda: b'"event":"reading"' in log.read_bytes(), program, "did not begin to read")
            with _watched(connection) as seen:
                began = time.time_ns() // 1000
                send_live(server, seconds, seed=1)
                ends = server.ends(TRADES.name)
                wait_until(lambda: all(_last(seen[part]) >= end for part, end in ends.items()), program, "did not store all")
            rows = [(part, offset, int(sent)) for part, offset, sent in connection.execute(_SENT).fetchall()]
        appended = {
            _place(message): message.timestamp()[1] for message in read_messages(server, TRADES.name, dict.fromkeys(ends, 0))
        }
    rows = [row for row in rows if row[2] >= began + _WARM_UP]
    appended_after = [appended[part, offset] - sent / 1000 for part, offset, sent in rows]
    return {"trades": len(rows), **_percentiles("", delays(rows, seen)), **_percentiles("append_", appended_after)}


def delays(rows: Iterable[tuple[int, int, int]], seen: dict[int, list[tuple[int, int]]]) -> list[float]:
    """Milliseconds until each trade (partition, offset, when it was sent) was found.

    `seen` has for each partition in their order the stored offsets and when they were seen first; times in microseconds.
    """
    return [(seen[part][bisect_left(seen[part], (offset + 1, 0))][1] - sent) / 1000 for part, offset, sent in rows]


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {f"{name}{each}_ms": percentile(values, share) for each, share in shares.items()}


def _place(message: Message) -> tuple[int | None, int | None]:
    return message.partition(), message.offset()


@contextmanager
def _watched(connection: psycopg.Connection[tuple[int, int]]) -> Iterator[dict[int, list[tuple[int, int]]]]:
    """What is stored of each partition while the block runs."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY_SECONDS):
            stored = connection.execute(_OFFSETS, (TRADES.name,)).fetchall()
            now = time.time_ns() // 1000
            for part, offset in stored:
                if offset > _last(seen[part]):
                    seen[part].append((offset, now))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _last(offsets: Sequence[tuple[int, int]]) -> int:
    return offsets[-1][0] if offsets else 0


def _config(server: Server, dsn: str) -> Path:
    path = server.config("sink", {})
    settings = {**yaml.safe_load(path.read_text(encoding="utf-8")), "postgres": {"dsn": dsn}}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
