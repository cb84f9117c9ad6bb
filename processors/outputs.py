"""Records out of the processors, acknowledged by the broker before anything that depends on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from market.dead_letter import DeadLetter, fit
from processors.batch import Batch, Refusal
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import DEAD_LETTERS, Topic


class Outputs:
    """Sends records through a Faust producer."""

    def __init__(self, producer: Any, codec: Codec, partitions: int, clock: Callable[[], int]) -> None:
        self._producer = producer
        self._codec = codec
        self._partitions = partitions
        self._clock = clock

    async def send(self, outputs: Iterable[tuple[Topic, Record]]) -> None:
        """Send records and return when the broker has acknowledged all of them, however long it takes."""
        await asyncio.gather(*[await self._send(topic, record) for topic, record in outputs])

    async def refuse(self, batch: Batch, refusals: Iterable[Refusal]) -> None:
        """Write dead letters and return when the broker has acknowledged all of them, however long it takes."""
        now = self._clock()
        await self.send([(DEAD_LETTERS, dead_letter(batch, refusal, now)) for refusal in refusals])

    async def _send(self, topic: Topic, record: Record) -> Any:
        key, partition_id = topic.place(record)
        partition = partition_of(partition_id, topic.partitions(self._partitions))
        return await self._producer.send(topic.name, key, self._codec.encode(topic.name, record), partition, None, None)


def dead_letter(batch: Batch, refusal: Refusal, now: int) -> DeadLetter:
    """The dead letter of a refused record, cut to what the topic takes."""
    raw = refusal.raw
    letter = DeadLetter(
        source=batch.topic,
        source_partition=batch.partition,
        source_offset=raw.offset,
        stage="processors",
        reason=refusal.reason,
        error=refusal.error,
        field=refusal.field,
        key=raw.key,
        value=raw.value,
        truncated=False,
        failed_at=now,
    )
    return fit(letter)
