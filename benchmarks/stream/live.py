"""Latency: trades sent at their pace as they would arrive, and the time until a candle that reflects each was appended."""

from __future__ import annotations

import random
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from confluent_kafka import Producer

from benchmarks.stream.fold import MINUTE, CandleId
from benchmarks.stream.load import FIRST_ID, TRADES_PER_SECOND, TradeEncoder, instrument_names, unscaled
from benchmarks.stream.outputs import Output
from benchmarks.stream.servers import PARTITIONS, Server
from market.decimals import ONE
from schemas.partitioning import partition_of
from schemas.topics import TRADES

_TICK_SECONDS = 0.002
_SECOND = 1_000_000
_ROUNDING_MS = 1
"""The broker's append time has whole milliseconds, cut off: one is added, so that no latency is shown too short."""


class Sent(NamedTuple):
    """A trade: the candle it belongs to, its id, and when it was handed to the producer (microseconds), its receive time."""

    key: CandleId
    id: int
    time: int


def send_live(server: Server, seconds: float, seed: int) -> list[Sent]:
    """Send trades at 5,000 a second for so long, with a time mark per instrument and second; what was sent."""
    sender = _LiveSender(server, seed)
    began = time.monotonic()
    next_mark = int(time.time()) + 1
    due = 0
    while (passed := time.monotonic() - began) < seconds:
        while due < passed * TRADES_PER_SECOND:
            sender.trade()
            due += 1
        if time.time() >= next_mark:
            sender.marks(next_mark * _SECOND)
            next_mark += 1
        sender.producer.poll(0)
        time.sleep(_TICK_SECONDS)
    if sender.producer.flush(30):
        raise RuntimeError("the broker did not take the live trades")
    return sender.sent


class _LiveSender:
    def __init__(self, server: Server, seed: int) -> None:
        self.sent: list[Sent] = []
        self.producer = Producer(
            {"bootstrap.servers": server.bootstrap, "acks": "all", "compression.type": "lz4", "linger.ms": 1}
        )
        self._names = instrument_names()
        self._keys = [name.encode() for name in self._names]
        self._partitions = [partition_of(name, PARTITIONS) for name in self._names]
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._names) + 1)))
        self._encoder = TradeEncoder(server.schema_ids, self._names, delay=0)
        self._numbers = [FIRST_ID] * len(self._names)
        self._random = random.Random(seed)

    def trade(self) -> None:
        [index] = self._random.choices(range(len(self._names)), cum_weights=self._weights)
        number, now = self._numbers[index], time.time_ns() // 1000
        self._numbers[index] += 1
        price = self._random.randrange(100, 200) * ONE
        value = self._encoder.trade(index, number, price, unscaled(ONE), b"\x02\x00", now)
        self._produce(index, value)
        self.sent.append(Sent((self._names[index], now - now % MINUTE), number, now))

    def marks(self, moment: int) -> None:
        for index in range(len(self._names)):
            self._produce(index, self._encoder.mark(index, moment))

    def _produce(self, index: int, value: bytes) -> None:
        self.producer.produce(TRADES.name, value, self._keys[index], self._partitions[index])


def appended_after(sent: Sequence[Sent], found: Iterable[tuple[str, int, int]], since: int) -> list[float]:
    """Milliseconds until the broker had appended each trade itself: what no contestant can be below.

    `found` are instrument, id and append time (milliseconds) of the trades in the topic.
    """
    times = {(trade.key[0], trade.id): trade.time for trade in sent if trade.time >= since}
    moments = ((appended_ms, times.get((instrument, number))) for instrument, number, appended_ms in found)
    return [appended_ms + _ROUNDING_MS - time_ / 1000 for appended_ms, time_ in moments if time_ is not None]


def latencies(sent: Sequence[Sent], outputs: Iterable[Output], since: int) -> list[float]:
    """Milliseconds from each trade sent at or after `since` (microseconds) to the first version that reflects it.

    The versions of one candle must come in their order. Raises ValueError when a trade is in none.
    """
    waiting: dict[CandleId, deque[Sent]] = defaultdict(deque)
    for trade in sent:
        waiting[trade.key].append(trade)
    found = []
    for version, appended_ms in outputs:
        queue = waiting[version.key]
        while queue and queue[0].id <= version.last_id:
            trade = queue.popleft()
            if trade.time >= since:
                found.append(appended_ms + _ROUNDING_MS - trade.time / 1000)
    lost = [queue[0] for queue in waiting.values() if queue]
    if lost:
        raise ValueError(f"no candle reflects trade {lost[0].id} of {lost[0].key[0]}")
    return found
