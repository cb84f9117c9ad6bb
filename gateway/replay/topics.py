"""Reads the retained topics for replays, each with a consumer of its own, in threads of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.kafka_records import Decode, arrival_of, is_of, offset_of, partition_of_message, stored_at
from gateway.messages import Arrival
from gateway.past import PastFailed, PastGone
from gateway.progress import Partition
from gateway.replay.archive import Polled, Reading, Wanted, Where
from gateway.replay.lanes import End, Stored
from gateway.topic_past import PastLimits, TopicPast
from market.errors import DataValidationError
from schemas.registry import RegistryError

A = TypeVar("A")

_OPTIONS = {"enable.partition.eof": True, "queued.min.messages": 2_000, "queued.max.messages.kbytes": 4_096}
_LOOKING_BACK = PastLimits(told=500_000, batch=100)
_BATCH = 500
_SECONDS = 8.0
_POLL_SECONDS = 0.1


class TopicArchive:
    """The topics of a cluster. `options` are those of a consumer without a reset policy that would hide a loss (`error`).

    `replays` is how many there are at a time, each of which has a thread.
    """

    def __init__(self, options: Mapping[str, Any], decode: Decode, max_skew: int, replays: int) -> None:
        self._options = {**options, **_OPTIONS}
        self._decode = decode
        self._max_skew = max_skew
        self._past = TopicPast(options, decode, max_skew, _LOOKING_BACK, is_replayed=True)
        self._threads = ThreadPoolExecutor(max(1, replays), "replay")

    async def places(self, partitions: Collection[Partition], time: int) -> dict[Partition, Where]:
        """How partitions stand to a time (microseconds). Raises PastFailed."""
        return await _run(self._threads, lambda: self._places(partitions, time))

    def read(self, partition: Partition, start: int, end: int, instruments: Collection[str]) -> AsyncGenerator[list[Arrival]]:
        """The records of these instruments in a stretch of a partition, in parts. Raises PastGone, PastTooLong, PastFailed."""
        return self._past.read(partition, start, end, instruments)

    def open(self) -> Reading:
        """Read partitions for a replay."""
        return _TopicReading(self._options, self._decode, self._max_skew, self._threads)

    def _places(self, partitions: Collection[Partition], time: int) -> dict[Partition, Where]:
        consumer = Consumer(dict(self._options))
        try:
            asked = [TopicPartition(*partition, time // 1000) for partition in partitions]
            answered = consumer.offsets_for_times(asked, timeout=_SECONDS)
            found = {}
            for place in answered:
                partition = place.topic, place.partition
                first, end = consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_SECONDS)
                found[partition] = Where(first, max(first, place.offset) if place.offset >= 0 else end, end)
            unclear = {partition: where for partition, where in found.items() if where.start == where.first < where.end}
            times = _first_times(consumer, unclear)
        finally:
            consumer.close()
        return {partition: where._replace(first_at=times.get(partition)) for partition, where in found.items()}


class _TopicReading:
    """A consumer of one replay."""

    def __init__(self, options: Mapping[str, Any], decode: Decode, max_skew: int, threads: ThreadPoolExecutor) -> None:
        self._options = dict(options)
        self._decode = decode
        self._max_skew = max_skew
        self._threads = threads
        self._consumer: Consumer | None = None
        self._assigned: frozenset[Partition] = frozenset()
        self._paused: frozenset[Partition] = frozenset()
        self._wanted: Mapping[str, frozenset[bytes]] = {}

    async def assign(self, starts: Mapping[Partition, int], wanted: Wanted) -> None:
        """Read these partitions from these offsets on. Raises PastFailed."""
        self._wanted = {topic: frozenset(instruments) for topic, instruments in wanted.items()}
        self._assigned, self._paused = frozenset(starts), frozenset()
        places = [TopicPartition(*partition, offset) for partition, offset in starts.items()]
        await _run(self._threads, lambda: self._open().assign(places))

    async def poll(self, seconds: float, lacking: Collection[Partition], *, is_full: bool) -> Polled:
        """What has come. Raises PastGone, PastFailed."""
        paused = self._assigned.difference(lacking) if is_full else frozenset()
        return await _run(self._threads, lambda: self._poll(seconds, paused))

    async def decode(self, stored: Sequence[Stored]) -> list[tuple[int, Arrival]]:
        """The records that their topics carry. Raises PastFailed."""
        return await _run(self._threads, lambda: [each for one in stored for each in self._arrival(one)])

    def close(self) -> None:
        """Read no more."""
        if self._consumer is not None:
            self._threads.submit(self._consumer.close)

    # in the thread

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(self._options)
        return self._consumer

    def _poll(self, seconds: float, paused: frozenset[Partition]) -> Polled:
        consumer = self._open()
        if paused != self._paused:
            consumer.resume([TopicPartition(*partition) for partition in self._paused - paused])
            consumer.pause([TopicPartition(*partition) for partition in paused - self._paused])
            self._paused = paused
        first = consumer.poll(seconds)
        if first is None:
            return Polled([], 0.0)
        began = time.thread_time()
        found = [self._stored(message) for message in (first, *consumer.consume(_BATCH - 1, 0))]
        return Polled([each for each in found if each is not None], time.thread_time() - began)

    def _stored(self, message: Message) -> Stored | End | None:
        error = message.error()
        if error is None:
            partition = partition_of_message(message)
            if not is_of(message, self._wanted.get(partition[0], ())):
                return Stored(partition, offset_of(message), stored_at(message))
            return Stored(partition, offset_of(message), stored_at(message), len(message.value() or b""), message)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # the library's spelling of a public code
            return End(partition_of_message(message), offset_of(message))
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise PastGone
        if error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            return None
        raise PastFailed(error.str())

    def _arrival(self, stored: Stored) -> list[tuple[int, Arrival]]:
        try:
            arrival = arrival_of(stored.message, self._decode, self._max_skew, is_replayed=True)
        except DataValidationError:
            return []  # the gateway told of it when it read it first
        except RegistryError as error:
            raise PastFailed(str(error)) from error
        return [(stored.stored_at, arrival)] if arrival else []


def _first_times(consumer: Consumer, partitions: Mapping[Partition, Where]) -> dict[Partition, int]:
    """When the first record of each of these partitions was stored. Raises PastFailed."""
    times: dict[Partition, int] = {}
    consumer.assign([TopicPartition(*partition, where.first) for partition, where in partitions.items()])
    until = time.monotonic() + _SECONDS
    while len(times) < len(partitions):
        message = consumer.poll(_POLL_SECONDS)
        if message is not None:
            error = message.error()
            if error is None:
                times.setdefault(partition_of_message(message), stored_at(message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                times.setdefault(partition_of_message(message), 0)  # all of it was expired or compacted away
        if time.monotonic() > until:
            raise PastFailed("Kafka is silent")
    return times


async def _run(threads: ThreadPoolExecutor, work: Callable[[], A]) -> A:
    """Work of a thread. Raises PastFailed where the broker did not do it."""
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
    except KafkaException as error:
        raise PastFailed(error.args[0].str()) from error
