"""A Faust transport that delivers one event per partition and poll, holding all its records.

Registered as the extension `tapeline` of Faust's transports; a broker URL `tapeline://host:port` selects it. Topics named in
`readers` arrive as batches; every other topic (changelogs) keeps one event per record.

Faust ends a rebalance by emptying the agents' queues while it fetches already; what was delivered a moment before would be
passed over, and committed with the next batch. So no batch is fetched before a rebalance is over, each batch names the one
before it, which `processors.loop` checks, and offsets that a fetch leaves out are asked for once more. What is missing then
as well either was never there or has expired (`processors.expiry`).

What was fetched while a rebalance began is dropped without a seek: Faust stops the flow only then, and when it is over
(`tables.recovery`: `_resume_streams`, `on_recovery_completed`) it seeks all partitions to what is committed before it resumes.
A seek here would race with that one, and with the seeks in changelogs that recovery makes in between. What is fetched while the
rebalance goes on may come after that seek; it is put back where it was fetched (`processors.transport.thread`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from processors.batch import Batch
from processors.expiry import Extent, OnExpired, RecordsLost, check_hole
from processors.surroundings import Owned
from processors.transport import FAUST_LOGGER, SCHEME
from processors.transport.thread import ConsumerThread, Fetched, Pace, RebalanceListener
from processors.transport.views import FetchedBatch, PlainBatch, RecordBatchView
from runtime import metrics
from runtime.logs import get_logger

log = get_logger(__name__)

POLL_TIMEOUT = 1.0
PAUSE_WHILE_REBALANCING = 0.05


class BatchMessage(ConsumerMessage):  # type: ignore[misc]  # Faust has no type hints for its callers
    """A whole batch as one Faust message; its offset is the last one it covers."""


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers batches, and acknowledges a batch by its last offset alone."""

    logger = FAUST_LOGGER
    RebalanceListener = RebalanceListener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, tuple[int, int]] = {}  # generation and last offset
        self._asked_again: dict[TP, tuple[int, int]] = {}  # generation and offset wanted

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def generation(self) -> int | None:
        """How often partitions were shared out as this worker saw it; None while they are being shared out.

        The group's own number does not tell two times of ownership apart: a worker whose instance id another one took over
        meanwhile may come back to the same number.
        """
        return None if self.app.rebalancing else int(self.app.rebalancing_count)

    def owned(self, topic: str) -> Owned | None:
        """The partitions of a topic that this worker has; None while they are being shared out."""
        generation = self.generation
        if generation is None:
            return None
        partitions = frozenset(tp.partition for tp in self.assignment() if tp.topic == topic)
        return Owned(generation, int(self.app.consumer_generation_id), partitions)

    @property
    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the thread that speaks to the brokers."""
        loop: asyncio.AbstractEventLoop = self._thread.thread_loop
        return loop

    @property
    def heartbeat_at(self) -> float:
        """When the last heartbeat was sent that the group answered well, on a monotonic clock."""
        return float(self._thread.heartbeat_at)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: stalls are noticed by `processors.watchdog`.

        Faust's own check is only a log line, but ends the worker while a position is looked up, as after records have expired.
        """

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                fetched, active = await self._wait_next_records(POLL_TIMEOUT)
                if isinstance(fetched, Fetched):
                    await self._deliver(fetched.generation, fetched, active)
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.transport.app.should_stop:
                raise

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        if self.app.rebalancing and active_partitions is not None:
            active_partitions = {tp for tp in active_partitions if not self.is_batched(tp)}
            if not active_partitions:
                await asyncio.sleep(PAUSE_WHILE_REBALANCING)
                return {}
        return await super()._getmany(active_partitions, timeout)

    def is_batched(self, tp: TP) -> bool:
        """Whether the records of a partition come as batches."""
        return tp.topic in self.transport.readers

    def _is_current(self, generation: int) -> bool:
        return bool(self.flow_active) and self.app.rebalancing_count == generation

    async def _deliver(self, generation: int, records: Mapping[TP, list[Any]], active: set[TP] | None) -> None:
        await asyncio.sleep(0)
        if self.should_stop:
            return
        for tp, found in records.items():
            if not self._is_current(generation):
                return  # what is left is read again: Faust seeks at the end of each rebalance
            if active is None or tp in active or tp in self._buffered_partitions:
                await self._deliver_partition(tp, found, generation)

    async def _deliver_partition(self, tp: TP, found: list[Any], generation: int) -> None:
        if not self.is_batched(tp):
            await self._deliver_records(tp, found, generation)
            return
        parts: list[FetchedBatch] = found if self.transport.has_views else [PlainBatch.of(found)]
        wanted = self._read_offset[tp]
        if wanted is not None:
            parts = [part for part in parts if part.next_offset > wanted]
            if not await self._is_next(tp, wanted, parts, generation):
                return
        if parts and await self._hand_over(tp, self._batch_message(tp, parts, generation), generation):
            self._delivered[tp] = generation, parts[-1].last_offset
            self._read_offset[tp] = parts[-1].next_offset

    async def _deliver_records(self, tp: TP, found: list[Any], generation: int) -> None:
        wanted = self._read_offset[tp]
        for record in found:
            if wanted is not None and record.offset < wanted:
                continue
            if not await self._hand_over(tp, self._to_message(tp, record), generation):
                return
            self._read_offset[tp] = record.offset

    async def _is_next(self, tp: TP, wanted: int, parts: Sequence[FetchedBatch], generation: int) -> bool:
        """Whether these records are the next ones there are from the offset wanted on; if not, it is asked for again."""
        if parts and parts[0].start == wanted:
            return True
        if self._asked_again.get(tp) == (generation, wanted):
            return await self._may_go_on(tp, wanted, parts)
        log.warning("asking again for records left out", partition=tp.partition, topic=tp.topic, begin=wanted)
        with contextlib.suppress(IllegalStateError):  # no longer ours: whose it is reads from what is committed
            await self.seek_wait({tp: wanted})
            self._asked_again[tp] = generation, wanted
        return False

    async def _may_go_on(self, tp: TP, wanted: int, parts: Sequence[FetchedBatch]) -> bool:
        """Whether to go on behind a hole that is there the second time as well."""
        try:
            extent = Extent((await self.earliest_offsets(tp))[tp], (await self.highwaters(tp))[tp])
            on_expired: OnExpired = "continue" if tp.topic in self.transport.healing else self.transport.on_expired
            expired = check_hole(tp.topic, tp.partition, wanted, extent, on_expired)
        except KafkaError as error:
            log.warning("no answer where a partition begins", partition=tp.partition, topic=tp.topic, error=str(error))
            self._asked_again.pop(tp, None)
            return False
        except RecordsLost as lost:
            self.transport.on_lost(lost)
            return False
        if not parts:
            return False
        if expired:
            metrics.ERRORS.labels("expired_unread").inc()
            log.error("records expired unread", partition=tp.partition, topic=tp.topic, begin=wanted, end=extent.begin)
        else:
            log.warning("no records at offsets", partition=tp.partition, topic=tp.topic, begin=wanted, end=parts[0].start)
        return True

    async def _hand_over(self, tp: TP, message: ConsumerMessage, generation: int) -> bool:
        """Give a message to its agents; False when a rebalance came in between, after which it is read again."""
        if self.is_batched(tp) and self.app.rebalancing:
            return False
        await self.wait_first(self.callback(message), self.suspend_flow.wait())
        return self._is_current(generation)

    def _batch_message(self, tp: TP, parts: Sequence[FetchedBatch], generation: int) -> BatchMessage:
        before, readers = self._delivered.get(tp), self.transport.readers[tp.topic]
        for part in parts:
            if isinstance(part, RecordBatchView):
                part.readers = readers
        batch = Batch(
            topic=tp.topic,
            partition=tp.partition,
            parts=parts,
            first_offset=parts[0].start,
            last_offset=parts[-1].last_offset,
            generation=generation,
            previous=before[1] if before and before[0] == generation else None,
            end=self.highwater(tp),
            readers=readers,
        )
        time, kind = max(part.max_timestamp for part in parts) / 1000.0, 1
        return BatchMessage(
            tp.topic,
            tp.partition,
            batch.last_offset,
            time,
            kind,
            [],
            None,
            batch,
            None,
            None,
            None,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def ack(self, message: ConsumerMessage) -> bool:
        """Acknowledge a message; a batch of an earlier generation belongs to whoever reads it again."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        if message.acked or message.value.generation != self.app.rebalancing_count:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        self._acked[message.tp] = [message.offset]
        self._n_acked += 1
        notify(self._waiting_for_ack)
        return True

    def _new_offset(self, tp: TP) -> int | None:
        if not self.is_batched(tp):
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        return acked.pop() + 1 if acked else None


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with batches. Its attributes are set once by the worker, before the app starts."""

    Consumer = BatchConsumer

    readers: ClassVar[dict[str, int]] = {}
    """The topics that come in batches, and how many agents read each."""
    has_views: ClassVar[bool] = False
    """Whether aiokafka yields whole batches for these topics (`processors.transport.views.install`)."""
    busy: ClassVar[Pace] = Pace(10, 100_000)
    """Pace of the fetch while records come."""
    on_expired: ClassVar[OnExpired] = "fail"
    healing: ClassVar[Collection[str]] = ()
    """Topics in which a hole is passed over whatever `on_expired` is: what comes later makes up for it."""
    on_lost: ClassVar[Callable[[RecordsLost], None]]


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
