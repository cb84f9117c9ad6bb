"""Latest records of topics, read without a group, the compacted ones from their beginnings on; every call may block.

Unlike what the group delivers these begin anew wherever this worker gets a partition, so that all there is of it is known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from market.errors import DataValidationError
from runtime import metrics
from runtime.logs import get_logger
from schemas.checks import check_carried
from schemas.codec import Codec
from schemas.records import Record
from schemas.registry import RegistryError

log = get_logger(__name__)

_AT_ONCE = 2_000

GATHER_SECONDS = 0.04
PAUSE_SECONDS, BURST_PAUSE_SECONDS = 0.005, 0.01
"""How long more of the same burst is waited for: in all, after a single record, and after several, which are valued together
for the longer since what they move may not be told again at once. What was read is decoded meanwhile."""
_REGISTRY_RETRY_SECONDS = 1.0

Place = tuple[str, int]
"""Topic and partition."""


class Arrival(NamedTuple):
    """A record as it was read; None where its key was deleted, or where keys are all that is read of its topic."""

    topic: str
    partition: int
    key: str
    record: Record | None
    is_there: bool = False


class Tail:
    """Reads the partitions it was told last. `max_skew` is what ingest grants exchanges' clocks, in microseconds.

    Of the topics `from_end` only what comes after a partition was taken up is read, of those in `keys_of` only which keys there
    are.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        codec: Codec,
        max_skew: int,
        from_end: AbstractSet[str] = frozenset(),
        keys_of: AbstractSet[str] = frozenset(),
    ) -> None:
        self._consumer = Consumer({**options, "enable.partition.eof": True})
        self._codec = codec
        self._max_skew = max_skew
        self._from_end = from_end
        self._keys_of = keys_of
        self._next: dict[Place, int] = {}
        self._behind: set[Place] = set()
        self._ahead: list[Message] = []  # delivered, and not read yet
        self._is_over = True  # the last burst, as far as silence says so
        self._lock = threading.Lock()  # a read goes on for a moment after who waited for it was cancelled
        self._is_closed = False

    @property
    def is_caught_up(self) -> bool:
        """Whether every partition was read to its end since it was taken up."""
        return not self._behind

    def offsets(self, topic: str) -> dict[int, int]:
        """Next offset of each partition of a topic, in their order."""
        return {partition: offset for (name, partition), offset in sorted(self._next.items()) if name == topic}

    def read(self, places: frozenset[Place], seconds: float) -> list[Arrival]:
        """What comes from these partitions, waiting so long for the first record. Raises KafkaException."""
        with self._lock:
            if self._is_closed:
                return []
            self._assign(places)
            ahead, self._ahead = self._ahead, []
            first = None if ahead else self._consumer.poll(seconds)
            messages = ahead if first is None else [first]
            return self._gather([*messages, *self._consumer.consume(_AT_ONCE, 0)]) if messages else []

    def has_more(self) -> bool:
        """Whether the last burst that was read seemed over, and more of it has come; does not block.

        Where records come without end that is never so.
        """
        with self._lock:
            if self._is_closed or not self._is_over:
                return False
            if len(self._ahead) < _AT_ONCE:
                self._ahead += self._consumer.consume(_AT_ONCE, 0)
            return self._count_awaited(self._ahead) > 1

    def close(self) -> None:
        """Leave the broker."""
        with self._lock:
            self._is_closed = True
            self._consumer.close()

    def _gather(self, messages: list[Message]) -> list[Arrival]:
        """These messages and those of the same burst: to value it in parts would make its last part wait for the first.

        Decoding takes longer than most pauses of a burst, so what there is after it is taken however late it is. Keys set
        nothing off: no more is waited for because of them.
        """
        deadline = time.monotonic() + GATHER_SECONDS
        found: list[Arrival] = []
        taken, awaited, until = 0, 0, deadline
        while messages:
            taken += len(messages)
            awaited += self._count_awaited(messages)
            until = time.monotonic() + (BURST_PAUSE_SECONDS if awaited > 1 else PAUSE_SECONDS)
            found += filter(None, map(self._arrival, messages))
            if taken >= _AT_ONCE:
                break
            messages = self._consumer.consume(_AT_ONCE, 0)
            if not messages and awaited and (left := min(until, deadline) - time.monotonic()) > 0:
                messages = self._consumer.consume(1, left)
        self._is_over = taken < _AT_ONCE and until <= max(deadline, time.monotonic())
        return found

    def _count_awaited(self, messages: list[Message]) -> int:
        """Records that are read for more than their keys."""
        return sum(message.error() is None and message.topic() not in self._keys_of for message in messages)

    def _assign(self, places: frozenset[Place]) -> None:
        gone, new = self._next.keys() - places, places - self._next.keys()
        if gone:
            self._consumer.incremental_unassign([TopicPartition(*place) for place in gone])
        if new:
            self._consumer.incremental_assign([TopicPartition(*place, self._begin(place)) for place in new])
        for place in gone:
            del self._next[place]
        self._next |= dict.fromkeys(new, 0)
        self._behind = (self._behind - gone) | new

    def _begin(self, place: Place) -> int:
        return OFFSET_END if place[0] in self._from_end else OFFSET_BEGINNING

    def _arrival(self, message: Message) -> Arrival | None:
        place = str(message.topic()), int(message.partition() or 0)
        error = message.error()
        if error is not None:
            self._on_error(place, error, int(message.offset() or 0))
            return None
        if place not in self._next:
            return None  # of a partition let go of
        self._next[place] = int(message.offset() or 0) + 1
        key, value = message.key() or b"", message.value()
        try:
            record = None if value is None or place[0] in self._keys_of else self._decode(place[0], key, value)
            return Arrival(*place, key.decode(), record, is_there=value is not None)
        except (DataValidationError, UnicodeDecodeError) as problem:  # nobody checks the key of a deletion before
            metrics.ERRORS.labels("undecodable").inc()
            log.error("passing over a record", topic=place[0], partition=place[1], offset=message.offset(), error=str(problem))
            return None

    def _on_error(self, place: Place, error: KafkaError, offset: int) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public name of librdkafka
            if place in self._next:
                self._next[place] = max(self._next[place], offset)
            self._behind.discard(place)
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("reading is in trouble", topic=place[0], partition=place[1], error=error.str())

    def _decode(self, topic: str, key: bytes, value: bytes) -> Record:
        while True:
            try:
                return check_carried(topic, key, self._codec.decode(value), max_skew=self._max_skew)
            except RegistryError as error:
                log.warning("waiting for the schema registry", error=str(error))
                time.sleep(_REGISTRY_RETRY_SECONDS)


def places_of(topic: str, partitions: Iterable[int]) -> frozenset[Place]:
    """Partitions of a topic."""
    return frozenset((topic, partition) for partition in partitions)
