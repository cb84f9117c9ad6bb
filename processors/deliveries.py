"""Records out of the processors, each acknowledged by the broker before anything that depends on it.

What was not delivered in time is sent again, the same bytes, as soon as the fence lets it through, and nothing behind it in its
partition before it: the newest record of a key is the last one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RequestTimedOutError,
)

from processors.fence import Fence
from processors.transport.packing import Output, chunks_of
from processors.transport.producer import BatchProducer, Chunk, Place, RecordRefused, Told
from runtime.logs import get_logger

log = get_logger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds before what failed is sent again: at first, and when it goes on failing."""

MOST_HEADS = 32
"""Partitions in one request; fewer where a line is too slow for so many."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_HOPELESS = (*_TOO_LARGE, InvalidTimestampError, InvalidTopicError, RecordRefused)


class DeliveryFailed(Exception):
    """A record can never be delivered as it is."""


Offsets = dict[Place, int]
"""Highest offset given by the broker, by topic and partition."""

_Queues = dict[Place, deque[Chunk]]


class Deliveries:
    """Sends rounds of records through one producer, which others may use as well."""

    def __init__(self, producer: BatchProducer, fence: Fence, on_failing: Callable[[str | None], None]) -> None:
        self._producer = producer
        self._fence = fence
        self._on_failing = on_failing
        self._failing: set[object] = set()  # of several sends under way
        self._heads = MOST_HEADS

    async def send(self, outputs: Sequence[Output], generation: int) -> Offsets:
        """Send records for a generation and return when the broker has acknowledged all of them, however long it takes.

        Raises Superseded when the partitions have been shared out anew meanwhile, DeliveryFailed where no retry can help.
        """
        offsets: Offsets = {}
        queues = {place: deque(map(Chunk, chunks)) for place, chunks in chunks_of(outputs).items()}
        this = object()
        try:
            async with self._producer.turn(queues):
                await self._empty(queues, generation, offsets, this)
        finally:
            self._failing.discard(this)
            if not self._failing:
                self._on_failing(None)
        return offsets

    async def _empty(self, queues: _Queues, generation: int, offsets: Offsets, this: object) -> None:
        pause = SHORTEST_PAUSE
        try:
            while queues:
                failed = await self._attempt(queues, generation, offsets)
                if failed is None:
                    self._failing.discard(this)
                    pause = SHORTEST_PAUSE
                    continue
                log.warning("sending again what was not delivered", error=failed)
                self._failing.add(this)
                self._on_failing(failed)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._producer.give_up(chunk for chunks in queues.values() for chunk in chunks)

    async def _attempt(self, queues: _Queues, generation: int, offsets: Offsets) -> str | None:
        """Send the first chunk of each queue; what was delivered is taken out. Why something was not, if so."""
        heads = {place: chunks[0] for place, chunks in islice(queues.items(), self._heads)}
        await self._fence.passed(generation)
        try:
            unready = await self._producer.prepare(heads)
        except KafkaError as error:
            return _said(error)
        await self._fence.passed(generation)  # the last look before anything is written
        ready = {place: chunk for place, chunk in heads.items() if place not in unready}
        told = await self._producer.append(ready)
        is_slow = any(isinstance(each, RequestTimedOutError) for each in told.values())
        self._heads = max(len(heads) // 2, 1) if is_slow else min(2 * self._heads, MOST_HEADS)
        reasons = [_take_in(queues, place, each, offsets) for place, each in (unready | told).items()]
        return next(filter(None, reasons), None)


def _take_in(queues: _Queues, place: Place, told: Told, offsets: Offsets) -> str | None:
    """Take out the first chunk of a place if it was appended. Why not, if it was not; raises DeliveryFailed."""
    chunks = queues[place]
    if isinstance(told, KafkaError):
        if _cut_smaller(chunks, told):
            return None
        reason = f"{place[0]}[{place[1]}]: {_said(told)}"
        if isinstance(told, _HOPELESS):
            raise DeliveryFailed(reason)
        queues[place] = queues.pop(place)  # behind those that may fare better
        return reason
    chunks.popleft()
    if not chunks:
        del queues[place]
    if told is not None:
        offsets[place] = told
    return None


def _cut_smaller(chunks: deque[Chunk], error: KafkaError) -> bool:
    """Halve the first chunk where it was too large for the topic; False when that is not so, or it is one record."""
    records = chunks[0].records
    if not isinstance(error, _TOO_LARGE) or len(records) == 1:
        return False
    half = len(records) // 2
    chunks.popleft()
    chunks.extendleft([Chunk(records[half:]), Chunk(records[:half])])
    return True


def _said(error: KafkaError) -> str:
    """The text of an error of the client library, with its name where it has no other."""
    return str(error) or type(error).__name__
