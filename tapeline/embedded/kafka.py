"""Apache Kafka, one node that is broker and controller (KRaft), from its jars."""

from __future__ import annotations

import base64
import shutil
import signal
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tapeline.embedded import _java
from tapeline.embedded._artifacts import locked
from tapeline.embedded._ports import HOST, is_open
from tapeline.embedded._process import Command
from tapeline.embedded._progress import Progress
from tapeline.embedded._server import NotReady, Site

PORTS: tuple[str, ...] = ("kafka", "kafka-controller")
NEEDS: tuple[str, ...] = ()
MAVEN: tuple[str, ...] = ("org.apache.kafka:kafka_2.13:4.1.1", "org.slf4j:slf4j-simple:1.7.36")
STOP_SIGNAL: signal.Signals = signal.SIGTERM

ADDED_SETTINGS = "kafka.properties"
"""File in the data folder with settings of one's own, which win; {host}, {port} and {controller} stand for the addresses."""

# The broker's session is short because a killed broker may come back only when its last session is over.
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=33554432
num.network.threads=2
num.io.threads=4
"""


def check(home: Path) -> str:
    """The Java runtime's version; `home` needs nothing special."""
    return _java.version()


def lacks(cache: Path) -> str:
    """Nothing: what it is made of is downloaded in seconds."""
    return ""


def build(cache: Path, progress: Progress) -> None:
    """Nothing is made from source."""


def install(cache: Path, scratch: Path) -> None:
    """The jars run as they are."""
    _java.install(cache, scratch)


def prepare(site: Site) -> None:
    """Format the log folder for a new cluster."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # One word: an id may begin with a dash, which by itself would be taken for an option.
    arguments = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", _write_settings(site)]
    site.run(Command([*_java_command(site, heap="128m"), *map(str, arguments)], _java.environment()), "")


def command(site: Site) -> Command:
    """The broker with the settings of this start."""
    timed = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS"]
    return Command([*_java_command(site, heap="1g"), *timed, "kafka.Kafka", _write_settings(site)], _java.environment())


def answer(site: Site) -> None:
    """A metadata request: the broker is registered, and every partition has its leader."""
    if not is_open(site.ports["kafka"]):
        raise NotReady("does not accept connections")
    client = AdminClient({"bootstrap.servers": address(site), "log_level": 0})
    try:
        metadata = client.list_topics(timeout=5)
    except KafkaException as error:
        raise NotReady(str(error)) from error
    if not metadata.brokers:
        raise NotReady("no broker is registered")
    for topic in metadata.topics.values():
        if any(partition.leader < 0 for partition in topic.partitions.values()):
            raise NotReady(f"topic {topic.topic} has a partition without a leader")


def address(site: Site) -> str:
    """Bootstrap server."""
    return f"{HOST}:{site.ports['kafka']}"


def _write_settings(site: Site) -> Path:
    path = site.home / "server.properties"
    ports = {"port": site.ports["kafka"], "controller": site.ports["kafka-controller"]}
    added = site.home.parent / ADDED_SETTINGS
    more = added.read_text(encoding="utf-8") if added.exists() else ""
    # Of two lines with one key the last counts.
    path.write_text((_SETTINGS + more).format(host=HOST, **ports), encoding="utf-8")
    return path


def _java_command(site: Site, *, heap: str) -> list[str | Path]:
    scratch = site.home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)  # native libraries that a killed broker unpacked
    scratch.mkdir()
    jars = ":".join(str(artifact.path(site.cache)) for artifact in locked(["kafka"]))
    return [_java.java(), *_java.options(site.cache, scratch, heap=heap), "-cp", jars]
