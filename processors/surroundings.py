"""What a loop is given: its ways to the broker, its settings, and whom it tells what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from processors.batch import Batch
from processors.computation import Effects
from processors.deliveries import Deliveries
from processors.expiry import RecordsLost
from processors.fence import Fence
from runtime.settings import Settings
from schemas.codec import Codec


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
    """`commit_seconds`: from commit to commit, 0 for no pause between. `compiled`: use compiled code where there is any."""

    commit_seconds: float
    max_skew: int
    compiled: bool


class Owned(NamedTuple):
    """Partitions that are this worker's in a generation: its own count of them (see `Fence`), and the group's."""

    generation: int
    group_generation: int
    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Beside:
    """What work beside that on batches is given.

    `owned` tells which partitions of a topic this worker has, None while they are being shared out.
    """

    ways: Ways
    settings: Settings
    owned: Callable[[str], Owned | None]


@dataclass(frozen=True, slots=True)
class LoopHooks:
    """What a loop tells the worker. `on_failure` must end the process at once, `on_lost` in order.

    `on_batch` and `on_effects` get the loop's name first.
    """

    on_batch: Callable[[str, Batch], None]
    on_effects: Callable[[str, Effects], None]
    on_commit: Callable[[float], None]
    on_waiting: Callable[[str | None], None]
    on_failure: Callable[[BaseException], None]
    on_lost: Callable[[RecordsLost], None]

    async def guard(self, step: Awaitable[None]) -> None:
        """Await a step. No exception of it may go unseen: Faust would take the batch for done."""
        try:
            await step
        except RecordsLost as lost:
            self.on_lost(lost)
            await asyncio.Event().wait()  # the worker is ending in order; nothing more is processed here
        except Exception as error:  # whatever it is, the batch must not count as done
            self.on_failure(error)
            raise
