"""The Faust app of a worker: options that keep its guarantees, tables, and an agent for every configured computation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from aiokafka.client import AIOKafkaClient

from processors.computation import Computation
from processors.configured import load_computations
from processors.deliveries import Deliveries
from processors.fence import Fence
from processors.loop import BatchLoop
from processors.stores import DISK, MEMORY
from processors.surroundings import Beside, LoopHooks, LoopSettings, Ways
from processors.tables import StoredTable
from processors.transport import SCHEME, views
from processors.transport.consumer import Transport
from processors.transport.private import missing_methods
from processors.transport.producer import BatchProducer
from processors.transport.thread import Pace
from runtime.kafka import aiokafka_options, ssl_context
from runtime.settings import Settings
from schemas.codec import Codec

OFFSET_SECONDS = 0.25
"""Time between commits of source offsets: how much is read again, and skipped, after a crash."""

LARGEST_BATCH = 500
"""Kafka batches, or records where those do not come whole, taken from the client at once."""

ROCKSDB = {"driver": "rocksdict", "write_buffer_size": 8 << 20, "block_cache_size": 16 << 20, "bloom_filter_size": 10}
"""Options of each partition's database of each table; Faust's own would let a worker's caches grow to gigabytes."""

LARGEST_FETCH = 640 << 10
"""Bytes of a partition fetched at once; a larger batch comes alone. 1 MiB costs some 15 MB more and saves a few
per cent of the processor time."""

BUFFERED_BATCHES = 4
"""Batches of a partition waiting for an agent before fetching pauses."""

LONGEST_POLL_INTERVAL = 2_000_000
"""Seconds without a fetch after which the client leaves its group and does not come back; the watchdog sees to that instead."""

STEADY, SWIFT = Pace(10, 100_000), Pace(5, 100_000)
"""How the fetch is paced where results are published at an interval, and where they are at once.

A shorter wait for the latter is of no use: requests then take the time of the broker's and the worker's threads that the
records need, and the slowest hundredth of them comes later.
"""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a worker tells its surroundings, besides what its loops do.

    `on_failing` gets an agent's name and why what it sends does not arrive, None when it does; `on_doubt` whether the group is
    waited for.
    """

    loop: LoopHooks
    on_failing: Callable[[str, str | None], None]
    on_doubt: Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Worker:
    """A Faust app and the loops of its agents."""

    app: Any
    loops: tuple[BatchLoop, ...]
    producer: BatchProducer

    async def commit(self) -> None:
        """Commit what the agents have folded so far, offsets included."""
        await asyncio.gather(*[loop.commit() for loop in self.loops])
        await self.app.consumer.commit()


def build_worker(settings: Settings, codec: Codec, hooks: Hooks, clock: Callable[[], int]) -> Worker:
    """Make the Faust app with an agent for every configured computation; nothing connects before it is started.

    Raises RuntimeError when Faust or aiokafka is not as it is known here.
    """
    if missing := missing_methods():
        raise RuntimeError(f"this version of Faust or aiokafka lacks {', '.join(missing)}")
    app = _faust_app(settings)
    computations = load_computations(settings)
    _set_up_transport(settings, computations, hooks)
    worker, partitions = settings.processors.worker, settings.topics.partitions
    fence = Fence(app.consumer, worker.session_timeout_seconds, hooks.on_doubt)
    producer = _producer(settings, fence.patience, clock)
    loops = []
    for name, computation in computations.items():

        def on_failing(reason: str | None, name: str = name) -> None:
            hooks.on_failing(name, reason)

        ways = Ways(codec, partitions, Deliveries(producer, fence, on_failing), fence, clock)
        tables = {table: _add_table(app, table, settings, hooks) for table in computation.tables}
        beside = Beside(ways, settings, app.consumer.owned)
        loops.append(BatchLoop(name, computation, tables, ways, loop_settings(settings, computation), hooks.loop, beside))
        names = [topic.name for topic in computation.sources]
        sources = app.topic(*names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(sources, name=name, concurrency=1)(_agent(loops[-1]))
    app.finalize()
    return Worker(app, tuple(loops), producer)


def _producer(settings: Settings, patience: float, clock: Callable[[], int]) -> BatchProducer:
    options = aiokafka_options(settings.kafka, "processors") | {"request_timeout_ms": round(patience * 1000)}
    return BatchProducer(lambda: AIOKafkaClient(**options), patience, clock, compiled=settings.processors.compiled == "auto")


def _agent(loop: BatchLoop) -> Any:
    async def agent(stream: Any) -> None:
        await loop.run(stream)

    return agent


def _set_up_transport(settings: Settings, computations: dict[str, Computation], hooks: Hooks) -> None:
    Transport.readers = dict(Counter(topic.name for computation in computations.values() for topic in computation.sources))
    Transport.has_views = views.install(Transport.readers)
    Transport.busy = STEADY if settings.processors.commit_interval_seconds else SWIFT
    Transport.on_expired = settings.processors.worker.on_expired
    Transport.healing = {topic.name for computation in computations.values() for topic in computation.sources if topic.heals}
    Transport.on_lost = staticmethod(hooks.loop.on_lost)


def _add_table(app: Any, name: str, settings: Settings, hooks: Hooks) -> StoredTable:
    options = dict(ROCKSDB) if settings.processors.store == "rocksdict" else None  # Faust takes entries out of it
    table: StoredTable = app.Table(
        name, partitions=settings.topics.partitions, key_type=bytes, value_type=bytes, options=options
    )
    table.on_failure = hooks.loop.on_failure
    return table


def loop_settings(settings: Settings, computation: Computation) -> LoopSettings:
    """What the loop of a computation keeps to."""
    processors = settings.processors
    interval = 0.0 if computation.at_once else processors.commit_interval_seconds
    return LoopSettings(interval, settings.ingest.max_clock_skew, processors.compiled == "auto")


def _faust_app(settings: Settings) -> Any:
    processors_, worker = settings.processors, settings.processors.worker
    return faust.App(
        processors_.application,
        broker=[f"{SCHEME}://{address}" for address in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        broker_client_id=f"{settings.kafka.client_id_prefix}-processors",
        broker_commit_interval=OFFSET_SECONDS,
        broker_session_timeout=worker.session_timeout_seconds,
        broker_heartbeat_interval=worker.heartbeat_seconds,
        broker_request_timeout=max(90.0, worker.session_timeout_seconds),
        broker_max_poll_interval=LONGEST_POLL_INTERVAL,
        consumer_group_instance_id=worker.instance_id,
        store=f"{DISK if processors_.store == 'rocksdict' else MEMORY}://",
        datadir=str(Path(processors_.state_dir).expanduser()),
        Table=StoredTable,
        table_standby_replicas=0,
        topic_partitions=settings.topics.partitions,
        topic_allow_declare=False,  # topics are applied by an operator's command, never as a side effect
        topic_disable_leader=True,
        stream_wait_empty=False,  # waits without limit on a hung event; stopping is bounded by the service
        broker_max_poll_records=LARGEST_BATCH,
        consumer_max_fetch_size=LARGEST_FETCH,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        web_enabled=False,  # unauthenticated, and serves table data
        autodiscover=False,
        processing_guarantee="at_least_once",
        logging_config=None,
        loghandlers=[],
        debug=False,
    )


def _credentials(settings: Settings) -> Any:
    security = settings.kafka.security
    context = ssl_context(security)
    if security.protocol.startswith("SASL"):
        password = security.password.get_secret_value() if security.password else None
        return faust.SASLCredentials(
            username=security.username, password=password, mechanism=security.mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context else None
