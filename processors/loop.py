"""The loop around every computation: what is acknowledged before what.

For each batch, in this order, each step waiting for the broker's acknowledgement:
1. dead letters of what cannot be taken in;
2. outputs;
3. tables, one after the other as the computation lists them, with their changelogs;
4. the batch itself, whose offset Faust commits later.
A crash between two steps repeats its records, perhaps cut into other batches. Dead letters are written again. So are outputs
whose table writes did not arrive, each the same record as before, but for the UPDATEs of candles: there is one for a candle
and batch, so others may come out, told apart by their versions. What the tables have already is skipped by offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from processors.batch import Batch
from processors.computation import Computation, Effects
from processors.expiry import RecordsLost, check_known
from processors.outputs import Outputs
from processors.tables import AcknowledgedTable, StoredValues
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.registry import RegistryError

log = get_logger(__name__)

REGISTRY_RETRY_SECONDS = 1.0


class BatchMissing(Exception):
    """A batch that was delivered did not reach the agent; it was not acknowledged, so a restart reads it again."""


class BatchLoop:
    """Runs one computation over the batches of a stream."""

    def __init__(
        self,
        computation: Computation,
        tables: Mapping[str, AcknowledgedTable],
        outputs: Outputs,
        codec: Codec,
        *,
        max_skew: int,
        on_batch: Callable[[Batch], None],
        on_effects: Callable[[Batch, Effects], None],
        on_waiting: Callable[[str | None], None],
        on_failure: Callable[[BaseException], None],
        on_lost: Callable[[RecordsLost], None],
    ) -> None:
        self._computation = computation
        self._tables = tables
        self._views = {name: StoredValues(table) for name, table in tables.items()}
        self._outputs = outputs
        self._codec = codec
        self._max_skew = max_skew
        self._on_batch = on_batch
        self._on_effects = on_effects
        self._on_waiting = on_waiting
        self._on_failure = on_failure
        self._on_lost = on_lost
        self._last: dict[int, tuple[int, int]] = {}  # by partition: generation and last offset of its latest batch

    async def run(self, stream: Any) -> None:
        """Process batches until the stream ends.

        No exception may leave this loop: Faust would take the batch for done. `on_failure` must end the process at once,
        `on_lost` in order.
        """
        stream = stream.noack()
        async for event in stream.events():
            try:
                await self._process(event.value)
            except RecordsLost as lost:
                self._on_lost(lost)
                await asyncio.Event().wait()  # the worker is ending in order; nothing more is processed here
            except Exception as error:  # whatever it is, the batch must not count as done
                self._on_failure(error)
                raise
            await stream.ack(event)

    async def _process(self, batch: Batch) -> None:
        self._check_follows(batch)
        if batch.decoded is None:
            await self._learn_schemas(batch)
        if batch.decoded is None:  # still: another agent that waited for the same schemas may have been first
            batch.decode(self._codec, self._max_skew)
            self._on_batch(batch)
        records = batch.decode(self._codec, self._max_skew)
        effects = self._computation.fold(batch.topic, batch.partition, records, self._views)
        if batch.end is not None:
            check_known(batch.topic, batch.partition, effects.known, batch.end)
        effects.refusals[:0] = batch.take_refusals()
        await self._outputs.refuse(batch, effects.refusals)
        await self._outputs.send(effects.outputs)
        for name in self._computation.tables:
            if writes := effects.writes.get(name):
                await self._tables[name].apply(writes)
        self._on_effects(batch, effects)

    def _check_follows(self, batch: Batch) -> None:
        """Raise BatchMissing unless the batch delivered before this one was processed here."""
        generation, last = self._last.get(batch.partition, (batch.generation, None))
        expected = last if generation == batch.generation else None
        if batch.previous != expected:
            raise BatchMissing(
                f"{batch.topic}[{batch.partition}]: the batch at {batch.raw[0].offset} follows {batch.previous}, not {expected}"
            )
        self._last[batch.partition] = batch.generation, batch.raw[-1].offset

    async def _learn_schemas(self, batch: Batch) -> None:
        """Ask the registry for schema ids met for the first time, for as long as it takes: they say nothing bad of a record."""
        while unknown := self._codec.unknown_ids(raw.value for raw in batch.raw):
            try:
                await asyncio.to_thread(self._codec.learn, unknown)
                self._on_waiting(None)
                return
            except RegistryError as error:
                log.warning("waiting for the schema registry", error=str(error), schema_ids=sorted(unknown))
                self._on_waiting(str(error))
                await asyncio.sleep(REGISTRY_RETRY_SECONDS)
