"""The sink's side of Kafka: a plain consumer in a group, which gives the partitions, while the store says where to begin.

The group's assignment is only noted when it comes; nothing is read until `begin` assigns the partitions at the store's
offsets. Records that were fetched before a rebalance are dropped: the store's offset is behind them, they come again. For
the same reason reading is halted by giving the assignment back and not by the client's pause, which keeps a position of its
own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from market.errors import MarketDataError
from sinks.batching import Place
from sinks.placement import Extent, RecordsLost, place
from sinks.store import KafkaRecord, Partition, StoredOffset

_ASK = 3.0  # seconds a broker may take over a question
_NO_ANSWER = f"no answer within {_ASK:g} s"
_OFFSETS_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001 - public names of librdkafka


class BrokerUnavailable(MarketDataError):
    """The brokers cannot be reached or do not answer; try again later."""


class Intake:
    """Reads topics. `options` are librdkafka's, with the group, without automatic commits, and `auto.offset.reset=error`.

    All calls come from one thread; those that reach a broker raise BrokerUnavailable.
    """

    def __init__(self, options: Mapping[str, Any], topics: Sequence[str], *, admin_options: Mapping[str, Any]) -> None:
        self._topics = list(topics)
        self._bootstrap = options["bootstrap.servers"]
        self._consumer = Consumer(dict(options) | {"error_cb": self._note_error})
        self._admin = AdminClient(dict(admin_options))
        self._given: list[Partition] | None = None
        self._is_reading = False
        self._rebalanced = False
        self._trouble: str | None = None

    def open(self) -> None:
        """Join the group."""
        self._consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def is_member(self) -> bool:
        """Whether the group has given this worker its share, be it none."""
        return self._given is not None

    @property
    def is_waiting(self) -> bool:
        """Whether there are partitions given that are not read."""
        return bool(self._given) and not self._is_reading

    @property
    def given(self) -> list[Partition]:
        """The partitions that the group gave."""
        return list(self._given or ())

    def begin(self, stored: Mapping[Partition, StoredOffset]) -> dict[Partition, Place]:
        """Begin to read the partitions given, behind what is stored. Raises RecordsLost where that is not there."""
        places = {key: place(key, stored.get(key), extent) for key, extent in self.extents(self.given).items()}
        with self._named_failures():
            self._consumer.assign([TopicPartition(*key, where.offset) for key, where in places.items()])
        self._is_reading = True
        return places

    def halt(self) -> None:
        """Read nothing until `begin`, which starts at the stored offsets again; `poll` still keeps the membership."""
        if self._is_reading:
            with self._named_failures():
                self._consumer.assign([])
        self._is_reading = False

    def poll(self, most: int, timeout: float) -> list[KafkaRecord]:
        """Up to so many records as arrive within `timeout` seconds; none across a rebalance. Raises RecordsLost."""
        self._rebalanced = False
        with self._named_failures():
            messages = self._consumer.consume(most, timeout)
        records = [_record(message) for message in messages if not self._is_error(message)]
        return [] if self._rebalanced else records

    @property
    def rebalanced(self) -> bool:
        """Whether the last `poll` changed the assignment: what was read before is void."""
        return self._rebalanced

    def check(self) -> None:
        """Raise BrokerUnavailable when the connections are lost and a broker asked anew does not answer."""
        if self._trouble is not None:
            with self._named_failures():
                self._consumer.list_topics(timeout=_ASK)
            self._trouble = None

    def acknowledge(self, settled: Mapping[Partition, int]) -> None:
        """Tell the group how far the store is. Only for those who watch its lag: a failure does not matter."""
        offsets = [TopicPartition(*key, offset) for key, offset in settled.items()]
        with contextlib.suppress(KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def lags(self, settled: Mapping[Partition, int]) -> dict[Partition, int]:
        """Records of each partition not stored yet, as far as the last fetch told where it ends."""
        ends = {key: self._known_end(key) for key in settled}
        return {key: max(0, end - settled[key]) for key, end in ends.items() if end is not None}

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    # the group

    def _on_assign(self, consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        consumer.assign([])  # else the client begins by itself at the group's offsets
        self._given = sorted((each.topic, each.partition) for each in partitions)
        self._is_reading, self._rebalanced = False, True

    def _on_revoke(self, consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        consumer.unassign()
        self._given, self._is_reading, self._rebalanced = None, False, True

    def _note_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - as above
            self._trouble = error.str()

    # questions to the brokers

    def extents(self, partitions: Iterable[Partition]) -> dict[Partition, Extent]:
        """What there is of these partitions."""
        partitions = list(partitions)
        ids = self._topic_ids({topic for topic, _ in partitions})
        return {key: Extent(*self._bounds(key), ids[key[0]]) for key in partitions}

    def _topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        names = sorted(topics)
        if not names:
            return {}
        answers = self._admin.describe_topics(TopicCollection(names), request_timeout=_ASK)
        return {name: self._topic_id(name, answer) for name, answer in answers.items()}

    def _topic_id(self, name: str, answer: Future[Any]) -> str:
        with self._named_failures(f"{name}: "):
            return str(answer.result(_ASK + 1).topic_id)

    def _bounds(self, partition: Partition) -> tuple[int, int]:
        with self._named_failures(f"{partition[0]}[{partition[1]}]: "):
            bounds = self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_ASK)
        if bounds is None:
            raise self._unavailable(_NO_ANSWER)
        return bounds

    def _known_end(self, partition: Partition) -> int | None:
        with contextlib.suppress(KafkaException):
            bounds = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
            return bounds[1] if bounds and bounds[1] >= 0 else None
        return None

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        topic, number = message.topic(), message.partition()
        if error.code() in _OFFSETS_GONE and topic is not None and number is not None:
            extent = self.extents([(topic, number)])[topic, number]
            raise RecordsLost((topic, number), message.offset() or 0, extent, error.str())
        raise self._unavailable(error)

    def _unavailable(self, error: object, subject: str = "") -> BrokerUnavailable:
        reason = error.str() if isinstance(error, KafkaError) else str(error)
        return BrokerUnavailable(f"Kafka at {self._bootstrap}: {subject}{reason}")

    @contextlib.contextmanager
    def _named_failures(self, subject: str = "") -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self._unavailable(error.args[0], subject) from error
        except TimeoutError as error:
            raise self._unavailable(_NO_ANSWER, subject) from error


def _record(message: Message) -> KafkaRecord:
    _, timestamp_ms = message.timestamp()
    place = message.topic(), message.partition(), message.offset()
    return KafkaRecord(*place, message.key(), message.value(), timestamp_ms)  # type: ignore[arg-type]  # None only in errors
