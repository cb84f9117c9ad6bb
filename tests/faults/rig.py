"""What a fault test works with: an application of its own on the shared topics, workers to harm, and the verdict.

Tests share the servers and the topics of market data, since making them anew takes longer than most tests. Each has its own
instruments, and an application (consumer group, changelogs, tables) that begins where the topics ended when the test began.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, not listed in its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from market.trade import TradeStreamRecord
from processors.configured import state_topics
from runtime.settings import Settings, load
from schemas.topics import TOPICS
from tapeline.commands.topics import apply_topics
from tapeline.demo.services import free_port
from tapeline.embedded import EmbeddedStack
from tests.cluster import Cluster, Service, Stored, wait_for
from tests.faults import verdict
from tests.faults.trading import Shape, Story, tell

TRADES, CANDLES, CHANGES, LETTERS = "md.trades", "md.candles", "md.price-changes", "dlq"
TAPELINE = (sys.executable, "-m", "tapeline")
SESSION_SECONDS = 6
PATIENCE = 60.0
"""Seconds after which something that should happen soon does not happen."""

BACK_WITHIN = 15.0
"""Seconds within which a worker that was started again is at work."""

_SESSION = {
    "session_timeout_seconds": SESSION_SECONDS,
    "heartbeat_seconds": 1,
    "stalled_after_seconds": 20,
}
_names = count(1)


@dataclass
class Worker(Service):
    """A processor with its health."""

    port: int = 0

    def text_since(self, mark: int) -> str:
        """What it has logged since its log was `mark` bytes long."""
        return self.log.read_bytes()[mark:].decode(errors="replace")

    def pause(self) -> None:
        """Freeze it."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer of its health server; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        """Whether it says that it can work."""
        return self.get("/readyz")[0] == 200

    def wait_ready(self, timeout: float = PATIENCE) -> None:
        """Wait until it says that it can work."""

        def is_decided() -> bool:
            return self.is_ready() or self.process.poll() is not None

        if not until(is_decided, timeout, 0.1) or self.process.poll() is not None:
            raise AssertionError(f"not ready: {self.reasons()}\n{self.text()[-12_000:]}")

    def reasons(self) -> dict[str, str]:
        """Why it says that it cannot work."""
        body = self.get("/readyz")[1]
        return dict(json.loads(body)["reasons"]) if body else {}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all its labels but those given."""
        found = 0.0
        for line in self.get("/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name and all(f'{key}="{value}"' in (match[2] or "") for key, value in labels.items()):
                found += float(match[3])
        return found


@dataclass
class Rig:
    """One test's application and instruments."""

    cluster: Cluster
    stack: EmbeddedStack
    folder: Path
    seed: int
    application: str = ""
    agents: Sequence[str] = ("candles", "price_changes")
    begin: dict[str, dict[int, int]] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"F{next(_names)}"
        self.begin = self.begin or {topic: self.cluster.ends(topic) for topic in TOPICS}
        if not self.application:
            self.application = f"faults_{self.name.lower()}"
            apply_topics(self.settings())
            self._begin_there()

    def replay(self) -> Rig:
        """Another application that reads again all that this one has read; what it tells comes behind what is told now."""
        told = {topic: self.cluster.ends(topic) for topic in TOPICS if topic != TRADES}
        folder = self.folder / "replay"
        folder.mkdir()
        return Rig(self.cluster, self.stack, folder, self.seed, agents=self.agents, begin={TRADES: self.begin[TRADES], **told})

    # settings and workers

    def config(self, name: str = "tapeline", **sections: dict[str, Any]) -> Path:
        """A settings file for this application; `sections` are merged over it."""
        processors = {
            "application": self.application,
            "agents": list(self.agents),
            "store": "memory",
            "state_dir": str(self.folder / "state"),
        }
        given = sections.pop("processors", {})
        worker = {**_SESSION, **given.get("worker", {})}
        return self.cluster.config(f"{name}.yaml", processors={**processors, **given, "worker": worker}, **sections)

    def settings(self, **sections: dict[str, Any]) -> Settings:
        """The settings as the product reads them."""
        return load(self.config("read", **sections))

    def worker(
        self,
        name: str = "worker",
        *,
        fixed: bool = True,
        launcher: Sequence[str] = TAPELINE,
        arguments: Sequence[str] = (),
        **sections: dict[str, Any],
    ) -> Worker:
        """Start a worker called `name`; a `fixed` one keeps its place in the group when it is started again."""
        processors = sections.pop("processors", {})
        member = {"instance_id": name, **processors.get("worker", {})} if fixed else processors.get("worker", {})
        folder = {"state_dir": str(self.folder / f"state-{name}")}
        path = self.config(name, processors={**folder, **processors, "worker": member}, **sections)
        port = free_port()
        told = ("process", "-c", os.fspath(path), "--set", f"observability.metrics_port={port}", *arguments)
        worker = Worker(told, self.folder / f"{name}.log", tuple(launcher), port=port)
        self.workers.append(worker)
        return worker

    def ready_worker(self, name: str = "worker", **options: Any) -> Worker:
        """Start a worker and wait until it can work."""
        worker = self.worker(name, **options)
        worker.wait_ready()
        return worker

    def end(self) -> None:
        """Kill what still runs and remove the application's topics."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        names = [topic.name for topic in state_topics(self.settings())]
        for answer in self.cluster.admin.delete_topics(names).values():
            answer.exception(10)

    # trading

    def story(self, shape: Shape | None = None, **more: int) -> Story:
        """A story of this test's own instruments."""
        return tell(self.seed, self.name, shape, **more)

    def publish(self, records: Iterable[TradeStreamRecord]) -> None:
        """Send records of the trade stream and wait for the broker."""
        self.cluster.publish(TRADES, records)

    @contextmanager
    def load(self, records: Sequence[TradeStreamRecord], per_second: int) -> Iterator[threading.Event]:
        """Send records at a steady pace beside the block, and what is left of them at its end; the event says that all are."""
        done, hurry = threading.Event(), threading.Event()
        chunk = max(1, per_second // 20)

        def feed() -> None:
            for start in range(0, len(records), chunk):
                self.cluster.send(TRADES, records[start : start + chunk])
                if not hurry.is_set():
                    hurry.wait(0.05)
            done.set()

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            yield done
        finally:
            hurry.set()
            feeder.join()
            self.cluster.flush(90)

    # progress and verdict

    def committed(self) -> dict[int, int]:
        """Committed offsets of the trade stream, as soon as the broker can tell."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.cluster.committed(self.application, TRADES)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def is_done(self) -> bool:
        """Whether everything is committed."""
        return self.committed() == self.cluster.ends(TRADES)

    def wait_done(self, *workers: Worker, timeout: float = PATIENCE) -> None:
        """Wait until everything is committed; none of `workers` may end meanwhile."""

        def is_done() -> bool:
            for worker in workers:
                assert worker.process.poll() is None, f"a worker ended:\n{worker.text()[-12_000:]}"
            return self.is_done()

        wait_for(is_done, f"everything to be committed: {self.committed()} of {self.cluster.ends(TRADES)}", timeout, 0.15)

    def wait_progress(self, worker: Worker, timeout: float = PATIENCE) -> None:
        """Wait until the group has committed more than now."""
        before = self.committed()
        wait_for(lambda: self.committed() != before or self.is_done(), f"progress: {worker.log}", timeout, 0.1)

    def read(self, topic: str) -> list[Stored]:
        """What came into a topic since the test began."""
        return self.cluster.read(topic, self.begin[topic])

    def judge(
        self, *stories: Story, instruments: Collection[str] = (), poison: Collection[tuple[int, int]] = ()
    ) -> dict[str, Any]:
        """Check everything that came of the instruments of the stories; what the model makes of each instrument.

        At the partitions and offsets `poison` lies what decodes and must not be taken in all the same.
        """
        names = {*instruments, *(name for story in stories for name in story.instruments)}
        stream = [one for one in self.read(TRADES) if (one.partition, one.offset) not in poison]
        sent = [record for story in stories for record in story.records]
        arrived = sum(one.record is not None and one.record.instrument in names for one in stream)
        assert instruments or arrived == len(sent), "the test's own producer lost or doubled something"
        wanted = verdict.expected(stream, names)
        verdict.check_candles(wanted, self.read(CANDLES))
        verdict.check_changes(wanted, self.read(CHANGES))
        self._check_letters(wanted, stream)
        return wanted

    def letters(self) -> list[Any]:
        """Dead letters that this test's records became, repeated ones once, in the order of their sources."""
        found = {
            (one.record.source, one.record.source_partition, one.record.source_offset): one.record for one in self.read(LETTERS)
        }
        return [letter for _, letter in sorted(found.items())]

    def _check_letters(self, wanted: dict[str, Any], stream: list[Stored]) -> None:
        """Trades beyond every horizon are dead letters, and no other record that has its place in the stream is."""
        places = {(one.partition, one.offset) for one in stream if one.record and one.record.instrument in wanted}
        refused = {
            (one.partition, one.offset)
            for one in stream
            if one.record and one.record.instrument in wanted and one.offset in wanted[one.record.instrument].refused
        }
        found = {(letter.source_partition, letter.source_offset) for letter in self.letters()} & places
        assert found == refused

    def _begin_there(self) -> None:
        """Have the new group begin in the trade stream where this test's part begins."""
        consumer = Consumer({"bootstrap.servers": self.cluster.servers.kafka, "group.id": self.application})
        try:
            if ends := self.begin[TRADES]:
                offsets = [TopicPartition(TRADES, number, end) for number, end in ends.items()]
                consumer.commit(offsets=offsets, asynchronous=False)
        finally:
            consumer.close()


def until(condition: Callable[[], bool], seconds: float, every: float = 0.02) -> bool:
    """Whether a condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


@contextmanager
def largest_message(rig: Rig, topic: str, size: int) -> Iterator[None]:
    """The topic takes messages of this size within the block."""
    _set(rig, topic, "max.message.bytes", size)
    try:
        yield
    finally:
        _set(rig, topic, "max.message.bytes", TOPICS[topic].max_message_bytes)


@contextmanager
def unwritable(rig: Rig, topic: str) -> Iterator[None]:
    """Nobody may write into the topic within the block."""
    rule = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:*", "*", AclOperation.WRITE, AclPermissionType.DENY
    )
    rig.cluster.admin.create_acls([rule])[rule].result(10)
    try:
        yield
    finally:
        just_this = AclBindingFilter(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:*", "*", AclOperation.WRITE, AclPermissionType.DENY
        )
        assert list(rig.cluster.admin.delete_acls([just_this])[just_this].result(10)) == [rule]


def _set(rig: Rig, topic: str, setting: str, value: int) -> None:
    entry = ConfigEntry(setting, str(value), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for answer in rig.cluster.admin.incremental_alter_configs([resource]).values():
        answer.result(10)
