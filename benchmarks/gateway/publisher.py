"""Trades into the topic at an even pace, from a process of their own; and a bare loop that reads them, for comparison."""

from __future__ import annotations

import multiprocessing
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.stream.load import FIRST_ID, SchemaIds, TradeEncoder, instrument_names, unscaled
from benchmarks.stream.servers import PARTITIONS, Server
from market.decimals import ONE
from market.trade import Trade
from runtime.kafka import producer_options, registry_options
from runtime.settings import KafkaSettings, RegistrySettings
from schemas.partitioning import partition_of
from schemas.registry import Registry
from schemas.topics import TRADES
from tapeline.load.counting import STEP

_TICK_SECONDS = 0.001
_SAMPLED = 20


class Sent(NamedTuple):
    """How many trades of each instrument were sent, and in how many seconds."""

    trades: Counter[int]
    seconds: float


class Publisher:
    """Sends trades when told to; made by `publisher`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def one_of_each(self) -> None:
        """One trade of each instrument, so that all are known."""
        self._pipe.send((0, 0.0))
        self._pipe.recv()

    def begin(self, per_second: int, seconds: float) -> None:
        """Begin to send; `sent` waits for the end."""
        self._pipe.send((per_second, seconds))

    def sent(self) -> Sent:
        """What was sent, when all of it is in the topic."""
        sent: Sent = self._pipe.recv()
        return sent


@contextmanager
def publisher(server: Server) -> Iterator[Publisher]:
    """A process that sends."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=_publish, args=(theirs, server.bootstrap, server.schema_ids), daemon=True)
    child.start()
    theirs.close()
    try:
        yield Publisher(ours)
    finally:
        ours.close()
        child.join(10)
        child.kill()


def _publish(pipe: Connection, bootstrap: str, ids: SchemaIds) -> None:
    names = instrument_names()
    encoder, keys = TradeEncoder(ids, names, delay=0), [name.encode() for name in names]
    partitions = [partition_of(name, PARTITIONS) for name in names]
    producer = Producer(producer_options(KafkaSettings(bootstrap=bootstrap), "benchmark"))
    chance, numbers, size = random.Random(1), [FIRST_ID] * len(names), unscaled(ONE)

    def send(index: int) -> None:
        now = time.time_ns() // 1000
        value = encoder.trade(index, numbers[index], chance.randrange(100, 200) * ONE, size, b"\x02\x00", now)
        numbers[index] += 1
        producer.produce(TRADES.name, value, keys[index], partitions[index])

    while True:
        try:
            per_second, seconds = pipe.recv()
        except EOFError:
            return
        began, sent = time.monotonic(), Counter[int]()
        if not per_second:
            sent.update(range(len(names)))
            for index in sent:
                send(index)
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * per_second) - sent.total()
            for index in chance.choices(range(len(names)), k=due):
                send(index)
                sent[index] += 1
            producer.poll(0)
            time.sleep(_TICK_SECONDS)
        seconds_spent = time.monotonic() - began
        producer.flush(30)
        pipe.send(Sent(sent, seconds_spent))


class BareLoop:
    """Reads the topic, does nothing, and sends some bytes around a socket: what no gateway can be below."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @contextmanager
    def running(self) -> Iterator[Connection]:
        """A process that answers `count` by its latencies since it was last asked: how many took how many steps."""
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        child = spawn.Process(target=_read, args=(theirs, self._server.bootstrap, self._server.settings.registry), daemon=True)
        child.start()
        theirs.close()
        ours.recv()
        try:
            yield ours
        finally:
            ours.close()
            child.join(10)
            child.kill()


def _read(pipe: Connection, bootstrap: str, registry: RegistrySettings) -> None:
    with Registry(registry_options(registry)) as known:
        codec = known.codec([TRADES])
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", "fetch.wait.max.ms": 100})
    ends = [TopicPartition(TRADES.name, number) for number in range(PARTITIONS)]
    for place in ends:
        place.offset = consumer.get_watermark_offsets(place)[1]
    consumer.assign(ends)
    near, far = _connected()
    found, number = Counter[int](), 0
    pipe.send("ready")
    while True:
        message = consumer.poll(0.05)
        if pipe.poll():
            try:
                pipe.recv()
                pipe.send(found)
            except (EOFError, OSError):
                return
            found = Counter()
        value = None if message is None else message.value()
        number += 1
        if value is None or number % _SAMPLED:
            continue
        near.sendall(value)
        far.recv(1 << 16)
        now, trade = time.time_ns() // 1000, codec.decode(value)
        if isinstance(trade, Trade):
            found[max(0, now - (trade.published_at or trade.received_at)) // STEP] += 1


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far
