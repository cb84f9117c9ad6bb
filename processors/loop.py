"""The loop around every computation: takes batches in, folds them as they come, and leaves what came of them to its commits.

When the group shares out its partitions anew, what was folded and not committed is dropped: whoever has the partition then
reads it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from processors.batch import Batch
from processors.commits import Commits, Share
from processors.computation import Computation, Scope
from processors.expiry import check_known
from processors.surroundings import Beside, LoopHooks, LoopSettings, Ways
from processors.tables import StoredTable, TableView
from runtime.logs import get_logger
from schemas.codec import SchemaNotLearnt
from schemas.registry import RegistryError

log = get_logger(__name__)

REGISTRY_RETRY_SECONDS = 1.0

TIDY_SECONDS = 5.0
"""How long a worker keeps what it folded for partitions that others have now."""


class BatchMissing(Exception):
    """A batch that was delivered did not reach the agent; it was not acknowledged, so a restart reads it again."""


class BatchLoop:
    """Runs one computation over the batches of a stream."""

    def __init__(
        self,
        name: str,
        computation: Computation,
        tables: Mapping[str, StoredTable],
        ways: Ways,
        settings: LoopSettings,
        hooks: LoopHooks,
        beside: Beside | None = None,
    ) -> None:
        self._name = name
        self._computation = computation
        self._tables = tables
        self._ways = ways
        self._settings = settings
        self._hooks = hooks
        self._beside = beside
        self._shares: dict[int, Share] = {}
        in_order = {table: tables[table] for table in computation.tables}
        self._commits = Commits(name, in_order, ways, settings.commit_seconds, hooks)

    async def run(self, stream: Any) -> None:
        """Process batches until the stream ends."""
        stream = stream.noack()
        tasks = [asyncio.create_task(each) for each in (self._commits.run(stream), self._tidy_up())]
        if self._computation.beside is not None and self._beside is not None:
            tasks.append(asyncio.create_task(self._hooks.guard(self._computation.beside(self._beside))))
        try:
            async for event in stream.events():
                await self._hooks.guard(self._take_in(event))
            await self.commit()
        finally:
            for task in tasks:
                task.cancel()

    async def commit(self) -> None:
        """Commit what was folded so far; returns when it is done, or superseded."""
        await self._commits.finish()

    async def _tidy_up(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            is_current = self._ways.fence.is_current
            self._shares = {number: share for number, share in self._shares.items() if is_current(share.generation)}
            self._commits.drop_superseded()

    async def _take_in(self, event: Any) -> None:
        batch: Batch = event.value
        if not self._ways.fence.is_current(batch.generation):
            return  # delivered just before the partitions were shared out anew, after which it is read again
        share = self._share_of(batch)
        self._check_follows(share, batch)
        await self._fold(share, batch)
        if not self._ways.fence.is_current(batch.generation):
            return  # taken away while the registry was waited for
        if batch.end is not None:
            check_known(batch.topic, batch.partition, share.fold.known(batch.topic), batch.end)
        self._hooks.on_batch(self._name, batch)
        batch.done()
        self._commits.add(event, share)
        await self._commits.room()

    def _share_of(self, batch: Batch) -> Share:
        share = self._shares.get(batch.partition)
        if share is None or share.generation != batch.generation:
            share = self._shares[batch.partition] = self._open(batch.partition, batch.generation)
        return share

    def _open(self, partition: int, generation: int) -> Share:
        def view(table: StoredTable) -> TableView:
            return TableView(lambda key: table.read(partition, key))

        views = {name: view(table) for name, table in self._tables.items()}
        settings = self._settings
        ways = self._ways
        scope = Scope(partition, views, ways.codec, ways.partitions, settings.max_skew, settings.compiled)
        return Share(partition, generation, self._computation.begin(scope), views)

    @staticmethod
    def _check_follows(share: Share, batch: Batch) -> None:
        """Raise BatchMissing unless the batch delivered before this one was folded here."""
        last = share.last.get(batch.topic)
        if batch.previous != last:
            raise BatchMissing(
                f"{batch.topic}[{batch.partition}]: the batch at {batch.first_offset} follows {batch.previous}, not {last}"
            )
        share.last[batch.topic] = batch.last_offset

    async def _fold(self, share: Share, batch: Batch) -> None:
        codec = self._ways.codec
        has_learnt = False
        while True:
            try:
                share.fold.fold(batch)  # what was folded before is known by its offset
                break
            except SchemaNotLearnt as error:  # of the batch, or of what was kept of an earlier one
                has_learnt = True
                while unknown := codec.unknown_ids(raw.value for raw in batch) | codec.not_learnt([error.schema_id]):
                    await self._learn(unknown)
        if has_learnt:
            codec.forget_missing()  # the registry may get to know them: asked once a batch

    async def _learn(self, schema_ids: set[int]) -> None:
        """Ask the registry for schema ids met for the first time, for as long as it takes: they say nothing bad of a record."""
        try:
            await asyncio.to_thread(self._ways.codec.learn, schema_ids)
            self._hooks.on_waiting(None)
        except RegistryError as error:
            log.warning("waiting for the schema registry", error=str(error), schema_ids=sorted(schema_ids))
            self._hooks.on_waiting(str(error))
            await asyncio.sleep(REGISTRY_RETRY_SECONDS)
