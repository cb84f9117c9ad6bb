"""`tapeline process`: a Faust worker with its health, metrics and ways to end."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import Any, NoReturn

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.types import TP

from market.candle import CandleEvent
from processors.app import TOPICS, Hooks, build_app, state_topics
from processors.batch import Batch
from processors.computation import Effects
from runtime import metrics
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, registry_options
from runtime.logs import get_logger
from runtime.settings import Settings
from schemas.contract import open_contract

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
    admin = AdminClient(kafka)
    health = Health(CHECKS)
    with serving(health, settings.observability):
        app = build_app(settings, codec, _hooks(health), _now)
        health.ready("registry")
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(keep_beating(health)), tasks.create_task(_probe(admin, app, health))]
            try:
                await _work(app, stop)
            finally:
                for helper in helpers:
                    helper.cancel()


async def _work(app: Any, stop: asyncio.Event) -> None:
    await app.start()
    log.info("processing", agents=sorted(app.agents))
    try:
        await app.wait(stop.wait())
        if not stop.is_set():
            raise WorkerFailed("the Faust worker ended by itself; the log above says why")
    finally:
        await app.stop()


async def _probe(admin: AdminClient, app: Any, health: Health) -> None:
    """Turn readiness false while the broker does not answer or tables are being recovered."""
    while True:
        try:
            await asyncio.to_thread(admin.list_topics, timeout=PROBE_SECONDS)
            health.ready("kafka")
        except KafkaException as error:
            health.not_ready("kafka", str(error.args[0]))
        busy = app.rebalancing or not app.consumer.assignment() or app.tables.recovery.in_recovery
        if busy:
            health.not_ready("tables", "waiting for partitions or rebuilding their tables")
        else:
            health.ready("tables")
        await asyncio.sleep(PROBE_SECONDS)


def _hooks(health: Health) -> Hooks:
    def on_batch(app: Any, batch: Batch) -> None:
        metrics.RECORDS_IN.labels(batch.topic).inc(len(batch.raw))
        with suppress(KeyError, TypeError):  # no fetch has told the end of the partition yet
            end = app.consumer.highwater(TP(batch.topic, batch.partition))
            metrics.CONSUMER_LAG.labels(batch.topic, batch.partition).set(end - batch.raw[-1].offset - 1)

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
