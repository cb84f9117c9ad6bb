"""`tapeline process`: a Faust worker with its health, metrics and ways to end."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import Any, NoReturn

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from prometheus_client import Counter

from market.candle import CandleEvent
from market.candle_series import Outcome
from market.trade import Trade
from processors.app import TOPICS, Hooks, build_app
from processors.batch import Batch
from processors.computation import Effects
from processors.configured import state_topics
from processors.expiry import RecordsLost
from processors.probe import Probe, WorkerFailed
from processors.watchdog import Watchdog, read_positions
from runtime import metrics
from runtime.errors import ConfigurationError, Problem
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, consumer_options, registry_options
from runtime.logs import get_logger
from runtime.settings import Settings
from schemas.contract import open_contract
from schemas.topics import TRADES

log = get_logger(__name__)

CHECKS = ("kafka", "registry", "tables")
PROBE_SECONDS = 3.0

REPLAYED = Counter(
    "tapeline_records_replayed",
    "Records read again after a restart or a rebalance and skipped, since the tables have them already.",
    ["topic"],
    registry=metrics.REGISTRY,
)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Process until `stop` is set.

    Raises when a server cannot be reached at start, RecordsLost when records expired unread, WorkerFailed when the worker
    ends by itself or is stalled.
    """
    check_broker(settings.kafka)
    kafka = admin_options(settings.kafka, "processors-admin")
    registry = registry_options(settings.registry)
    codec = open_contract(kafka, registry, settings.topics.partitions, TOPICS, also=state_topics(settings))
    settings = with_state_folder(settings, cluster_id(kafka, settings.kafka.connect_timeout_seconds))
    health, lost = Health(CHECKS), asyncio.get_running_loop().create_future()
    with serving(health, settings.observability):
        app = build_app(settings, codec, _hooks(health, lost), _now)
        health.ready("registry")
        try:
            await app.start()
            log.info("processing", agents=sorted(app.agents))
            async with asyncio.TaskGroup() as tasks:
                watching = keep_beating(health), _probe(settings, app, health), _until(lost)
                helpers = [tasks.create_task(each) for each in watching]
                await app.wait(stop.wait())
                for helper in helpers:
                    helper.cancel()
            if not stop.is_set():
                raise WorkerFailed("the Faust worker ended by itself; the log above says why")
        finally:
            await app.stop()


def cluster_id(kafka: dict[str, Any], timeout: float) -> str:
    """The id that the cluster was given when it was made."""
    return str(AdminClient(kafka).list_topics(timeout=timeout).cluster_id)


def with_state_folder(settings: Settings, cluster: str) -> Settings:
    """The settings with a folder of tables that is this application's on this cluster alone, and that exists.

    Stored tables remember offsets: beside the topics of another cluster they would be wrong. Raises ConfigurationError.
    """
    processors = settings.processors
    folder = processors.state_dir / cluster / processors.application
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"the folder {folder} cannot be created: {error.strerror}"
        raise ConfigurationError(Problem("processors.state_dir", text, str(processors.state_dir))) from error
    return settings.model_copy(update={"processors": processors.model_copy(update={"state_dir": folder})})


async def _until(lost: asyncio.Future[None]) -> None:
    await lost


async def _probe(settings: Settings, app: Any, health: Health) -> None:
    """Look after the worker every few seconds."""
    group = settings.processors.application
    options = consumer_options(settings.kafka, "processors-probe", group_id=group, without_offset="error")
    watchdog, consumer = Watchdog(settings.processors.worker.stalled_after_seconds), Consumer(options)
    probe = Probe(app, TRADES.name, health, watchdog, partial(read_positions, consumer, TRADES.name))
    try:
        while True:
            await probe.look()
            await asyncio.sleep(PROBE_SECONDS)
    finally:
        consumer.close()


def _hooks(health: Health, lost: asyncio.Future[None]) -> Hooks:
    def on_batch(batch: Batch) -> None:
        metrics.RECORDS_IN.labels(batch.topic).inc(len(batch.raw))
        metrics.TRADES_PROCESSED.inc(sum(isinstance(source.record, Trade) for source in batch.decoded or ()))

    def on_waiting(reason: str | None) -> None:
        if reason is None:
            health.ready("registry")
        else:
            health.not_ready("registry", reason)

    def on_lost(error: RecordsLost) -> None:
        if not lost.done():
            lost.set_exception(error)

    return Hooks(on_batch, count, on_waiting, _end_process, on_lost)


def count(batch: Batch, effects: Effects) -> None:
    """Count what a batch brought about."""
    for topic, record in effects.outputs:
        metrics.RECORDS_OUT.labels(topic.name).inc()
        if isinstance(record, CandleEvent):
            metrics.CANDLES_PROCESSED.labels(record.interval, record.kind.value).inc()
    for refusal in effects.refusals:
        metrics.DEAD_LETTERS.labels(batch.topic, refusal.reason).inc()
    if duplicates := effects.counts["duplicate"]:
        metrics.DUPLICATES.labels(batch.topic).inc(duplicates)
    if replayed := effects.counts[Outcome.REPLAYED.value]:
        REPLAYED.labels(batch.topic).inc(replayed)
    received = max((record.received_at for _, record in effects.outputs if isinstance(record, CandleEvent)), default=None)
    if received is not None:
        metrics.observe_latency(metrics.Hop.RECEIVE_TO_PROCESS, (_now() - received) / 1e6)


def _end_process(error: BaseException) -> NoReturn:
    """End at once: any orderly way out of an agent would let Faust take its batch for done."""
    log.critical("a batch failed; ending before it counts as done", exc_info=error)
    os._exit(1)


def _now() -> int:
    return time.time_ns() // 1000
