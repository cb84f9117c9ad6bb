"""Fresh topics on the real servers, and short words for what tests do with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from market.errors import DataValidationError
from runtime.kafka import admin_options, producer_options, registry_options
from runtime.settings import Settings, load
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.registry import Registry
from schemas.topics import TOPICS
from tapeline.commands.topics import apply_topics
from tapeline.embedded import EmbeddedStack
from tests.servers import Addresses, throwaway_stack

ROOT = Path(__file__).parent.parent

_NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
"""Of a broker that has just come back."""


class Stored(NamedTuple):
    """A record as it lies in its topic; `record` is None where the value is not one of ours."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    record: Any


@dataclass
class Cluster:
    """The test servers with empty topics."""

    servers: Addresses
    folder: Path
    settings: Settings = field(init=False)
    codec: Codec = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load(self.config())
        self.admin = AdminClient(admin_options(self.settings.kafka, "tests"))
        self._delete_topics()
        apply_topics(self.settings)
        self.registry = Registry(registry_options(self.settings.registry))
        self.codec = self.registry.codec(TOPICS.values())
        self._producer = Producer(producer_options(self.settings.kafka, "tests"))

    def config(self, name: str = "tapeline.yaml", **sections: Any) -> Path:
        """Write a settings file for these servers; `sections` are merged over it."""
        settings: dict[str, Any] = {
            "kafka": {"bootstrap": self.servers.kafka},
            "registry": {"url": self.servers.registry},
            "postgres": {"dsn": self.servers.postgres},
            "processors": {"store": "memory", "state_dir": str(self.folder / "state")},
            "observability": {"log_format": "json"},
        }
        for section, values in sections.items():
            settings[section] = {**settings.get(section, {}), **values}
        path = self.folder / name
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return path

    def publish(self, topic: str, records: Iterable[Record]) -> None:
        """Send records as ingest does and wait for the broker."""
        self.send(topic, records)
        self.flush()

    def send(self, topic: str, records: Iterable[Record]) -> None:
        """Send records as ingest does; `flush` waits for the broker."""
        declared_topic = TOPICS[topic]
        for record in records:
            key, partition_id = declared_topic.place(record)
            partition = partition_of(partition_id, declared_topic.partitions(self.settings.topics.partitions))
            self.send_bytes(topic, key, self.codec.encode(topic, record), partition)

    def send_bytes(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> None:
        """Send bytes as they are; `flush` waits for the broker."""
        while True:
            try:
                self._producer.produce(topic, key=key, value=value, partition=partition)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def flush(self, timeout: float = 30) -> None:
        """Wait until the broker has everything that was sent."""
        assert self._producer.flush(timeout) == 0

    def publish_bytes(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> None:
        """Send bytes as they are and wait for the broker."""
        self.send_bytes(topic, key, value, partition)
        self.flush()

    def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[Stored]:
        """Everything in a topic, partition by partition; with `since` from these offsets on."""
        options = {"bootstrap.servers": self.servers.kafka, "group.id": "tests-read", "enable.auto.commit": False}
        consumer = Consumer({**options, "enable.partition.eof": False, "auto.offset.reset": "earliest"})
        try:
            messages = read_all(consumer, topic, self._numbers(topic), since)
            found = [
                Stored(number, offset, message.key(), message.value(), self._decode(message.value()))
                for number, offset, message in messages
            ]
            return sorted(found, key=lambda stored: (stored.partition, stored.offset))
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Committed offset of each partition of a group that has one."""
        consumer = Consumer({"bootstrap.servers": self.servers.kafka, "group.id": group})
        try:
            wanted = [TopicPartition(topic, number) for number in range(self.settings.topics.partitions)]
            return {found.partition: found.offset for found in consumer.committed(wanted, timeout=10) if found.offset >= 0}
        finally:
            consumer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition that has records."""
        consumer = Consumer({"bootstrap.servers": self.servers.kafka, "group.id": "tests-ends"})
        try:
            partitions = [TopicPartition(topic, number) for number in self._numbers(topic)]
            ends = {one.partition: extent(consumer, one)[1] for one in partitions}
        finally:
            consumer.close()
        return {number: end for number, end in ends.items() if end}

    def all_committed(self, group: str, topic: str) -> bool:
        """Whether the group has committed everything in a topic."""
        try:
            return self.committed(group, topic) == self.ends(topic)
        except KafkaException as error:
            if error.args[0].code() in _NO_COORDINATOR:
                return False
            raise

    def _numbers(self, topic: str) -> list[int]:
        return sorted(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def _decode(self, value: bytes | None) -> Any:
        try:
            return self.codec.decode(value)
        except DataValidationError:
            return None

    def _delete_topics(self) -> None:
        """Remove every topic but the servers' own: the broker's internal ones and the registry's journal."""

        def ours() -> list[str]:
            found = self.admin.list_topics(timeout=10).topics
            return [name for name in found if not name.startswith(("_", "kafkasql", "registry-"))]

        for answer in self.admin.delete_topics(ours(), operation_timeout=10).values() if ours() else ():
            answer.result(10)
        wait_for(lambda: not ours(), "topics to be deleted")


@dataclass
class Service:
    """A `tapeline` command running as a process of its own; `launcher` is what its arguments are given to."""

    arguments: tuple[str, ...]
    log: Path
    launcher: tuple[str, ...] = (sys.executable, "-m", "tapeline")
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start it (again)."""
        command = [*self.launcher, *self.arguments]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout: float = 15) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def cluster(servers: Addresses, tmp_path: Path) -> Iterator[Cluster]:
    """The test servers with empty topics."""
    fresh = Cluster(servers, tmp_path)
    yield fresh
    fresh.registry.close()


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    """Servers of a module's own, which may be killed; who kills one starts it again."""
    with throwaway_stack(["kafka", "registry"]) as stack:
        yield stack


@pytest.fixture
def own_cluster(stack: EmbeddedStack, tmp_path: Path) -> Iterator[Cluster]:
    """Empty topics on them."""
    cluster = Cluster(Addresses(stack.addresses, postgres="postgresql://nobody@127.0.0.1:1/none"), tmp_path)
    yield cluster
    cluster.registry.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services (`start("process", "-c", path)`); whatever still runs at the end is killed."""
    started: list[Service] = []

    def run(*arguments: str | os.PathLike[str]) -> Service:
        service = Service(
            tuple(os.fspath(argument) for argument in arguments), tmp_path / f"{len(started)}-{os.fspath(arguments[0])}.log"
        )
        started.append(service)
        return service

    yield run
    for service in started:
        if service.process.poll() is None:
            service.kill()


def read_all(
    consumer: Consumer, topic: str, partitions: Iterable[int], since: Mapping[int, int] | None = None
) -> Iterator[tuple[int, int, Message]]:
    """Partition, offset and message of everything up to the ends of now, from the offsets `since` where there are any.

    Raises AssertionError when nothing comes twice in a row though there should be more.
    """
    bounds = {number: extent(consumer, TopicPartition(topic, number)) for number in partitions}
    begins = {number: max(first, (since or {}).get(number, first)) for number, (first, _) in bounds.items()}
    left = {number: (begins[number], end) for number, (_, end) in bounds.items() if begins[number] < end}
    consumer.assign([TopicPartition(topic, number, first) for number, (first, _) in left.items()])
    vain = 0
    while left:
        messages = consumer.consume(min(1000, sum(end - first for first, end in left.values())), timeout=5)
        vain = 0 if messages else vain + 1
        if vain == 2:
            raise AssertionError(f"{topic}: nothing comes any more of what is left, by partition: {left}")
        for message in messages:
            if (error := message.error()) is not None:
                raise AssertionError(error)
            number, offset = message.partition() or 0, message.offset() or 0
            _, end = left.get(number, (0, 0))
            if offset < end:
                yield number, offset, message
            if offset + 1 < end:
                left[number] = offset + 1, end
            else:
                left.pop(number, None)


def extent(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """First offset of a partition and the one after its last; one just created may be without a leader for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return consumer.get_watermark_offsets(partition, timeout=10)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def wait_for(condition: Callable[[], object], what: str, timeout: float = 30, every: float = 0.1) -> None:
    """Wait until a condition holds. Raises AssertionError naming what was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(every)
