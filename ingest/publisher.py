"""Hands records to the broker: encoded, keyed, on the partition of their instrument, without ever waiting for one of them.

`publish` is synchronous. When the bounded queue is full it says so, and the caller waits for room: a replay is slowed down,
a live feed reads no more from its venue, which buffers or drops us; then gap marks tell what was missed. What does not fit
its schema becomes a dead letter. While no broker answers, records wait and readiness says why. A delivery that fails for good
ends publishing, since records that were lost unseen would make wrong candles; after a start the gap marks tell of the loss.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from ingest.clock import Clock, SystemClock
from ingest.counting import SwiftCounter
from ingest.handover import Way, hand_over, tally
from market.dead_letter import DeadLetter, fit
from market.depth import Depth
from market.errors import DataPublishError, DataValidationError
from market.feed_status import FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from runtime import metrics
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import DEAD_LETTERS, DEPTH, FUNDING, INSTRUMENTS, KLINES, OPEN_INTEREST, QUOTES, STATUS, TRADES, Topic

log = get_logger(__name__)

TOPIC_OF: Mapping[type[Record], Topic] = {
    Trade: TRADES,
    TimeMark: TRADES,
    GapMark: TRADES,
    Quote: QUOTES,
    Kline: KLINES,
    Funding: FUNDING,
    OpenInterest: OPEN_INTEREST,
    InstrumentDefinition: INSTRUMENTS,
    Depth: DEPTH,
    FeedStatus: STATUS,
    DeadLetter: DEAD_LETTERS,
}
"""Where ingest publishes which records."""

ROOM_FOR_ORIGINAL = 900_000
"""Bytes of a dead letter's original that are kept: the client's limit for a message holds for the dead letters as well."""

_RECORDS_PER_POLL = 100
_MOST_PLACES = 65_536
_LOG_EVERY_SECONDS = 10.0
_WAIT_SECONDS = 0.005


class Undelivered(DataPublishError):
    """Records did not reach the broker; the message says how many or why."""

    exit_code = 1


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
    """What became of the records handed over. `delivered` and `failed` are by topic, `refused` by reason."""

    delivered: Counter[str] = field(default_factory=SwiftCounter)
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
        self._failure: str | None = None
        self._is_troubled = False
        self._delivered_before = 0  # the trouble
        self._since_poll = 0
        self._logged_at = float("-inf")
        self._ways = {kind: self._way(kind, topic) for kind, topic in TOPIC_OF.items()}
        self._ordinary = {kind: way for kind, way in self._ways.items() if way.stamper is not None}
        self._delays: list[int] = []  # from receiving to publishing, in microseconds
        self._producer = make_producer({**options, "error_cb": self._on_error})

    def publish(self, record: Record) -> bool:
        """Hand a record over; False when the queue is full and nothing was done. Raises as `publish_all`."""
        return self.publish_all((record,)) == 1

    def publish_all(self, records: Sequence[Record]) -> int:
        """Hand records over until the queue is full; how many of them.

        Raises Undelivered when an earlier record was lost or the client has broken down.
        """
        done = 0
        records = records if type(records) is list else [*records]
        try:
            while done < len(records):
                if self._since_poll >= _RECORDS_PER_POLL:
                    self.poll()
                self._check()
                end = min(len(records), done + _RECORDS_PER_POLL - self._since_poll)
                handed = hand_over(self._ordinary, self._producer.produce, records, done, end, self._clock.now(), self._delays)
                if handed == done:
                    if not self._publish(records[done]):
                        break
                    handed += 1
                self._since_poll += handed - done
                done = handed
        finally:
            if self._delays:
                metrics.observe_many(metrics.Hop.RECEIVE_TO_PUBLISH, self._delays)
                self._delays.clear()
        return done

    def poll(self) -> None:
        """Take in what the broker said since the last time. Raises Undelivered as `publish` does."""
        self._since_poll = 0
        self._producer.poll(0)
        self._check()
        if self._is_troubled and self.counts.delivered.total() > self._delivered_before:
            self._is_troubled = False
            self._health.ready(CHECK)
            log.info("the broker takes records again")

    @property
    def has_failed(self) -> bool:
        """Whether records were lost, so that nothing more is published."""
        return self._failure is not None

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
        """Wait until every delivery has ended, at most `timeout` seconds; how many have not.

        Deliveries that failed are not among them: `poll` raises then.
        """
        return await asyncio.to_thread(self._producer.flush, timeout)

    # one record

    def _publish(self, record: Record) -> bool:
        way = self._ways[type(record)]
        now = self._clock.now()
        try:
            value = self._written(way, record, now) if way.stamper is None else way.stamper(record, way.header, now)
            key, partition = way.places.get(record[0]) or self._place(way, record)
            self._producer.produce(way.name, value, key, partition, way.on_delivery)
        except BufferError:
            return False
        except DataValidationError as error:
            return self._refuse(way.topic, record, error)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                text = f"{len(value)} bytes are too large for one message"
                return self._refuse(way.topic, record, DataValidationError("message_too_large", text))
            raise Undelivered(f"{way.name}: {error.args[0].str()}") from error
        if type(record) is Trade:
            self._delays.append(max(0, now - record.received_at))
        return True

    def _written(self, way: Way, record: Record, now: int) -> bytes:
        if isinstance(record, DeadLetter):
            return self._codec.encode(way.name, fit(record, ROOM_FOR_ORIGINAL))
        return self._codec.encode(way.name, record._replace(published_at=now))  # type: ignore[call-arg]  # every other has it

    def _place(self, way: Way, record: Record) -> tuple[bytes, int]:
        """Key and partition; those of instruments, which are few, are remembered."""
        key, partition_id = way.topic.place(record)
        found = key, partition_of(partition_id, self._partitions[way.name])
        if record._fields[0] == "instrument":
            if len(way.places) >= _MOST_PLACES:
                way.places.clear()
            way.places[record[0]] = found
        return found

    def _refuse(self, topic: Topic, record: Record, error: DataValidationError) -> bool:
        if topic is DEAD_LETTERS:
            raise Undelivered(f"a dead letter cannot be published: {error}") from error
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

    def _check(self) -> None:
        if self._failure is not None:
            raise Undelivered(f"records are not delivered to the broker: {self._failure}")

    def _way(self, kind: type[Record], topic: Topic) -> Way:
        stamper = self._codec.stamper(kind)
        header = b"" if stamper is None else self._codec.header(topic.name, kind)
        return Way(topic, topic.name, tally(self.counts.delivered, topic.name, self._on_failure), stamper, header, {})

    def _on_failure(self, error: KafkaError, topic: str) -> None:
        self.counts.failed[topic] += 1
        self._fail(f"{topic}: {error.str()}")

    def _on_error(self, error: KafkaError) -> None:
        """Errors beside deliveries. One lost connection is no trouble: records wait, and the client connects again."""
        if error.fatal():
            self._fail(f"the Kafka client cannot go on: {error.str()}")
        elif error.code() != KafkaError._TRANSPORT:  # noqa: SLF001  # the library's own codes are spelt so
            self._trouble(error.str())

    def _trouble(self, reason: str) -> None:
        if not self._is_troubled:
            log.warning("records wait for the broker", reason=reason)
        self._is_troubled = True
        self._delivered_before = self.counts.delivered.total()
        self._health.not_ready(CHECK, reason)

    def _fail(self, reason: str) -> None:
        """The first failure counts; those that follow from it are counted by the caller alone."""
        if self._failure is None:
            self._failure = reason
            log.error("records are not delivered", reason=reason)
            self._health.not_ready(CHECK, reason)
