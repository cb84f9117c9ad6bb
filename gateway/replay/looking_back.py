"""What stood at a time: the last records before it bring channels to what they would have told then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import NamedTuple

from gateway.channel import Channel
from gateway.progress import Partition
from gateway.replay.archive import Archive, Where
from gateway.replay.share import Share
from schemas.partitioning import partition_of
from schemas.topics import BOOKS, CANDLES, DEPTH, PRICES, QUALITY, QUOTES, STATUS, TRADES

LOOK_BACKS = {
    CANDLES.name: 50_000,
    STATUS.name: 20_000,
    PRICES.name: 20_000,
    DEPTH.name: 5_000,
    QUOTES.name: 2_000,
    TRADES.name: 2_000,
    BOOKS.name: 2_000,
    QUALITY.name: 2_000,
}
"""Records of a partition, before the time of a replay, in which snapshots find what stood then."""

Subject = tuple[str, str]
"""Data type and instrument."""


class Found(NamedTuple):
    """Where to read on, and of what cannot be told from the time on, the earliest time from which it can be."""

    starts: dict[Partition, int]
    missing: dict[Subject, int]


class LookingBack:
    """Looks back for one replay. `partitions` says how many partitions a topic has, 0 for one that is not read."""

    def __init__(self, archive: Archive, share: Share, partitions: Callable[[str], int]) -> None:
        self._archive = archive
        self._share = share
        self._partitions = partitions

    async def look_back(self, wanted: list[tuple[Channel, str]], time: int) -> Found:
        """Bring channels to a time for these instruments. Raises PastFailed, PastTooLong, PastGone."""
        found = Found({}, {})
        partitions = {each: self._partitions_of(*each) for each in wanted}
        if not (every := set().union(*partitions.values())):
            return found
        places = await self._archive.places(every, time)
        by_partition: defaultdict[Partition, list[tuple[Channel, str]]] = defaultdict(list)
        for (channel, instrument), own in partitions.items():
            earliest = earliest_of([places[partition] for partition in own], time)
            if earliest is not None:
                found.missing[channel.data_type, instrument] = earliest
                continue
            for partition in own:
                by_partition[partition].append((channel, instrument))
        for partition, subjects in by_partition.items():
            await self._take_in(partition, places[partition], subjects)
            found.starts[partition] = places[partition].start
        return found

    async def _take_in(self, partition: Partition, where: Where, subjects: list[tuple[Channel, str]]) -> None:
        begin = max(where.first, where.start - LOOK_BACKS.get(partition[0], 0))
        instruments = {instrument for _, instrument in subjects}
        async with aclosing(self._archive.read(partition, begin, where.start, instruments)) as parts:
            async for arrivals in parts:
                async with self._share.piece():
                    for arrival in arrivals:
                        for channel, instrument in subjects:
                            if instrument == arrival.record.instrument and isinstance(arrival.record, channel.records):
                                channel.take(arrival)

    def _partitions_of(self, channel: Channel, instrument: str) -> set[Partition]:
        counts = {topic.name: self._partitions(topic.name) for topic in channel.topics}
        return {(topic, partition_of(instrument, count)) for topic, count in counts.items() if count}


def earliest_of(places: Iterable[Where], time: int) -> int | None:
    """From when on a subscription's partitions can be told, where that is later than `time`; None where they can be.

    What begins later because nothing came before is no loss; but where nothing at all is older, the time is before them all.
    """
    there = [where for where in places if where.first < where.end]
    late = [where for where in there if where.first_at is not None and where.first_at > time]
    lost = [where.first_at for where in late if where.first > 0 and where.first_at is not None]
    if lost:
        return max(lost)
    if there and len(late) == len(there):
        return min(where.first_at for where in late if where.first_at is not None)
    return None
