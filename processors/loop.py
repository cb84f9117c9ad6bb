"""The loop around every computation: what is taken in, and what is acknowledged before what.

Batches are folded as they come; what they bring about is kept in memory. At each commit (by default every tenth of a second,
or after every batch), in this order, each step waiting for the broker's acknowledgement:
1. dead letters of what cannot be taken in;
2. outputs;
3. tables, one after the other as the computation lists them: first their changelogs, then their stores. Deletions come last:
   what a replay would need is there until everything else is;
4. the batches, whose offsets Faust commits later.
Folding goes on while a commit waits; the next commit begins when it is done.

A crash between two steps repeats the records since the last commit, perhaps cut otherwise. Dead letters are written again. So
are outputs whose table writes did not arrive, each the same record as before, but for the UPDATEs of candles: there is one for
a candle and commit, so others may come out, told apart by their versions. What the tables have already is skipped by offset.

When the group shares out its partitions anew, what was folded and not committed is dropped: whoever has the partition then
reads it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from processors.batch import Batch
from processors.computation import Computation, Effects, Fold, Scope
from processors.deliveries import Deliveries, Message
from processors.expiry import RecordsLost, check_known
from processors.fence import Fence, Superseded
from processors.outputs import dead_letter, message_of
from processors.tables import StoredTable, TableView, Writes
from runtime.logs import get_logger
from schemas.codec import Codec, SchemaNotLearnt
from schemas.registry import RegistryError
from schemas.topics import DEAD_LETTERS

log = get_logger(__name__)

REGISTRY_RETRY_SECONDS = 1.0

PAUSES_PER_COMMIT, LONGEST_PAUSE = 2, 0.5
"""A worker that catches up has commits that take long: it spends no more than a third of its time on them. One that took long
because the broker was away says nothing of the next."""

IDLE_SECONDS = 5.0
"""How long a worker that has nothing to do keeps what it folded for partitions that others have now."""

MOST_BATCHES = 128
"""Batches folded and not committed; beyond them folding waits for the commit, and fetching for folding."""


class BatchMissing(Exception):
    """A batch that was delivered did not reach the agent; it was not acknowledged, so a restart reads it again."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How the loops of a worker reach the broker."""

    codec: Codec
    partitions: int
    deliveries: Deliveries
    fence: Fence
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """`commit_seconds`: time between commits, 0 commits after every batch. `compiled`: use compiled code where there is any."""

    commit_seconds: float
    max_skew: int
    compiled: bool


@dataclass(frozen=True, slots=True)
class LoopHooks:
    """What a loop tells the worker. `on_failure` must end the process at once, `on_lost` in order.

    `on_batch` and `on_effects` get the loop's name first, `on_effects` the source topic next.
    """

    on_batch: Callable[[str, Batch], None]
    on_effects: Callable[[str, str, Effects], None]
    on_commit: Callable[[float], None]
    on_waiting: Callable[[str | None], None]
    on_failure: Callable[[BaseException], None]
    on_lost: Callable[[RecordsLost], None]


@dataclass(slots=True)
class _Share:
    """One partition in one generation of the group."""

    batch: Batch
    fold: Fold
    views: Mapping[str, TableView]
    last: int | None = None


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
    ) -> None:
        self._name = name
        self._computation = computation
        self._tables = tables
        self._ways = ways
        self._settings = settings
        self._hooks = hooks
        self._shares: dict[int, _Share] = {}
        self._pending: list[Any] = []  # events folded and not acknowledged
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._committing = asyncio.Lock()
        self._last_commit_seconds = 0.0
        self._stream: Any = None

    async def run(self, stream: Any) -> None:
        """Process batches until the stream ends.

        No exception may leave this loop unseen: Faust would take the batch for done.
        """
        self._stream = stream.noack()
        committing = asyncio.create_task(self._commit_again_and_again())
        try:
            async for event in self._stream.events():
                await self._guarded(self._take_in(event))
            await self.commit()
        finally:
            committing.cancel()

    async def commit(self) -> None:
        """Commit what was folded so far; returns when it is done, or superseded."""
        async with self._committing:
            await self._guarded(self._commit())

    async def _guarded(self, step: Any) -> None:
        try:
            await step
        except RecordsLost as lost:
            self._hooks.on_lost(lost)
            await asyncio.Event().wait()  # the worker is ending in order; nothing more is processed here
        except Exception as error:  # whatever it is, the batch must not count as done
            self._hooks.on_failure(error)
            raise

    # taking in

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
            check_known(batch.topic, batch.partition, share.fold.known, batch.end)
        self._hooks.on_batch(self._name, batch)
        batch.done()
        self._pending.append(event)
        self._arrived.set()
        while len(self._pending) >= MOST_BATCHES:
            self._room.clear()
            await self._room.wait()

    def _share_of(self, batch: Batch) -> _Share:
        share = self._shares.get(batch.partition)
        if share is None or share.batch.generation != batch.generation:
            share = self._shares[batch.partition] = self._open(batch)
        return share

    def _open(self, batch: Batch) -> _Share:
        def view(table: StoredTable) -> TableView:
            return TableView(lambda key: table.read(batch.partition, key))

        views = {name: view(table) for name, table in self._tables.items()}
        settings = self._settings
        scope = Scope(batch.topic, batch.partition, views, self._ways.codec, settings.max_skew, settings.compiled)
        return _Share(batch, self._computation.open(scope), views)

    @staticmethod
    def _check_follows(share: _Share, batch: Batch) -> None:
        """Raise BatchMissing unless the batch delivered before this one was folded here."""
        if batch.previous != share.last:
            raise BatchMissing(
                f"{batch.topic}[{batch.partition}]: "
                f"the batch at {batch.first_offset} follows {batch.previous}, not {share.last}"
            )
        share.last = batch.last_offset

    async def _fold(self, share: _Share, batch: Batch) -> None:
        codec = self._ways.codec
        try:
            share.fold.fold(batch)
        except SchemaNotLearnt:
            while unknown := codec.unknown_ids(raw.value for raw in batch):
                await self._learn(unknown)
            share.fold.fold(batch)  # what was folded before is known by its offset
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

    # committing

    async def _commit_again_and_again(self) -> None:
        while True:
            while not self._arrived.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), IDLE_SECONDS)
                self._drop_superseded()
            await asyncio.sleep(self._pause())
            self._arrived.clear()
            await self.commit()

    def _pause(self) -> float:
        """Seconds to the next commit. For the lowest latency there is none."""
        at_least = self._settings.commit_seconds
        return max(at_least, min(PAUSES_PER_COMMIT * self._last_commit_seconds, LONGEST_PAUSE)) if at_least else 0.0

    async def _commit(self) -> None:
        started = time.monotonic()
        self._drop_superseded()
        events, self._pending = self._pending, []
        self._room.set()
        if not events:
            return
        shares = [self._shares[number] for number in dict.fromkeys(event.value.partition for event in events)]
        generation = shares[0].batch.generation
        effects = [(share, share.fold.take()) for share in shares]
        writes = {name: [(share, share.views[name].take()) for share in shares] for name in self._computation.tables}
        try:
            await self._publish(effects, generation)
            for is_deleting in (False, True):
                for name, found in writes.items():
                    await self._store(name, only(found, is_deleting=is_deleting), generation)
        except Superseded:
            self._drop_superseded()
            return
        for share in shares:
            for view in share.views.values():
                view.landed()
        for event in events:
            await self._stream.ack(event)
        self._last_commit_seconds = time.monotonic() - started
        self._hooks.on_commit(self._last_commit_seconds)
        for share, brought in effects:
            self._hooks.on_effects(self._name, share.batch.topic, brought)

    async def _publish(self, effects: list[tuple[_Share, Effects]], generation: int) -> None:
        now = self._ways.clock()
        letters = [
            (DEAD_LETTERS, dead_letter(share.batch.topic, share.batch.partition, refusal, now))
            for share, brought in effects
            for refusal in brought.refusals
        ]
        outputs = [output for _, brought in effects for output in brought.outputs]
        for records in (letters, outputs):
            messages = [message_of(*record, self._ways.codec, self._ways.partitions) for record in records]
            await self._ways.deliveries.send(messages, generation)

    async def _store(self, name: str, found: list[tuple[_Share, Writes]], generation: int) -> None:
        """Write one table: into its changelog, then into its store."""
        table = self._tables[name]
        changelog = table.changelog_topic_name
        messages = [
            Message(changelog, share.batch.partition, key.encode(), value)
            for share, writes in found
            for key, value in writes.items()
        ]
        offsets = await self._ways.deliveries.send(messages, generation)
        self._ways.fence.check(generation)
        for share, writes in found:
            partition = share.batch.partition
            if writes:
                encoded = ((key.encode(), value) for key, value in writes.items())
                table.write(partition, encoded, offsets.get((changelog, partition)))

    def _drop_superseded(self) -> None:
        """Let go of what belongs to an earlier generation: it is read again."""
        is_current = self._ways.fence.is_current
        self._pending = [event for event in self._pending if is_current(event.value.generation)]
        self._shares = {number: share for number, share in self._shares.items() if is_current(share.batch.generation)}


def only(found: list[tuple[_Share, Writes]], *, is_deleting: bool) -> list[tuple[_Share, Writes]]:
    """The deletions among these writes, or all but them."""
    return [(share, {key: value for key, value in writes.items() if (value is None) is is_deleting}) for share, writes in found]
