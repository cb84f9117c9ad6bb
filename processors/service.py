"""`tapeline process`: a Faust worker with its health, metrics and ways to end."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import Any, NoReturn

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from faust.exceptions import ConsistencyError

from market.book_top import BookTop
from market.candle import CandleEvent
from market.candle_series import Outcome
from market.portfolio import Portfolio
from market.valuation_record import Valuation, ValuationLine
from processors.app import Hooks, Worker, build_worker
from processors.batch import Batch
from processors.computation import Effects
from processors.configured import source_names, state_topics, stream_topics
from processors.encoding import encoders
from processors.expiry import BEGIN_ANEW, RecordsLost
from processors.folder import own_folder
from processors.metrics import BATCH_RECORDS, COMMIT_SECONDS, REPLAYED
from processors.probe import Probe, WorkerFailed
from processors.stores import TablesUnusable
from processors.surroundings import LoopHooks
from processors.transport.packing import counts_of
from processors.watchdog import Watchdog, read_positions
from runtime import metrics
from runtime.health import Health, keep_beating, serving
from runtime.kafka import admin_options, check_broker, consumer_options, registry_options
from runtime.logs import get_logger, tell_in_one_line
from runtime.memory import spare_the_collector
from runtime.settings import Settings
from schemas.contract import open_contract
from schemas.depth_encoding import encode_book_top
from schemas.portfolio_encoding import encode_portfolio
from schemas.tick_decoding import read_ticks
from schemas.topics import TRADES
from schemas.valuation_encoding import encode_line, encode_valuation

log = get_logger(__name__)

tell_in_one_line(ConsistencyError)

CHECKS = ("kafka", "registry", "tables", "deliveries", "membership")
PROBE_SECONDS = 3.0
DRAIN_SECONDS = 8.0
"""How long a worker that is asked to stop tries to commit what it has folded; what remains is read again."""


async def run(settings: Settings, stop: asyncio.Event, worker: int = 0) -> None:
    """Process until `stop` is set; `worker` is the number among those of this machine.

    Raises when a server cannot be reached at start, FolderInUse when another worker has its folder, RecordsLost when records
    expired unread, WorkerFailed when the worker ends by itself or is stalled.
    """
    check_broker(settings.kafka)
    kafka = admin_options(settings.kafka, "processors-admin")
    registry = registry_options(settings.registry)
    codec = open_contract(kafka, registry, settings.topics.partitions, stream_topics(settings), also=state_topics(settings))
    codec.encode_with(CandleEvent, encoders(compiled=settings.processors.compiled == "auto").encode_candle)
    codec.encode_with(BookTop, encode_book_top)
    codec.encode_with(Portfolio, encode_portfolio)
    codec.encode_with(Valuation, encode_valuation)
    codec.encode_with(ValuationLine, encode_line)
    read_ticks(codec)
    cluster = cluster_id(kafka, settings.kafka.connect_timeout_seconds)
    health, lost = Health(CHECKS), asyncio.get_running_loop().create_future()
    with own_folder(settings, cluster, worker) as settings, serving(health, settings.observability):
        app_worker = build_worker(settings, codec, _hooks(settings, health, lost), _now)
        app = app_worker.app
        for check in ("registry", "deliveries", "membership"):
            health.ready(check)
        try:
            await app.start()
            spare_the_collector()
            log.info("processing", agents=sorted(app.agents))
            async with asyncio.TaskGroup() as tasks:
                watching = keep_beating(health), _probe(settings, app, health), _until(lost)
                helpers = [tasks.create_task(each) for each in watching]
                await app.wait(stop.wait())
                for helper in helpers:
                    helper.cancel()
            if not stop.is_set():
                raise _why_ended(app)
            await _drain(app_worker)
        finally:
            try:
                await app.stop()
            finally:
                await app_worker.producer.close()


def cluster_id(kafka: dict[str, Any], timeout: float) -> str:
    """The id that the cluster was given when it was made."""
    return str(AdminClient(kafka).list_topics(timeout=timeout).cluster_id)


def _why_ended(app: Any) -> Exception:
    reason = app._crash_reason  # noqa: SLF001 - listed in processors/transport/private.py
    if isinstance(reason, ConsistencyError):
        return TablesUnusable(app.conf.datadir, f"their changelog was deleted, cut or made anew ({_line(reason)})", BEGIN_ANEW)
    if isinstance(reason, TablesUnusable):
        return reason
    return WorkerFailed("the Faust worker ended by itself; the log above says why")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(" Most likely")[0]


async def _until(lost: asyncio.Future[None]) -> None:
    await lost


async def _probe(settings: Settings, app: Any, health: Health) -> None:
    """Look after the worker every few seconds."""
    group = settings.processors.application
    options = consumer_options(settings.kafka, "processors-probe", group_id=group, without_offset="error")
    patience, consumer = settings.processors.worker.stalled_after_seconds, Consumer(options)
    watchdogs = Watchdog(patience), Watchdog(patience)
    probe = Probe(app, source_names(settings), health, *watchdogs, partial(read_positions, consumer))
    try:
        while True:
            await probe.look()
            await asyncio.sleep(PROBE_SECONDS)
    finally:
        consumer.close()


async def _drain(worker: Worker) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await worker.commit()
    except TimeoutError:
        log.warning("stopping before everything folded was committed; it is read again", waited_seconds=DRAIN_SECONDS)


def _hooks(settings: Settings, health: Health, lost: asyncio.Future[None]) -> Hooks:
    first, failing = dict[str, str](), dict[str, str]()

    def on_batch(agent: str, batch: Batch) -> None:
        if first.setdefault(batch.topic, agent) == agent:  # the others read the same
            count_batch(batch)

    def on_effects(agent: str, effects: Effects) -> None:
        count(effects)
        if first.get(TRADES.name) == agent:
            metrics.TRADES_PROCESSED.inc(effects.trades)

    def show(check: str, reason: str | None) -> None:
        if reason is None:
            health.ready(check)
        else:
            health.not_ready(check, reason)

    def on_lost(error: RecordsLost) -> None:
        if not lost.done():
            lost.set_exception(error)

    def on_failing(agent: str, reason: str | None) -> None:
        if reason is not None:
            failing[agent] = reason
        elif failing.pop(agent, None) is None:
            return
        show("deliveries", next(iter(failing.values()), None))

    def on_doubt(waiting: bool) -> None:
        show("membership", "the group has not answered a heartbeat for too long to write" if waiting else None)

    loop = LoopHooks(
        on_batch, on_effects, COMMIT_SECONDS.observe, lambda reason: show("registry", reason), _end_process, on_lost
    )
    return Hooks(loop, on_failing, on_doubt)


def count_batch(batch: Batch) -> None:
    """Count the records of a batch."""
    records = batch.count
    metrics.RECORDS_IN.labels(batch.topic).inc(records)
    BATCH_RECORDS.observe(records)


def count(effects: Effects) -> None:
    """Count what was brought about."""
    for name, number in counts_of(effects.outputs).items():
        metrics.RECORDS_OUT.labels(name).inc(number)
    for (interval, kind), number in effects.candles.items():
        metrics.CANDLES_PROCESSED.labels(interval, kind.value).inc(number)
    for (metric, labels), number in effects.tallies.items():
        metric.labels(*labels).inc(number)
    for refusal in effects.refusals:
        metrics.DEAD_LETTERS.labels(refusal.topic, refusal.reason).inc()
    if duplicates := effects.counts[Outcome.DUPLICATE.value]:
        metrics.DUPLICATES.labels(TRADES.name).inc(duplicates)
    if replayed := effects.counts[Outcome.REPLAYED.value]:
        REPLAYED.labels(TRADES.name).inc(replayed)
    if effects.received_at:
        metrics.observe_latency(metrics.Hop.RECEIVE_TO_PROCESS, (_now() - effects.received_at) / 1e6)


def _end_process(error: BaseException) -> NoReturn:
    """End at once: any orderly way out of an agent would let Faust take its batch for done."""
    log.critical("a batch failed; ending before it counts as done", error=str(error), exc_info=error)
    os._exit(1)


def _now() -> int:
    return time.time_ns() // 1000
