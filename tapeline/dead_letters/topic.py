"""The dead-letter topic on the cluster: read from an offset to its end of now, written to, and cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from market.errors import DataValidationError, MarketDataError
from runtime.errors import ServerUnreachable
from runtime.kafka import admin_options, tail_options
from runtime.settings.servers import KafkaSettings
from schemas.records import Record
from schemas.topics import DEAD_LETTERS
from tapeline.dead_letters.shelf import Shelf

_ASK = 10.0  # seconds a broker may take over a question, and over the next record
_AT_ONCE = 500


class DeadLetterError(MarketDataError):
    """What was asked of the dead letters cannot be done."""

    exit_code = 2


class Found(NamedTuple):
    """A record of a partition; times in microseconds, the broker's."""

    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    appended_at: int


class Partitions:
    """Reads partitions of topics to the end they have when reading begins. Raises ServerUnreachable."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._options = tail_options(kafka, "dlq", without_offset="earliest")

    def extent(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset of a partition and the one after its last. Raises DeadLetterError when there is no such partition."""
        with closing(Consumer(self._options)) as consumer:
            return self._extent(consumer, topic, partition)

    def read(self, topic: str, partition: int, begin: int = 0) -> Iterator[Found]:
        """The records of a partition from an offset, or the first there is behind it, to the end of now."""
        with closing(Consumer(self._options)) as consumer:
            first, end = self._extent(consumer, topic, partition)
            offset = max(first, begin)
            if offset >= end:
                return
            consumer.assign([TopicPartition(topic, partition, offset)])
            deadline = time.monotonic() + _ASK
            while offset < end:
                for message in consumer.consume(_AT_ONCE, 0.5):
                    if (error := message.error()) is not None:
                        raise self._unreachable(error.str())
                    deadline = time.monotonic() + _ASK
                    offset = (message.offset() or 0) + 1
                    if offset <= end:
                        headers: Any = message.headers() or []
                        yield Found(offset - 1, message.value(), headers, message.timestamp()[1] * 1000)
                [reached] = consumer.position([TopicPartition(topic, partition)])
                offset = max(offset, reached.offset)  # passes over what compaction and transactions leave empty
                if offset < end and time.monotonic() > deadline:
                    raise self._unreachable(
                        f"{topic}[{partition}] gives nothing from offset {offset} on, though it ends at {end}"
                    )

    def cut(self, topic: str, partition: int, before: int) -> None:
        """Delete the records before an offset."""
        admin = AdminClient(admin_options(self._kafka, "dlq"))
        try:
            for answer in admin.delete_records([TopicPartition(topic, partition, before)], request_timeout=_ASK).values():
                answer.result(_ASK)
        except KafkaException as error:
            raise self._unreachable(error.args[0].str()) from error

    def _extent(self, consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
        try:
            known = consumer.list_topics(topic, timeout=_ASK).topics[topic]
            if known.error is not None or partition not in known.partitions:
                there = "there is no such topic" if known.error is not None else f"it has {len(known.partitions)} partitions"
                raise DeadLetterError(f"{topic}[{partition}]: {there}")
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ASK)
        except KafkaException as error:
            raise self._unreachable(error.args[0].str()) from error
        return low, high

    def _unreachable(self, reason: str) -> ServerUnreachable:
        return ServerUnreachable("Kafka broker", self._kafka.bootstrap, reason)


class Letters:
    """The records of the dead-letter topic, decoded."""

    def __init__(self, partitions: Partitions, decode: Callable[[bytes | None], Record]) -> None:
        self._partitions = partitions
        self._decode = decode

    def read(self, begin: int = 0) -> Iterator[tuple[int, Record | None]]:
        """Records from an offset on; None for what is none of ours."""
        for found in self._partitions.read(DEAD_LETTERS.name, 0, begin):
            try:
                yield found.offset, self._decode(found.value)
            except DataValidationError:
                yield found.offset, None

    def shelf(self, onto: Shelf | None = None) -> Shelf:
        """What lies there now; with `onto` only what came since is read."""
        shelf = Shelf() if onto is None else onto
        for offset, record in self.read(shelf.end):
            shelf.take(offset, record)
        return shelf


def is_refusal(error: KafkaError) -> bool:
    """Whether a broker will never take a record, rather than not now."""
    return error.code() in (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    )
