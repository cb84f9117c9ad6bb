"""Parts for tests of replays: topics in memory, as if they had been stored, and a client of a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

from gateway.door import MARKET_PATH, Entrance
from gateway.hub import Hub
from gateway.messages import Arrival, Source
from gateway.past import PastFailed, PastGone
from gateway.progress import Partition
from gateway.replay.archive import Polled, Reading, Wanted, Where
from gateway.replay.lanes import End, Stored
from gateway.replay.wish import Wish
from schemas.records import Record
from tests.builders import START
from tests.gateway_parts import Listener

SECOND = 1_000_000
_BATCH = 10


class ListedArchive:
    """Topics of one partition each, from lists: `store` appends a record at a time (microseconds)."""

    def __init__(self) -> None:
        self.topics: dict[str, list[tuple[int, Any]]] = {}
        self.expired: dict[str, int] = {}
        """Of a topic, how many records are gone."""
        self.fails = False
        self.read_of: list[tuple[Partition, int, int]] = []
        self.polls = 0

    def store(self, topic: str, at: int, *records: Record) -> None:
        """These records were stored at this time."""
        self.topics.setdefault(topic, []).extend((at, record) for record in records)

    def stored(self, partition: Partition, start: int, most: int) -> list[Arrival]:
        """What stands in a topic from an offset on, so much at most."""
        self.check(partition, start)
        records = self.topics.get(partition[0], [])[start : start + most]
        return [Arrival(Source(*partition, offset, at), record) for offset, (at, record) in enumerate(records, start)]

    def check(self, partition: Partition, start: int) -> None:
        """Raise what reading raises."""
        if self.fails:
            raise PastFailed("Kafka is silent")
        if start < self.expired.get(partition[0], 0):
            raise PastGone

    async def places(self, partitions: Collection[Partition], time: int) -> dict[Partition, Where]:
        """How partitions stand to a time."""
        if self.fails:
            raise PastFailed("Kafka is silent")
        found = {}
        for partition in partitions:
            times = [at for at, _ in self.topics.get(partition[0], ())]
            first = self.expired.get(partition[0], 0)
            start = max(first, sum(at < time for at in times))
            first_at = times[first] if start == first < len(times) else None
            found[partition] = Where(first, start, len(times), first_at)
        return found

    async def read(
        self, partition: Partition, start: int, end: int, instruments: Collection[str]
    ) -> AsyncGenerator[list[Arrival]]:
        """A stretch, record by record."""
        self.read_of.append((partition, start, end))
        for arrival in self.stored(partition, start, end - start):
            if arrival.record.instrument in instruments:
                yield [arrival]

    def open(self) -> Reading:
        """Read for a replay."""
        return _ListedReading(self)


class _ListedReading:
    def __init__(self, archive: ListedArchive) -> None:
        self._archive = archive
        self._starts: dict[Partition, int] = {}
        self._wanted: Wanted = {}

    async def assign(self, starts: Mapping[Partition, int], wanted: Wanted) -> None:
        self._starts, self._wanted = dict(starts), wanted

    async def poll(self, seconds: float, lacking: Collection[Partition], *, is_full: bool) -> Polled:
        await asyncio.sleep(0)
        self._archive.polls += 1
        found: list[Stored | End] = []
        for partition, start in self._starts.items():
            if is_full and partition not in lacking:
                continue
            arrivals = self._archive.stored(partition, start, _BATCH)
            for arrival in arrivals:
                is_wanted = arrival.record.instrument.encode() in self._wanted.get(partition[0], ())
                at = arrival.source.replay_time or 0
                found.append(Stored(partition, arrival.source.offset, at, 100, arrival if is_wanted else None))
            self._starts[partition] = start + len(arrivals)
            if len(arrivals) < _BATCH:
                found.append(End(partition, start + len(arrivals)))
        return Polled(found, 0.0)

    async def decode(self, stored: Sequence[Stored]) -> list[tuple[int, Arrival]]:
        return [(each.stored_at, each.message) for each in stored]

    def close(self) -> None:
        self._starts = {}


class ReplayListener(Listener):
    """A client of a replay of a hub, without a socket."""

    def __init__(self, hub: Hub, at: int = START, speed: float | None = None, token: str | None = None) -> None:
        entrance = Entrance(MARKET_PATH, "replayed", None, Wish(at, speed))
        super().__init__(hub, "replayed", hub.arrive("127.0.0.1", token, entrance), entrance)

    async def heard(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """So many messages of a type at least, as soon as they came."""
        async with asyncio.timeout(10):
            while len(self.of_type(kind)) < count:
                await asyncio.sleep(0.001)
        return self.of_type(kind)
