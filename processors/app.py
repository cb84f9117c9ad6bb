"""The Faust app of a worker: options that keep its guarantees, tables, and an agent for every configured computation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust

from processors import batching
from processors.batch import Batch
from processors.computation import Computation, Effects
from processors.configured import load_computations
from processors.expiry import RecordsLost
from processors.loop import BatchLoop
from processors.outputs import Outputs
from processors.tables import AcknowledgedTable
from runtime.kafka import ssl_context
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.topics import CANDLES, DEAD_LETTERS, PRICE_CHANGES, TRADES, Topic

COMMIT_INTERVAL = 0.25
"""Seconds between commits of offsets: how much is read again after a crash."""

LARGEST_BATCH = 2_000
"""Records in a batch at most, so that none keeps the others and the commit waiting."""

BUFFERED_BATCHES = 16
"""Batches of a partition waiting for an agent before fetching pauses."""

TOPICS: tuple[Topic, ...] = (TRADES, CANDLES, PRICE_CHANGES, DEAD_LETTERS)
"""What the agents read and write."""


@dataclass(slots=True)
class Hooks:
    """What a worker tells its surroundings."""

    on_batch: Callable[[Batch], None]
    on_effects: Callable[[Batch, Effects], None]
    on_waiting: Callable[[str | None], None]
    on_failure: Callable[[BaseException], None]
    on_lost: Callable[[RecordsLost], None]


def build_app(settings: Settings, codec: Codec, hooks: Hooks, clock: Callable[[], int]) -> Any:
    """Make the Faust app with an agent for every configured computation; nothing connects before it is started."""
    app = _faust_app(settings)
    computations = load_computations(settings)
    batching.Transport.batched_topics |= {computation.source.name for computation in computations.values()}
    batching.Transport.on_expired = settings.processors.worker.on_expired
    batching.Transport.on_lost = staticmethod(hooks.on_lost)
    for name, computation in computations.items():
        _add_agent(app, name, computation, settings, codec, hooks, clock)
    app.finalize()
    return app


def _add_agent(
    app: Any,
    name: str,
    computation: Computation,
    settings: Settings,
    codec: Codec,
    hooks: Hooks,
    clock: Callable[[], int],
) -> None:
    partitions = settings.topics.partitions
    tables = {
        table: app.Table(table, partitions=partitions, key_type=bytes, value_type=bytes, options=_store_options(settings))
        for table in computation.tables
    }
    source = app.topic(computation.source.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def agent(stream: Any) -> None:
        loop = BatchLoop(
            computation,
            tables,
            Outputs(app.producer, codec, partitions, clock),
            codec,
            max_skew=settings.ingest.max_clock_skew,
            on_batch=hooks.on_batch,
            on_effects=hooks.on_effects,
            on_waiting=hooks.on_waiting,
            on_failure=hooks.on_failure,
            on_lost=hooks.on_lost,
        )
        await loop.run(stream)

    app.agent(source, name=name, concurrency=1)(agent)


def _store_options(settings: Settings) -> dict[str, Any] | None:
    return {"driver": "rocksdict"} if settings.processors.store == "rocksdict" else None


def _faust_app(settings: Settings) -> Any:
    processors_, worker = settings.processors, settings.processors.worker
    return faust.App(
        processors_.application,
        broker=[f"{batching.SCHEME}://{address}" for address in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        broker_client_id=f"{settings.kafka.client_id_prefix}-processors",
        broker_commit_interval=COMMIT_INTERVAL,
        broker_session_timeout=worker.session_timeout_seconds,
        broker_heartbeat_interval=worker.heartbeat_seconds,
        broker_request_timeout=max(90.0, worker.session_timeout_seconds),
        store="rocksdb://" if processors_.store == "rocksdict" else "memory://",
        datadir=str(Path(processors_.state_dir).expanduser()),
        Table=AcknowledgedTable,
        table_standby_replicas=0,
        topic_partitions=settings.topics.partitions,
        topic_allow_declare=False,  # topics are applied by an operator's command, never as a side effect
        topic_disable_leader=True,
        producer_compression_type="lz4",
        producer_request_timeout=worker.request_timeout_seconds,
        producer_max_request_size=DEAD_LETTERS.max_message_bytes,
        stream_wait_empty=False,  # waits without limit on a hung event; stopping is bounded by the service
        broker_max_poll_records=LARGEST_BATCH,
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
