"""Writes the load to a broker and remembers where its stretches begin, so that a slow contestant can take the last one only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from confluent_kafka import Producer

from benchmarks.stream.fold import Candles, Fold, joined
from benchmarks.stream.load import TRADES_PER_SECOND, Load, LoadRecord, instrument_names
from benchmarks.stream.servers import PARTITIONS, Offsets, Server
from schemas.partitioning import partition_of
from schemas.topics import TRADES

_HEADROOM = 180
"""Seconds by which the latest event time, that of the closing marks, lies behind now at least."""


@dataclass(frozen=True)
class Stretch:
    """The load from one of its boundaries to its end."""

    start: Offsets
    end: Offsets
    records: int
    expected: Candles


@dataclass(frozen=True)
class Written:
    """The load as it lies in a broker's `md.trades`; a stretch for each boundary, by its name."""

    server: Server
    stretches: dict[str, Stretch]


class Sender:
    """A producer of the trade stream that lingers until a batch has its number of records; `sent` counts them by partition."""

    def __init__(self, server: Server, batch_records: int, instruments: list[str]) -> None:
        self.sent = dict.fromkeys(range(PARTITIONS), 0)
        self._keys = [name.encode() for name in instruments]
        self._partitions = [partition_of(name, PARTITIONS) for name in instruments]
        self._producer = Producer(
            {
                "bootstrap.servers": server.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5_000,
                "batch.num.messages": batch_records,
                "queue.buffering.max.messages": 100_000,
            }
        )

    def send(self, record: LoadRecord) -> None:
        """Queue a record, as soon as there is room."""
        partition = self._partitions[record.instrument]
        while True:
            try:
                self._producer.produce(TRADES.name, record.value, self._keys[record.instrument], partition)
            except BufferError:
                self._producer.poll(0.05)
            else:
                self.sent[partition] += 1
                return

    def flush(self) -> None:
        """Wait until the broker has all of it. Raises RuntimeError."""
        if self._producer.flush(120):
            raise RuntimeError("the broker did not take the whole load")


def write_load(server: Server, stretches: Sequence[tuple[str, int]], *, batch_records: int, seed: int) -> Written:
    """Write a load. `stretches` are names and records of each stretch, the longest first; all of them end where the load ends.

    Raises RuntimeError when the topic's ends are not what was sent.
    """
    names = instrument_names()
    total = stretches[0][1]
    load = Load(seed, _start(total), server.schema_ids, names)
    sender = Sender(server, batch_records, names)
    starts: list[dict[int, int]] = []
    folded: list[Candles] = []
    lengths = [count for _, count in stretches] + [0]
    for count, rest in pairwise(lengths):
        starts.append(dict(sender.sent))
        fold = Fold()
        for record in load.records(count - rest):
            sender.send(record)
            if record.tick is not None:
                fold.add(record.tick)
        folded.append(fold.candles())
    for record in load.closing():
        sender.send(record)
    sender.flush()
    if server.ends(TRADES.name) != sender.sent:
        raise RuntimeError(f"{TRADES.name} ends at {server.ends(TRADES.name)}, but {sender.sent} were sent")
    end = dict(sender.sent)
    found = {}
    for index, (name, _) in enumerate(stretches):
        records = sum(end.values()) - sum(starts[index].values())
        found[name] = Stretch(starts[index], end, records, reduce(joined, folded[index:]))
    return Written(server, found)


def _start(records: int) -> int:
    """Event time of the first trade: on a minute, so early that the last one is past."""
    latest = int(time.time()) - records // TRADES_PER_SECOND - _HEADROOM
    return latest // 60 * 60 * 1_000_000
