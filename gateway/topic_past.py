"""Reads stretches of the topics for one client at a time, each with a consumer of its own, in threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.kafka_records import Decode, arrival_of, is_of, offset_of
from gateway.messages import Arrival
from gateway.past import PastFailed, PastGone, PastTooLong
from gateway.progress import Partition
from market.errors import DataValidationError
from schemas.registry import RegistryError


@dataclass(frozen=True, slots=True)
class PastLimits:
    """Records read over, and records told, for one stretch; messages a turn; seconds without any until it has failed."""

    scanned: int = 500_000
    told: int = 20_000
    batch: int = 500
    silent_seconds: float = 10.0


_OPTIONS = {"enable.partition.eof": True, "queued.min.messages": 5_000, "queued.max.messages.kbytes": 8_192}
_THREADS = 4


class TopicPast:
    """The past in Kafka. `options` are those of a consumer without a reset policy that would hide a loss (`error`)."""

    def __init__(
        self,
        options: Mapping[str, Any],
        decode: Decode,
        max_skew: int,
        limits: PastLimits = PastLimits(),  # immutable
        *,
        is_replayed: bool = False,
    ) -> None:
        self._options = {**options, **_OPTIONS}
        self._decode = decode
        self._max_skew = max_skew
        self._limits = limits
        self._is_replayed = is_replayed
        self._threads = ThreadPoolExecutor(_THREADS, "past")

    async def read(
        self, partition: Partition, start: int, end: int, instruments: Collection[str]
    ) -> AsyncGenerator[list[Arrival]]:
        """The records of these instruments in a stretch of a partition, in parts.

        Raises PastGone, PastTooLong, PastFailed.
        """
        if start >= end:
            return
        if end - start > self._limits.scanned:
            raise PastTooLong
        loop = asyncio.get_running_loop()
        stretch = _Stretch(self._options, partition, start, self._limits)
        wanted = {instrument.encode() for instrument in instruments}
        told = 0
        try:
            while stretch.position < end:
                messages = await loop.run_in_executor(self._threads, stretch.consume)
                mine = [message for message in messages if offset_of(message) < end and is_of(message, wanted)]
                arrivals = await loop.run_in_executor(self._threads, self._arrivals, mine)
                told += len(arrivals)
                if told > self._limits.told:
                    raise PastTooLong
                yield arrivals
        finally:
            self._threads.submit(stretch.close)

    def _arrivals(self, messages: list[Message]) -> list[Arrival]:
        """The records that their topic carries; the others were told of when the gateway read them, or will be."""
        arrivals = []
        for message in messages:
            try:
                arrival = arrival_of(message, self._decode, self._max_skew, is_replayed=self._is_replayed)
            except DataValidationError:
                continue
            except RegistryError as error:
                raise PastFailed(str(error)) from error
            arrivals += [arrival] if arrival else []
        return arrivals


class _Stretch:
    """A consumer of one partition from an offset on; `position` is the offset after the last one it came to."""

    def __init__(self, options: Mapping[str, Any], partition: Partition, start: int, limits: PastLimits) -> None:
        self.position = start
        self._options = options
        self._partition = partition
        self._limits = limits
        self._consumer: Consumer | None = None

    def consume(self) -> list[Message]:
        """The next messages. Raises PastGone, PastFailed."""
        try:
            first = self._open().poll(self._limits.silent_seconds)
            if first is None:
                raise PastFailed("Kafka is silent")
            rest = self._open().consume(self._limits.batch - 1, 0)  # with a time to wait it would wait for all of them
        except KafkaException as error:
            raise PastFailed(error.args[0].str()) from error
        return [message for message in (first, *rest) if self._pass(message)]

    def close(self) -> None:
        """Give the consumer back."""
        if self._consumer is not None:
            self._consumer.close()

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(dict(self._options))
            self._consumer.assign([TopicPartition(*self._partition, self.position)])
        return self._consumer

    def _pass(self, message: Message) -> bool:
        """Go past a message; whether it is a record."""
        error = message.error()
        if error is None:
            self.position = offset_of(message) + 1
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # the library's spelling of a public code
            self.position = max(self.position, offset_of(message))
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise PastGone
        raise PastFailed(error.str())
