"""Commits: what becomes of batches after they were folded, and what is acknowledged before what.

A commit has two stages, each of which waits for the broker's acknowledgement of every step:
1. publishing: dead letters of what cannot be taken in, then outputs;
2. storing: tables, one after the other as the computation lists them, first their changelogs, then their stores. Deletions come
   last: what a replay would need is there until everything else is. Then the batches are acknowledged, whose offsets Faust
   commits later.
While one commit is stored the next ones are published; what they have for the tables is stored together afterwards. So results
wait for no table, and a table is never ahead of what is published.

A crash between two steps repeats the records since the last that was stored, perhaps cut otherwise. Dead letters are written
again. So are outputs whose table writes did not arrive, each the same record as before, but for the UPDATEs of candles: one
tells of a candle and commit, so others may come out, told apart by their versions. What the tables have already is skipped by
offset.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from processors.computation import Effects, Fold
from processors.fence import Superseded
from processors.outputs import Message, dead_letter, message_of
from processors.surroundings import LoopHooks, Ways
from processors.tables import StoredTable, TableView, Writes
from schemas.topics import DEAD_LETTERS

SHARE_OF_TIME, LONGEST_PERIOD = 1 / 3, 0.75
"""A worker that catches up has commits that take long: it spends no more than this share of its time on them, and has one in
that period (seconds) nevertheless. One that took long because the broker was away says nothing of the next."""

STORE_SECONDS = 0.1
"""Least time from storing to storing, for those who publish more often."""

MOST_BATCHES = 512
"""Batches folded and not acknowledged; beyond them folding waits, and fetching for folding."""

MOST_COMMITS = 64
"""Commits begun and not acknowledged; beyond them publishing waits, and what comes meanwhile becomes one commit."""


@dataclass(eq=False, slots=True)
class Share:
    """One partition, that of the same number of each source, in one generation of the group.

    `last`: last offset folded, by topic.
    """

    partition: int
    generation: int
    fold: Fold
    views: Mapping[str, TableView]
    last: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Commit:
    generation: int
    events: list[Any]
    effects: list[tuple[Share, Effects]]
    began: float = field(default_factory=time.monotonic)
    is_published: bool = False


class Commits:
    """Commits the batches of one computation, in the order they were folded."""

    def __init__(
        self, name: str, tables: Mapping[str, StoredTable], ways: Ways, commit_seconds: float, hooks: LoopHooks
    ) -> None:
        self._name = name
        self._tables = tables  # in the order they are written
        self._ways = ways
        self._commit_seconds = commit_seconds
        self._hooks = hooks
        self._folded: list[tuple[Any, Share]] = []
        self._begun: list[_Commit] = []  # until acknowledged; the oldest first, as the layers of their shares' views
        self._has_folded, self._has_published, self._has_room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._publishing, self._storing = asyncio.Lock(), asyncio.Lock()
        self._stream: Any = None
        self._seconds = {"publish": 0.0, "store": 0.0}  # that the last of each took

    async def run(self, stream: Any) -> None:
        """Commit what is added, at the configured pace, until cancelled; `stream` is told what is acknowledged."""
        self._stream = stream
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_again_and_again())
            tasks.create_task(self._store_again_and_again())

    def add(self, event: Any, share: Share) -> None:
        """The batch of an event was folded into a share."""
        self._folded.append((event, share))
        self._has_folded.set()

    async def room(self) -> None:
        """Return once another batch may be folded."""
        await self._until(lambda: len(self._folded) + sum(len(commit.events) for commit in self._begun) < MOST_BATCHES)

    async def _until(self, has_room: Callable[[], bool]) -> None:
        while not has_room():
            self._has_room.clear()
            await self._has_room.wait()

    async def finish(self) -> None:
        """Publish and store all that was added; returns when that is done, or superseded."""
        await self._hooks.guard(self._publish())
        await self._hooks.guard(self._store())

    def drop_superseded(self) -> None:
        """Let go of what belongs to an earlier generation: it is read again."""
        is_current = self._ways.fence.is_current
        self._folded = [(event, share) for event, share in self._folded if is_current(event.value.generation)]
        self._begun = [commit for commit in self._begun if is_current(commit.generation)]
        self._has_room.set()

    async def _publish_again_and_again(self) -> None:
        began = 0.0
        while True:
            await self._has_folded.wait()
            await asyncio.sleep(began + self._period() - time.monotonic())
            await self._until(lambda: len(self._begun) < MOST_COMMITS)
            self._has_folded.clear()
            began = time.monotonic()
            await self._hooks.guard(self._publish())

    def _period(self) -> float:
        """Seconds from commit to commit. For the lowest latency there is no pause between them."""
        at_least = self._commit_seconds
        return max(at_least, min(sum(self._seconds.values()) / SHARE_OF_TIME, LONGEST_PERIOD)) if at_least else 0.0

    async def _store_again_and_again(self) -> None:
        began = 0.0
        while True:
            await self._has_published.wait()
            await asyncio.sleep(began + STORE_SECONDS - time.monotonic())
            self._has_published.clear()
            began = time.monotonic()
            await self._hooks.guard(self._store())

    async def _publish(self) -> None:
        async with self._publishing:
            self.drop_superseded()
            folded, self._folded = self._folded, []
            if not folded:
                return
            shares = dict.fromkeys(share for _, share in folded)
            commit = _Commit(
                folded[0][0].value.generation, [event for event, _ in folded], [(share, share.fold.take()) for share in shares]
            )
            for share in shares:
                for view in share.views.values():
                    view.seal()
            self._begun.append(commit)
            with suppress(Superseded):
                await self._send_effects(commit)
                commit.is_published = True
                self._has_published.set()
                self._seconds["publish"] = time.monotonic() - commit.began

    async def _send_effects(self, commit: _Commit) -> None:
        now = self._ways.clock()
        letters = [
            message_of(
                DEAD_LETTERS,
                dead_letter(share.partition, refusal, now),
                self._ways.codec,
                self._ways.partitions,
            )
            for share, brought in commit.effects
            for refusal in brought.refusals
        ]
        outputs = [output for _, brought in commit.effects for output in brought.outputs]
        for messages in (letters, outputs):
            await self._ways.deliveries.send(messages, commit.generation)

    async def _store(self) -> None:
        async with self._storing:
            began = time.monotonic()
            self.drop_superseded()
            commits = list(takewhile(lambda commit: commit.is_published, self._begun))
            if not commits:
                return
            # Nothing may be left out before them: each has one layer of its shares' views, and those are taken from the oldest.
            counts = Counter(share for commit in commits for share, _ in commit.effects)
            writes = {
                name: [(share, share.views[name].sealed(count)) for share, count in counts.items()] for name in self._tables
            }
            try:
                for is_deleting in (False, True):
                    for name, found in writes.items():
                        await self._write(name, only(found, is_deleting=is_deleting), commits[0].generation)
            except Superseded:
                return
            for share, count in counts.items():
                for view in share.views.values():
                    view.landed(count)
            await self._acknowledge(commits)
            self._seconds["store"] = time.monotonic() - began

    async def _acknowledge(self, commits: list[_Commit]) -> None:
        self._begun = [commit for commit in self._begun if commit not in commits]
        self._has_room.set()
        for commit in commits:
            for event in commit.events:
                await self._stream.ack(event)
            self._hooks.on_commit(time.monotonic() - commit.began)
            for _, brought in commit.effects:
                self._hooks.on_effects(self._name, brought)

    async def _write(self, name: str, found: list[tuple[Share, Writes]], generation: int) -> None:
        """Write one table: into its changelog, then into its store."""
        table = self._tables[name]
        changelog = table.changelog_topic_name
        messages = [
            Message(changelog, share.partition, key.encode(), value) for share, writes in found for key, value in writes.items()
        ]
        offsets = await self._ways.deliveries.send(messages, generation)
        self._ways.fence.check(generation)
        for share, writes in found:
            partition = share.partition
            if writes:
                await asyncio.sleep(0)  # others have their turn before each partition, which may be taken away then
                self._ways.fence.check(generation)
                encoded = ((key.encode(), value) for key, value in writes.items())
                table.write(partition, encoded, offsets.get((changelog, partition)))


def only(found: list[tuple[Share, Writes]], *, is_deleting: bool) -> list[tuple[Share, Writes]]:
    """The deletions among these writes, or all but them."""
    return [(share, {key: value for key, value in writes.items() if (value is None) is is_deleting}) for share, writes in found]
