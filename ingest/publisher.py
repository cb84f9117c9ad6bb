"""Hands records to the broker: encoded, keyed, on the partition of their instrument, without ever waiting for one of them.

`publish` is synchronous. When the bounded queue is full it says so, and the caller waits for room: a replay is slowed down,
a live feed reads no more from its venue, which buffers or drops us; then gap marks tell what was missed. What does not fit
its schema becomes a dead letter. A delivery that fails for good is lost: it is counted, logged and shown by readiness; an
error after which the client cannot go on is raised by the next `publish`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingest.clock import Clock, SystemClock
from market.dead_letter import DeadLetter
from market.errors import DataPublishError, DataValidationError
from market.feed_status import FeedStatus
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from runtime import metrics
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import DEAD_LETTERS, KLINES, QUOTES, STATUS, TRADES, Topic

log = get_logger(__name__)

TOPIC_OF: Mapping[type[Record], Topic] = {
    Trade: TRADES,
    TimeMark: TRADES,
    GapMark: TRADES,
    Quote: QUOTES,
    Kline: KLINES,
    FeedStatus: STATUS,
    DeadLetter: DEAD_LETTERS,
}
"""Where ingest publishes which records."""

LARGEST_VALUE = 900_000
"""Bytes of a dead letter's original that are kept; below the client's and the broker's default message limits."""

_LONGEST_ERROR = 2_000
_RECORDS_PER_POLL = 100
_LOG_EVERY_SECONDS = 10.0
_WAIT_SECONDS = 0.005
_FATAL = "the Kafka client cannot go on"


class Health(Protocol):
    """Who shows whether publishing works; see `runtime.health.Health`."""

    def ready(self, check: str) -> None:
        """It works."""

    def not_ready(self, check: str, reason: str) -> None:
        """It does not, and why."""


CHECK = "publisher"
"""Name of the readiness check."""


@dataclass(slots=True)
class Delivered:
    """What became of the records handed over. `published`, `delivered` and `failed` are by topic."""

    published: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    waits: int = 0


class Publisher:
    """One idempotent producer. Not safe for several threads; `poll` or `publish` must be called regularly."""

    def __init__(
        self,
        options: Mapping[str, Any],
        codec: Codec,
        partitions: int,
        *,
        health: Health,
        clock: Clock | None = None,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """`options` as `runtime.kafka.producer_options` gives them; `partitions` of the topics kept by instrument."""
        self.counts = Delivered()
        self._codec = codec
        self._partitions = {topic.name: topic.partitions(partitions) for topic in TOPIC_OF.values()}
        self._health = health
        self._clock = clock or SystemClock()
        self._fatal: str | None = None
        self._troubled = False
        self._since_poll = 0
        self._logged_at = float("-inf")
        self._latency = metrics.LATENCY.labels(metrics.Hop.RECEIVE_TO_PUBLISH)
        self._producer = make_producer({**options, "error_cb": self._on_error})

    def publish(self, record: Record) -> bool:
        """Hand a record over; False when the queue is full and nothing was done.

        Raises DataPublishError when the client has broken down.
        """
        if self._fatal is not None:
            raise DataPublishError(f"{_FATAL}: {self._fatal}")
        self._since_poll += 1
        if self._since_poll >= _RECORDS_PER_POLL:
            self.poll()
        topic = TOPIC_OF[type(record)]
        try:
            value = self._codec.encode(topic.name, self._stamped(record))
            return self._produce(topic, record, value)
        except DataValidationError as error:
            return self._refuse(topic, record, error)

    def poll(self) -> None:
        """Take in what the broker said since the last time."""
        self._since_poll = 0
        self._producer.poll(0)

    async def room(self) -> None:
        """Wait a moment for the queue to become shorter; the waiting is counted and logged once in a while."""
        self.counts.waits += 1
        now = self._clock.monotonic()
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            log.warning("the queue to the broker is full, reading waits", queued=len(self._producer), waits=self.counts.waits)
        await asyncio.sleep(_WAIT_SECONDS)
        self.poll()

    async def flush(self, timeout: float) -> int:
        """Wait until everything is delivered, at most `timeout` seconds; how many records were not."""
        return await asyncio.to_thread(self._producer.flush, timeout)

    # one record

    def _stamped(self, record: Record) -> Record:
        if isinstance(record, DeadLetter):
            return fit(record)
        if isinstance(record, Trade):
            now = self._clock.now()
            self._latency.observe(max(0, now - record.received_at) / 1e6)
            return record._replace(published_at=now)
        return record._replace(published_at=self._clock.now())  # type: ignore[call-arg]  # every other record of TOPIC_OF has it

    def _produce(self, topic: Topic, record: Record, value: bytes) -> bool:
        key, partition_id = topic.place(record)
        partition = partition_of(partition_id, self._partitions[topic.name])
        try:
            self._producer.produce(topic.name, value, key, partition, self._on_delivery)
        except BufferError:
            return False
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise DataValidationError("message_too_large", f"{len(value)} bytes are too large for one message") from None
            raise DataPublishError(f"{topic.name}: {error.args[0].str()}") from error
        self.counts.published[topic.name] += 1
        return True

    def _refuse(self, topic: Topic, record: Record, error: DataValidationError) -> bool:
        if topic is DEAD_LETTERS:
            raise DataPublishError(f"a dead letter cannot be published: {error}") from error
        letter = DeadLetter(
            source=topic.name,
            source_partition=None,
            source_offset=None,
            stage="ingest",
            reason=error.reason,
            error=str(error),
            field=error.field,
            key=topic.place(record)[0],
            value=repr(record).encode(),
            truncated=False,
            failed_at=self._clock.now(),
        )
        done = self.publish(letter)
        if done:
            self.counts.refused[error.reason] += 1
        return done

    # what the broker says

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        topic = message.topic() or "?"
        if error is None:
            self.counts.delivered[topic] += 1
            if self._troubled:
                self._troubled = False
                self._health.ready(CHECK)
            return
        self.counts.failed[topic] += 1
        self._trouble(error)
        self._log_once_in_a_while("records were not delivered", error)

    def _on_error(self, error: KafkaError) -> None:
        """Errors beside deliveries. One lost connection is no trouble: records wait, and the client connects again."""
        if error.fatal() or error.code() != KafkaError._TRANSPORT:  # noqa: SLF001  # the library's own codes are spelt so
            self._trouble(error)

    def _trouble(self, error: KafkaError) -> None:
        self._troubled = True
        self._health.not_ready(CHECK, error.str())
        if error.fatal():
            self._fatal = error.str()
            log.error(_FATAL, error=self._fatal)

    def _log_once_in_a_while(self, event: str, error: KafkaError) -> None:
        now = self._clock.monotonic()
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            log.error(event, error=error.str(), failed=self.counts.failed.total())


def fit(letter: DeadLetter) -> DeadLetter:
    """The dead letter with as much of its original as one message can hold."""
    letter = letter._replace(error=letter.error[:_LONGEST_ERROR])
    key, value = letter.key or b"", letter.value or b""
    if len(key) + len(value) <= LARGEST_VALUE:
        return letter
    key = key[: LARGEST_VALUE // 2]
    return letter._replace(
        key=None if letter.key is None else key,
        value=None if letter.value is None else value[: LARGEST_VALUE - len(key)],
        truncated=True,
    )
