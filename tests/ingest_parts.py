"""Small parts for the tests of ingest: a clock turned by hand, a producer without a broker, recordings, frames."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from ingest import feeds
from ingest.feed import Parser
from ingest.playback import Playback
from ingest.publisher import TOPIC_OF, Publisher
from ingest.recorded import Frame, Item
from ingest.recordings import read_recordings
from schemas.codec import Codec
from schemas.records import Record

ROOT = Path(__file__).parent.parent
SAMPLE = sorted((ROOT / "tapeline" / "samples").glob("*.gz"))
CRYPTOFEED = ROOT / "tests" / "data" / "cryptofeed"
SPOT = CRYPTOFEED / "BINANCE-20211012" / "BINANCE.ws.1.0.gz"
SPOT_LISTING = CRYPTOFEED / "BINANCE-20211012" / "BINANCE.0.gz"
FUTURES = CRYPTOFEED / "BINANCE_FUTURES-20210722" / "BINANCE_FUTURES.ws.1.0.gz"
FUTURES_LISTING = CRYPTOFEED / "BINANCE_FUTURES-20210722" / "BINANCE_FUTURES.0.gz"

NOW = 1_723_161_600_000_000
"""A full minute: 2024-08-09 00:00:00 UTC."""

ALL_DATA = Path(os.environ.get("TAPELINE_DATA", ROOT / ".." / "shared" / "data"))
PARTITIONS = 4
IDS = {(topic.name, kind): number for number, (kind, topic) in enumerate(TOPIC_OF.items(), start=1)}


@cache
def recorded_trades() -> list[bytes]:
    """Frames of Binance's trades, as the sample has them."""
    frames = (item.data for item in read_recordings(SAMPLE[:1]) if isinstance(item, Frame))
    return [frame for frame in frames if b"@trade" in frame[:30]]


class FakeClock:
    """Time stands still but for pauses, which take no time."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now
        self.pauses: list[float] = []

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1e6

    async def sleep(self, seconds: float) -> None:
        await self.pause(seconds, asyncio.Event())

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        self.pauses.append(seconds)
        self.time += round(seconds * 1e6)
        await asyncio.sleep(0)


class FakeMessage:
    """What a delivery report tells of a record."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topic(self) -> str:
        return self._topic


class FakeProducer:
    """Keeps what is produced; deliveries are reported by `poll` once `answer` was called."""

    def __init__(self, options: Mapping[str, Any], *, room: int = 1_000_000) -> None:
        self.options = dict(options)
        self.room = room
        self.sent: list[tuple[str, bytes, bytes, int]] = []
        self.refuse: Exception | None = None
        self.error: KafkaError | None = None
        self.holds_back = False
        self._waiting: list[tuple[str, Callable[[Any, Any], None]]] = []

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, on_delivery: Callable[[Any, Any], None]) -> None:
        if self.refuse is not None:
            raise self.refuse
        if len(self._waiting) >= self.room:
            raise BufferError("queue full")
        self.sent.append((topic, key, value, partition))
        self._waiting.append((topic, on_delivery))

    def poll(self, timeout: float) -> int:
        if self.holds_back:
            return 0
        waiting, self._waiting = self._waiting, []
        for topic, on_delivery in waiting:
            on_delivery(self.error, FakeMessage(topic))
        return len(waiting)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return len(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)


class FakeHealth:
    """Remembers what readiness was told."""

    def __init__(self) -> None:
        self.told: dict[str, str | None] = {}

    def ready(self, check: str) -> None:
        self.told[check] = None

    def not_ready(self, check: str, reason: str) -> None:
        self.told[check] = reason


class Bench:
    """A publisher with everything around it at hand."""

    def __init__(self, room: int = 1_000_000, writers: Callable[[Codec], None] = lambda _codec: None) -> None:
        self.clock = FakeClock()
        self.health = FakeHealth()
        self.codec = Codec(IDS, lambda _id: None)
        writers(self.codec)
        self.publisher = Publisher(
            {"bootstrap.servers": "nowhere"},
            self.codec,
            PARTITIONS,
            health=self.health,
            clock=self.clock,
            make_producer=lambda options: self._producer(options, room),  # type: ignore[arg-type,return-value]  # it does what is used
        )

    def _producer(self, options: dict[str, Any], room: int) -> FakeProducer:
        self.producer = FakeProducer(options, room=room)
        return self.producer

    def sent(self) -> list[Record]:
        return [self.codec.decode(value) for _, _, value, _ in self.producer.sent]


def combined(stream: str, data: Mapping[str, Any]) -> bytes:
    """A frame of a combined stream, written as Binance does."""
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def trade_frame(number: int = 1, *, at: int = NOW, price: str = "100.00", symbol: str = "BTCUSDT", **fields: Any) -> bytes:
    """A frame of the spot trade stream; `at` in microseconds."""
    message = {
        "e": "trade",
        "E": at // 1000,
        "s": symbol,
        "t": number,
        "p": price,
        "q": "1.5",
        "T": at // 1000,
        "m": False,
        "M": True,
        **fields,
    }
    return combined(f"{symbol.lower()}@trade", {name: value for name, value in message.items() if value is not ...})


def parser(market: str | None = "spot", listings: Mapping[str, Mapping[str, str]] | None = None) -> Parser:
    """A parser of Binance frames."""
    return feeds.load("binance").parser(market, listings or {}, 5_000_000)


def played(items: Iterable[Item], venue: str = "binance", playback: Playback | None = None) -> list[Record]:
    """The records of recorded items."""
    playback = playback or Playback(feeds.load(venue))
    return [record for item in items for record in playback.take(item)]


def played_files(*paths: Path, venue: str = "binance") -> list[Record]:
    """The records of recorded files."""
    return played(read_recordings(paths), venue)
