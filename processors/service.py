"""`tapeline process`: a Faust worker with its health, metrics and ways to end."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from market.candle import CandleEvent
from market.trade import Trade
from processors.app import TOPICS, Hooks, build_app
from processors.batch import Batch
from processors.computation import Effects
from processors.configured import state_topics
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


class WorkerFailed(Exception):
    """The Faust app ended by itself."""

    exit_code = 1


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Process until `stop` is set. Raises when a server cannot be reached at start, or when the worker fails later."""
    check_broker(settings.kafka)
    kafka = admin_options(settings.kafka, "processors-admin")
    registry = registry_options(settings.registry)
    codec = open_contract(kafka, registry, settings.topics.partitions, TOPICS, also=state_topics(settings))
    settings = with_state_folder(settings, cluster_id(kafka, settings.kafka.connect_timeout_seconds))
    health = Health(CHECKS)
    with serving(health, settings.observability):
        app = build_app(settings, codec, _hooks(health), _now)
        health.ready("registry")
        try:
            await app.start()
            log.info("processing", agents=sorted(app.agents))
            async with asyncio.TaskGroup() as tasks:
                helpers = [tasks.create_task(keep_beating(health)), tasks.create_task(_probe(settings, app, health))]
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


async def _probe(settings: Settings, app: Any, health: Health) -> None:
    """Turn readiness false while the broker does not answer or tables are rebuilt; end a worker that no longer gets ahead."""
    group = settings.processors.application
    options = consumer_options(settings.kafka, "processors-probe", group_id=group, without_offset="error")
    watchdog, consumer = Watchdog(settings.processors.worker.stalled_after_seconds), Consumer(options)
    try:
        while True:
            await _look(app, health, watchdog, consumer)
            await asyncio.sleep(PROBE_SECONDS)
    finally:
        consumer.close()


async def _look(app: Any, health: Health, watchdog: Watchdog, consumer: Consumer) -> None:
    topic = TRADES.name
    mine = [tp.partition for tp in app.consumer.assignment() if tp.topic == topic]
    if app.rebalancing or app.tables.recovery.in_recovery:
        health.not_ready("tables", "partitions are being shared out or their tables rebuilt")
    else:
        health.ready("tables")
    try:
        positions = await asyncio.to_thread(read_positions, consumer, topic, mine)
    except KafkaException as error:
        health.not_ready("kafka", str(error.args[0]))
        return
    health.ready("kafka")
    for partition, position in positions.items():
        metrics.CONSUMER_LAG.labels(topic, partition).set(position.lag)
    if stalled := watchdog.stalled(positions, time.monotonic()):
        raise WorkerFailed(f"partitions {stalled} of {topic} have records waiting and have not moved: ending to be restarted")


def _hooks(health: Health) -> Hooks:
    def on_batch(batch: Batch) -> None:
        metrics.RECORDS_IN.labels(batch.topic).inc(len(batch.raw))
        metrics.TRADES_PROCESSED.inc(sum(isinstance(source.record, Trade) for source in batch.decoded or ()))

    def on_waiting(reason: str | None) -> None:
        if reason is None:
            health.ready("registry")
        else:
            health.not_ready("registry", reason)

    return Hooks(on_batch, _count, on_waiting, _end_process)


def _count(batch: Batch, effects: Effects) -> None:
    for topic, record in effects.outputs:
        metrics.RECORDS_OUT.labels(topic.name).inc()
        if isinstance(record, CandleEvent):
            metrics.CANDLES_PROCESSED.labels(record.interval, record.kind.value).inc()
    for refusal in effects.refusals:
        metrics.DEAD_LETTERS.labels(batch.topic, refusal.reason).inc()
    if duplicates := effects.counts["duplicate"]:
        metrics.DUPLICATES.labels(batch.topic).inc(duplicates)
    received = max((record.received_at for _, record in effects.outputs if isinstance(record, CandleEvent)), default=None)
    if received is not None:
        metrics.observe_latency(metrics.Hop.RECEIVE_TO_PROCESS, (_now() - received) / 1e6)


def _end_process(error: BaseException) -> NoReturn:
    """End at once: any orderly way out of an agent would let Faust take its batch for done."""
    log.critical("a batch failed; ending before it counts as done", exc_info=error)
    os._exit(1)


def _now() -> int:
    return time.time_ns() // 1000
