"""Brokers for the benchmark: fresh topics, offsets of topics and groups, settings files for workers on them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, not listed in its __all__
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from benchmarks.stream.load import SchemaIds
from market.trade import TimeMark, Trade
from runtime.kafka import admin_options, registry_options
from runtime.settings import Settings, load
from schemas.registry import Registry
from schemas.topics import CANDLES, TRADES
from tapeline.commands.topics import apply_topics
from tapeline.embedded import EmbeddedStack

Offsets = Mapping[int, int]
"""Offset by partition."""

PARTITIONS = 4
_TIMEOUT = 30.0


class Server:
    """A Kafka broker with our topics, and the registry that knows our schemas."""

    def __init__(self, name: str, bootstrap: str, registry_url: str, folder: Path) -> None:
        self.name = name
        self.bootstrap = bootstrap
        self.folder = folder
        self._registry_url = registry_url
        self.settings = self.apply(self.config(name, {}))
        self.admin = AdminClient(admin_options(self.settings.kafka, "benchmark"))
        with Registry(registry_options(self.settings.registry)) as registry:
            ids = registry.ids([TRADES])
            self.codec = registry.codec([CANDLES])
        self.schema_ids = SchemaIds(ids[TRADES.name, Trade], ids[TRADES.name, TimeMark])

    def config(self, name: str, processors: Mapping[str, Any]) -> Path:
        """Write a settings file for a worker on this broker; its state has a folder of its own."""
        path = self.folder / f"{name}.yaml"
        text = {
            "kafka": {"bootstrap": self.bootstrap},
            "registry": {"url": self._registry_url},
            "topics": {"partitions": PARTITIONS},
            "processors": {"state_dir": str(self.folder / name), **processors},
            "observability": {"log_format": "json"},
        }
        path.write_text(yaml.safe_dump(text), encoding="utf-8")
        return path

    @staticmethod
    def apply(config: Path) -> Settings:
        """Create what topics the settings of a file need; the settings."""
        settings = load(config)
        apply_topics(settings)
        return settings

    def create_topic(self, name: str) -> None:
        """A topic for a contestant's candles, kept as ours are."""
        topic = NewTopic(name, PARTITIONS, 1, config=CANDLES.config(1))
        self.admin.create_topics([topic])[name].result(_TIMEOUT)
        deadline = time.monotonic() + _TIMEOUT
        while True:  # its partitions have their leaders a moment later
            try:
                self.ends(name)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def ends(self, topic: str, partitions: int = PARTITIONS) -> dict[int, int]:
        """The offset after the last record of each partition."""
        latest: Any = OffsetSpec.latest  # its own annotations are missing
        wanted = {TopicPartition(topic, number): latest() for number in range(partitions)}
        answers = self.admin.list_offsets(wanted)
        return {partition.partition: answer.result(_TIMEOUT).offset for partition, answer in answers.items()}

    def count(self, topic: str) -> int:
        """Records of a topic, counting those that it has deleted."""
        partitions = len(self.admin.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions)
        return sum(self.ends(topic, partitions).values())

    def start_group_at(self, group: str, topic: str, offsets: Offsets) -> None:
        """Let a group that has no members begin at these offsets."""
        partitions = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        request = ConsumerGroupTopicPartitions(group, partitions)
        self.admin.alter_consumer_group_offsets([request])[group].result(_TIMEOUT)

    def group_is_ready(self, group: str) -> bool:
        """Whether the members of a group have been given all partitions."""
        found = self.admin.describe_consumer_groups([group])[group].result(_TIMEOUT)
        assigned = sum(len(member.assignment.topic_partitions) for member in found.members)
        return found.state is ConsumerGroupState.STABLE and assigned >= PARTITIONS


class Progress:
    """How far a group has come in a topic; no member of the group."""

    def __init__(self, server: Server, group: str, topic: str, start: Offsets) -> None:
        self._start = start
        self._wanted = [TopicPartition(topic, number) for number in start]
        self._consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": group})

    def records(self) -> int:
        """Committed records since the start."""
        found = self._consumer.committed(self._wanted, timeout=_TIMEOUT)
        return sum(max(0, one.offset - self._start[one.partition]) for one in found if one.offset >= 0)

    def close(self) -> None:
        """Give up the connection."""
        self._consumer.close()


@contextmanager
def servers(names: Iterable[str]) -> Iterator[dict[str, Server]]:
    """A broker with its registry for each name, in a temporary folder; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-benchmark-"))
    try:
        with ExitStack() as stacks:
            yield {name: stacks.enter_context(_server(name, folder)) for name in names}
    finally:
        shutil.rmtree(folder)


@contextmanager
def _server(name: str, folder: Path) -> Iterator[Server]:
    work = folder / f"{name}-work"
    work.mkdir()
    with EmbeddedStack(folder / name, ["kafka", "registry"], durable=False) as stack:
        yield Server(name, stack.addresses.kafka, stack.addresses.registry, work)
