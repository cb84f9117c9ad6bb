"""Prices through a broker to valuations: the time until all totals of a batch, and those of one instrument, are appended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.mtm.load import HOT, RATE, batch, portfolios, symbols, watchers
from benchmarks.stream.launch import Launch
from benchmarks.stream.measure import Stalled
from benchmarks.stream.processes import Program
from benchmarks.stream.samples import percentile
from benchmarks.stream.servers import PARTITIONS, Server
from runtime.kafka import producer_options, registry_options
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.registry import Registry
from schemas.topics import POSITIONS, PRICES, TOPICS

WATCHERS = 100
"""Portfolios that hold the one instrument, and are told at every change of it."""
PATIENCE_SECONDS = 600.0
_ROUNDING_MS = 1
"""Append times have whole milliseconds, cut off: one is added, so that no latency is shown too short."""

Decode = Callable[[bytes], tuple[str, int | None]]
"""From a value to the portfolio and the time of the oldest price in its totals."""


class Contestant(NamedTuple):
    """A worker on prices and portfolios, how its totals are read, and to which topic it tells every line once, if to any."""

    launch: Launch
    decode: Decode
    lines: str | None = None


class Size(NamedTuple):
    """How much is held by how many, and how often it is repriced."""

    portfolios: int
    positions: int
    symbols: int
    rounds: int


class Live:
    """A contestant's portfolios, opened at its broker: `prices` are sent to it, and what it says is waited for."""

    def __init__(self, server: Server, contestant: Contestant, size: Size) -> None:
        with Registry(registry_options(server.settings.registry)) as registry:
            self._codec = registry.codec([POSITIONS, PRICES])
        self._producer = Producer(producer_options(server.settings.kafka, "benchmark", linger_seconds=0.001))
        self._decode = contestant.decode
        output = contestant.launch.output or ""
        self._consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "benchmark", "fetch.wait.max.ms": 10})
        self._consumer.assign([TopicPartition(output, number, 0) for number in range(PARTITIONS)])
        self._names = symbols(size.symbols)
        self._many = [f"p{number}" for number in range(size.portfolios)]
        self._watchers = [f"w{number}" for number in range(WATCHERS)]
        self._chance = random.Random(3)
        self._server, self._size = server, size

    def open(self) -> None:
        """Send the portfolios and a first price of everything."""
        size = self._size
        self._send(POSITIONS.name, portfolios(size.portfolios, size.positions, self._names, seed=1))
        self._send(POSITIONS.name, watchers(WATCHERS))
        self._move([RATE, HOT, *self._names], {*self._many, *self._watchers})

    def is_done(self, lines: str | None) -> bool:
        """Whether a contestant has told every line to this topic, if it does that at all."""
        wanted = len(self._many) * self._size.positions + len(self._watchers)
        return lines is None or self._server.count(lines) >= wanted

    def batch(self) -> float:
        """Milliseconds until the totals of all reflect new prices of all symbols."""
        return max(self._move(self._names, set(self._many)))

    def change(self) -> list[float]:
        """Milliseconds until the totals of each watcher reflect a new price of their instrument."""
        return self._move([HOT], set(self._watchers))

    def close(self) -> None:
        """Give up the connections."""
        self._consumer.close()

    def _move(self, instruments: Sequence[str], waited_for: set[str]) -> list[float]:
        since = time.time_ns() // 1000
        sent_at = self._send(PRICES.name, batch(instruments, since, self._chance, at=since))
        return [appended_ms + _ROUNDING_MS - sent_at / 1000 for appended_ms in self._await(since, waited_for)]

    def _await(self, since: int, portfolios: set[str]) -> list[int]:
        """When the first totals of each portfolio were appended that reflect nothing older. Raises Stalled."""
        found, waiting = dict[str, int](), list[Message]()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < len(portfolios):
            if time.monotonic() > deadline:
                raise Stalled(f"it has told {len(found)} of {len(portfolios)} totals within {PATIENCE_SECONDS:.0f} s")
            while some := self._consumer.consume(10_000, 0.05):
                waiting += some
            for message in waiting:  # not while the worker is busy, whose core it would take
                value: Any = message.value()
                portfolio_id, oldest = self._decode(value)
                if portfolio_id in portfolios and oldest is not None and oldest >= since:
                    found.setdefault(portfolio_id, message.timestamp()[1])
            waiting.clear()
        return list(found.values())

    def _send(self, topic: str, records: Iterable[Record]) -> int:
        """When these were handed to the producer, encoded before: microseconds since the epoch."""
        messages = [(self._codec.encode(topic, record), *TOPICS[topic].place(record)) for record in records]
        sent_at = time.time_ns() // 1000
        for value, key, partition_id in messages:
            while True:
                try:
                    self._producer.produce(topic, value, key, partition_of(partition_id, PARTITIONS))
                except BufferError:
                    self._producer.poll(0.05)
                else:
                    break
        self._producer.flush(PATIENCE_SECONDS)
        return sent_at


def run_live(server: Server, contestant: Contestant, size: Size) -> dict[str, float]:
    """Figures of a contestant. Raises Stalled, ProgramEnded."""
    launch = contestant.launch
    live, pauses = Live(server, contestant, size), random.Random(4)
    try:
        with Program(launch.command, server.folder / f"{launch.group}.log", launch.environment) as program:
            live.open()
            _settle(program, lambda: live.is_done(contestant.lines))
            before, totals, changes = program.usage()[0], list[float](), list[float]()
            for _ in range(size.rounds):
                time.sleep(pauses.uniform(0.3, 0.5))
                totals.append(live.batch())
            cpu = program.usage()[0] - before
            for _ in range(5 * size.rounds):
                time.sleep(pauses.uniform(0.1, 0.3))
                changes += live.change()
            rss = program.usage()[1]
    finally:
        live.close()
    return {
        "totals_p50_ms": percentile(totals, 0.5),
        "totals_p99_ms": percentile(totals, 0.99),
        "totals_cpu_ms": 1e3 * cpu / size.rounds,
        "change_p50_ms": percentile(changes, 0.5),
        "change_p99_ms": percentile(changes, 0.99),
        "rss_mb": rss / 1e6,
    }


def _settle(program: Program, is_done: Callable[[], bool]) -> None:
    """Wait until a contestant is done with what it does besides totals. Raises Stalled, ProgramEnded."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        before = program.usage()[0]
        time.sleep(1.0)
        program.check()
        if is_done() and program.usage()[0] - before < 0.3:
            return
    raise Stalled(f"it is still busy after {PATIENCE_SECONDS:.0f} s")
