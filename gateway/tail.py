"""Reads topics without a consumer group, in a thread, and hands batches of decoded records to the event loop.

Every gateway reads every partition, so there is no group and nothing is committed. It begins some records back, so that a
restarted gateway knows the latest state, and reads on from where it was when a lost broker returns. One call into the loop
per batch, and no more of them than the loop has use for; when it is behind, the thread waits, and the client library's queue
is bounded.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.intake import Deliver, Origin, PartitionProgress, Report
from gateway.kafka_records import Decode, arrival_of, offset_of, partition_of_message
from gateway.messages import Arrival
from gateway.metrics import UNDECODABLE
from gateway.progress import Bounds, Partition, Progress
from market.errors import DataValidationError
from market.quality import MAX_CLOCK_SKEW
from runtime import metrics
from runtime.errors import RuntimeFault, ServerUnreachable
from runtime.logs import get_logger
from runtime.retry import Backoff, delays
from schemas.records import Record
from schemas.registry import RegistryError

log = get_logger(__name__)

TopicIds = Callable[[Iterable[str]], Mapping[str, str]]

_BATCH = 128
_BATCHES_ON_THE_WAY = 2
_POLL_SECONDS = 0.1
_START_SECONDS = 8.0
_QUIET_SECONDS = 2.0
_PROBE_SECONDS = 2.0
_ENDS_SECONDS = 1.0
_LOGGED_PER_BATCH = 5
_BACKOFF = Backoff(maximum_seconds=5.0)
_UNREACHABLE = "Kafka is not reachable"  # clients read it too, so it names no address

_OPTIONS = {"enable.partition.eof": True, "queued.min.messages": 10_000, "queued.max.messages.kbytes": 16_384}


class Tail:
    """An intake from Kafka.

    Args:
        options: the client library's options, without a reset policy that would hide a loss (`error`).
        address: the brokers, for messages to the operator.
        look_backs: for each topic how many records of each partition to read first, None for all.
        decode: reads a record's value; may block on the schema registry.
        topic_ids: asks the broker for the ids of topics; raises KafkaException.
        backoff: how long to wait before the registry is asked again.
        max_skew: what ingest grants exchanges' clocks, in microseconds.

    """

    def __init__(
        self,
        options: Mapping[str, Any],
        address: str,
        look_backs: Mapping[str, int | None],
        decode: Decode,
        backoff: Backoff = _BACKOFF,
        max_skew: int = MAX_CLOCK_SKEW,
        topic_ids: TopicIds = lambda names: {},
    ) -> None:
        self._options = {**options, **_OPTIONS, "error_cb": self._on_error}
        self._address = address
        self._look_backs = look_backs
        self._decode = decode
        self._backoff = backoff
        self._max_skew = max_skew
        self._topic_ids = topic_ids
        self._origin = Origin()
        self._stop = threading.Event()
        self._on_the_way = threading.BoundedSemaphore(_BATCHES_ON_THE_WAY)
        self._patience = 0.0
        """Seconds from one batch to the next that is asked for."""
        self._progress = Progress({}, {})
        self._broker_problem: str | None = None
        self._registry_problem: str | None = None
        self._reported: str | None = ""
        self._lost_places: set[Partition] = set()
        self._tell: Callable[[str | None], object] = lambda _: None
        self._heard_at = self._probed_at = self._ends_at = 0.0
        self._records_in = {topic: metrics.RECORDS_IN.labels(topic) for topic in look_backs}

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Deliver records until cancelled. Raises RuntimeFault when broker or topics are not there at the start."""
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(None, self._work, loop, deliver, report)
        try:
            await asyncio.shield(thread)
        finally:
            self._stop.set()
            await asyncio.wait([thread])

    def progress(self) -> list[PartitionProgress]:
        """How far each partition was read."""
        return self._progress.describe()

    def origin(self) -> Origin:
        """Where reading began, and the topics' ids then."""
        return self._origin

    # the thread

    def _work(self, loop: asyncio.AbstractEventLoop, deliver: Deliver, report: Report) -> None:
        consumer = Consumer(self._options)
        self._tell = lambda problem: loop.call_soon_threadsafe(report, problem)
        try:
            self._progress = Progress(self._bounds(consumer), self._look_backs)
            self._origin = Origin(self._progress.starts, self._ids())
            consumer.assign([TopicPartition(*partition, offset) for partition, offset in self._progress.starts.items()])
            while not self._stop.is_set():
                began = time.monotonic()
                arrivals = self._read(consumer)
                if arrivals:
                    self._hand_over(loop, deliver, arrivals)
                if 0 < len(arrivals) < _BATCH:
                    time.sleep(max(0.0, began + self._patience - time.monotonic()))
                self._look_after(consumer)
                self._report()
        except RegistryError:
            if not self._stop.is_set():  # else it only ends a vain wait for the registry
                raise
        finally:
            consumer.close()

    def _bounds(self, consumer: Consumer) -> dict[Partition, Bounds]:
        try:
            topics = consumer.list_topics(timeout=_START_SECONDS).topics
            missing = [name for name in self._look_backs if name not in topics or not topics[name].partitions]
            if missing:
                raise RuntimeFault(
                    f"Kafka at {self._address} has no topic {', '.join(missing)}: create it with `tapeline topics apply`"
                )
            partitions = [(name, number) for name in self._look_backs for number in sorted(topics[name].partitions)]
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_START_SECONDS)
                for partition in partitions
            }
        except KafkaException as error:
            raise ServerUnreachable("Kafka broker", self._address, error.args[0].str()) from error

    def _ids(self) -> Mapping[str, str]:
        try:
            return self._topic_ids(self._look_backs)
        except KafkaException as error:
            raise ServerUnreachable("Kafka broker", self._address, error.args[0].str()) from error

    def _read(self, consumer: Consumer) -> list[Arrival]:
        """What has come, waiting a little for the first record only."""
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        arrivals, faults, counts, positions = [], [], Counter[str](), dict[Partition, int]()
        for message in (first, *consumer.consume(_BATCH - 1, 0)):
            error = message.error()
            if error is not None:
                self._on_message_error(message, error)
                continue
            partition = partition_of_message(message)
            counts[partition[0]] += 1
            positions[partition] = offset_of(message) + 1
            try:
                arrival = arrival_of(message, self._patiently_decode, self._max_skew)
            except DataValidationError as fault:
                faults.append((message, fault))
                continue
            if arrival is not None:
                arrivals.append(arrival)
        if counts:
            self._heard()
        for partition, position in positions.items():
            self._progress.move(partition, position)
        for topic, count in counts.items():
            self._records_in[topic].inc(count)
        self._tell_passed_over(faults)
        return arrivals

    def _patiently_decode(self, value: bytes | None) -> Record:
        """Decode, waiting as long as the registry cannot be asked. Raises DataValidationError for what is no record."""
        waits: Iterator[float] | None = None
        while True:
            try:
                record = self._decode(value)
            except RegistryError as error:
                if self._stop.is_set():
                    raise
                log.warning("schema cannot be looked up, trying again", error=str(error))
                self._registry_problem = "the schema registry is not reachable"
                self._report()
                waits = waits or delays(self._backoff)
                self._stop.wait(next(waits))
            else:
                self._registry_problem = None
                return record

    def _hand_over(self, loop: asyncio.AbstractEventLoop, deliver: Deliver, arrivals: list[Arrival]) -> None:
        def take() -> None:
            try:
                self._patience = deliver(arrivals)
            finally:
                self._on_the_way.release()

        while not self._stop.is_set():
            if self._on_the_way.acquire(timeout=_POLL_SECONDS):
                loop.call_soon_threadsafe(take)
                return

    # disturbances

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # the library's spelling of a public code
            self._broker_problem = _UNREACHABLE

    def _on_message_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._heard()
            self._progress.move(partition_of_message(message), offset_of(message))
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            log.error("records expired before they were read", topic=message.topic(), partition=message.partition())
            metrics.ERRORS.labels("records_expired_unread").inc()
            self._lost_places.add(partition_of_message(message))
        else:
            self._broker_problem = f"Kafka: {error.str()}"

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._broker_problem = None

    def _look_after(self, consumer: Consumer) -> None:
        now = time.monotonic()
        if now - self._ends_at >= _ENDS_SECONDS:
            self._ends_at = now
            self._update_ends(consumer)
        if self._lost_places:
            self._begin_anew(consumer)
        if now - max(self._heard_at, self._probed_at) >= _QUIET_SECONDS:
            self._probe(consumer)

    def _begin_anew(self, consumer: Consumer) -> None:
        """Go to the first record there is where the next one is gone: expired unread, or the topic was made anew."""
        for partition in list(self._lost_places):
            place = TopicPartition(*partition)
            try:
                first, _ = consumer.get_watermark_offsets(place, timeout=_PROBE_SECONDS)
                self._origin = Origin({**self._origin.starts, partition: first}, self._topic_ids(self._look_backs))
            except KafkaException:
                self._broker_problem = _UNREACHABLE
                return
            consumer.incremental_unassign([place])  # a partition without a valid offset cannot be sought
            consumer.incremental_assign([TopicPartition(*partition, first)])
            self._progress.move(partition, first)
            self._lost_places.discard(partition)

    def _update_ends(self, consumer: Consumer) -> None:
        for topic, number, position, _ in self._progress.describe():
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            self._progress.set_end((topic, number), max(end, position))
            metrics.CONSUMER_LAG.labels(topic, str(number)).set(max(0, end - position))

    def _probe(self, consumer: Consumer) -> None:
        """Nothing came for a while: find out whether there is nothing, or nobody to send it."""
        try:
            consumer.list_topics(next(iter(self._look_backs)), timeout=_PROBE_SECONDS)
        except KafkaException:
            self._broker_problem = _UNREACHABLE
        else:
            self._broker_problem = None
        self._probed_at = time.monotonic()

    def _report(self) -> None:
        problem = self._broker_problem or self._registry_problem
        if problem is None and self._progress.remaining:
            problem = f"reading recent records: {self._progress.remaining} partitions to go"
        if problem != self._reported:
            self._reported = problem
            self._tell(problem)

    def _tell_passed_over(self, faults: list[tuple[Message, DataValidationError]]) -> None:
        """The gateway writes nothing to Kafka, so what it cannot take is counted and logged with its place."""
        for message, fault in faults:
            UNDECODABLE.labels(message.topic(), fault.reason).inc()
        for message, fault in faults[:_LOGGED_PER_BATCH]:
            log.warning(
                "record passed over",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                reason=fault.reason,
                error=str(fault),
            )
        if len(faults) > _LOGGED_PER_BATCH:
            log.warning("more records passed over", count=len(faults) - _LOGGED_PER_BATCH)
