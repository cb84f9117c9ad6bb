"""A Faust transport that delivers one event per partition and poll, holding all its records.

Registered as the extension `tapeline` of Faust's transports; a broker URL `tapeline://host:port` selects it. Topics named in
`batched_topics` arrive as batches; every other topic (changelogs) keeps one event per record.

It reaches into these names of Faust that are not public: `Consumer._drain_messages`, `_wait_next_records`, `_new_offset`,
`_acked`, `_read_offset`, `_n_acked`, `_unacked_messages`, `_waiting_for_ack`, `_buffered_partitions`, and
`Producer._settings_extra`. A unit test holds that they exist, so that an upgrade that moves one fails with its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from processors.batch import Batch, RawRecord

SCHEME = "tapeline"
POLL_TIMEOUT = 1.0

FAUST_LOGGER = logging.getLogger("faust.tapeline")
"""For subclasses of Faust's services, which log each of their steps: heard as Faust itself is."""


class BatchMessage(ConsumerMessage):  # type: ignore[misc]  # Faust has no type hints for its callers
    """A whole batch as one Faust message; its offset is that of its last record."""


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers batches, and acknowledges a batch by its last offset alone."""

    logger = FAUST_LOGGER

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._deliver(*await self._wait_next_records(POLL_TIMEOUT))
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.transport.app.should_stop:
                raise

    async def _deliver(self, records: Mapping[TP, list[Any]] | None, active: set[TP] | None) -> None:
        generation = self.app.consumer_generation_id
        await asyncio.sleep(0)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        for tp, found in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # what is left is read again from the committed offsets
            if active is None or tp in active or tp in self._buffered_partitions:
                await self._deliver_partition(tp, found, generation)

    async def _deliver_partition(self, tp: TP, found: list[Any], generation: int) -> None:
        read = self._read_offset[tp]
        fresh = found if read is None else [record for record in found if record.offset >= read]
        if not fresh:
            return
        if tp.topic in self.transport.batched_topics:
            messages = [self._batch_message(tp, fresh, generation)]
        else:
            messages = [self._to_message(tp, record) for record in fresh]
        for message in messages:
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = message.offset

    def _batch_message(self, tp: TP, found: list[Any], generation: int) -> BatchMessage:
        last = found[-1]
        records = [RawRecord(record.offset, record.timestamp, record.key, record.value) for record in found]
        batch = Batch(tp.topic, tp.partition, records)
        return BatchMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            batch,
            None,
            None,
            None,
            tp,
            generation_id=generation,
        )

    def ack(self, message: ConsumerMessage) -> bool:
        """Acknowledge a message; a batch of an earlier generation belongs to whoever reads it again."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        if message.acked or message.generation_id != self.app.consumer_generation_id:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        self._acked[message.tp] = [message.offset]
        self._n_acked += 1
        notify(self._waiting_for_ack)
        return True

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.transport.batched_topics:
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        return acked.pop() + 1 if acked else None


class IdempotentProducer(driver.Producer):  # type: ignore[misc]
    """aiokafka's producer without duplicates from retries, which Faust only has inside transactions."""

    logger = FAUST_LOGGER

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with batches and an idempotent producer."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer
    batched_topics: set[str] = set()  # noqa: RUF012  # filled once by the worker, before the app starts


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
