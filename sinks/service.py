"""A sink put together from the settings: the one place that makes its parts."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from contextlib import closing

from market.errors import StorageError
from runtime.health import Health, serving
from runtime.kafka import admin_options, check_broker, consumer_options, producer_options, registry_options
from runtime.logs import get_logger
from runtime.memory import spare_the_collector
from runtime.retry import Backoff
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.contract import open_contract
from schemas.topics import DEAD_LETTERS
from sinks.batching import Limits
from sinks.dead_letters import DeadLetters
from sinks.intake import Intake
from sinks.store import HasShortcut, Partition, Store, StoredOffset, at_once, load_store
from sinks.translation import Translator
from sinks.worker import CHECKS, SinkWorker

log = get_logger(__name__)

_BEAT_WITHIN = 60.0  # seconds; a turn may wait for a store, a broker and the dead-letter topic, each with a limit of its own

_FETCH_BYTES = 100_000
_FETCH_SHARE = 0.1  # of a batch's age, that a broker may wait until there is so much

_SESSION_TIMEOUT = 10.0  # how long a killed worker keeps its partitions; the store's offsets fence one that was only silent


class SeekRefused(StorageError):
    """A topic that the store does not take, or an offset that the topic does not have."""

    exit_code = 2


def run(settings: Settings, name: str, stop: threading.Event) -> None:
    """Store until `stop` is set.

    Raises RuntimeFault or MarketDataError when a server cannot be reached at the start, or when waiting cannot mend a fault.
    """
    check_broker(settings.kafka)
    store = make_store(settings, name)
    admin = admin_options(settings.kafka, "sink-admin")
    topics = [*store.topics, DEAD_LETTERS]
    codec = open_contract(admin, registry_options(settings.registry), settings.topics.partitions, topics)
    health = Health(CHECKS, beat_within_seconds=_BEAT_WITHIN)
    worker = SinkWorker(
        store,
        make_intake(settings, store),
        DeadLetters(producer_options(settings.kafka, f"sink-{name}-dlq"), codec.encode),
        translator(store, codec, settings.ingest.max_clock_skew),
        health=health,
        limits=Limits(settings.sinks.batch_rows, settings.sinks.batch_seconds, catch_up=settings.sinks.catch_up_rows),
        backoff=Backoff(),
    )
    with serving(health, settings.observability):
        try:
            with at_once():
                worker.open()
            log.info("storing", store=name, topics=[topic.name for topic in store.topics])
            spare_the_collector()
            worker.run(stop.is_set)
        finally:
            worker.close()


def seek(settings: Settings, name: str, partition: Partition, offset: int) -> int | None:
    """Put a stored offset where a person wants it and return what it was, None when nothing was stored.

    A worker that runs meanwhile notices and leaves. Raises SeekRefused when the store does not take the topic, or the topic
    does not reach to the offset, and as `run` when a server cannot be reached.
    """
    store = make_store(settings, name)
    taken = [topic.name for topic in store.topics]
    if partition[0] not in taken:
        raise SeekRefused(f"the store {name} takes the topics {', '.join(taken)}, not {partition[0]}")
    check_broker(settings.kafka)
    intake = make_intake(settings, store)
    with closing(store), closing(intake), at_once():
        store.open()
        low, high, topic_id = intake.extents([partition])[partition]
        if not low <= offset <= high:
            raise SeekRefused(f"{partition[0]}[{partition[1]}] has the offsets {low} to {high}, not {offset}")
        before = store.offsets([partition]).get(partition)
        store.set_offset(partition, StoredOffset(offset, topic_id))
    return before.next_offset if before else None


def make_store(settings: Settings, name: str) -> Store:
    """The store of this name, not yet opened.

    Its offsets go by the store's name alone: whoever stores there, from whatever group, must go on where the last one was.
    """
    writer = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    return load_store(name).create(settings, sink=name, writer=writer)


def translator(store: Store, codec: Codec, max_skew: int) -> Translator:
    """What makes a store's rows of records' bytes."""
    shortcut = store.shortcut(codec, max_skew=max_skew) if isinstance(store, HasShortcut) else None
    return Translator(codec.decode, store.row, max_skew=max_skew, shortcut=shortcut)


def make_intake(settings: Settings, store: Store) -> Intake:
    """The Kafka side of a store's worker, not yet in the group."""
    options = consumer_options(
        settings.kafka,
        f"sink-{store.name}",
        group_id=f"{settings.sinks.group_id}-{store.name}",
        without_offset="error",
        session_timeout_seconds=_SESSION_TIMEOUT,
    )
    # A batch waits anyway: fewer and larger answers cost broker and client a good part less.
    options |= {"fetch.min.bytes": _FETCH_BYTES, "fetch.wait.max.ms": round(settings.sinks.batch_seconds * 1000 * _FETCH_SHARE)}
    topics = [topic.name for topic in store.topics]
    return Intake(options, topics, admin_options=admin_options(settings.kafka, f"sink-{store.name}-admin"))
