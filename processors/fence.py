"""Whether this worker may still write for its partitions.

Without transactions nothing stops the records of a worker that was cut off, or frozen, until others had its partitions. So it
writes only while the last heartbeat that the group answered is younger than half the session, and no record is tried longer
than the other half: what it writes reaches the topics before anybody else can have the partitions. Where the heartbeats fail it
waits; either one succeeds again, or the group has gone on without it. (A second worker with the same instance id gets the
partitions at once. That is a mistake in the settings; versions and recovery by the highest offset bound what it can spoil.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

PAUSE = 0.05
"""Seconds between two looks at a membership that is in doubt."""


class Superseded(Exception):
    """The group has shared out its partitions anew since the records in hand were read; they are read again."""


class Membership(Protocol):
    """What a worker knows of its place in the group."""

    @property
    def generation(self) -> int | None:
        """A number for each time that partitions were shared out; None while they are being shared out."""

    @property
    def heartbeat_at(self) -> float:
        """When the last heartbeat was sent that the group answered well, on a monotonic clock."""


class Fence:
    """Lets writes through for as long as the partitions are certainly this worker's."""

    def __init__(
        self,
        membership: Membership,
        session_seconds: float,
        on_waiting: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.patience = session_seconds / 2
        self._membership = membership
        self._on_waiting = on_waiting
        self._clock = clock
        self._waiting = 0  # writers; several agents share a fence

    def is_current(self, generation: int) -> bool:
        """Whether records read in a generation are still this worker's to process."""
        return self._membership.generation == generation

    def check(self, generation: int) -> None:
        """Raise Superseded unless the generation is the present one."""
        if not self.is_current(generation):
            raise Superseded(f"the group's generation is no longer {generation}")

    async def passed(self, generation: int) -> None:
        """Return once this worker may write for a generation, however long that takes. Raises Superseded."""
        self.check(generation)
        if self._is_fresh():
            return
        self._waiting += 1
        self._on_waiting(True)
        try:
            while not self._is_fresh():
                await asyncio.sleep(PAUSE)
                self.check(generation)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._on_waiting(False)

    def _is_fresh(self) -> bool:
        return self._clock() - self._membership.heartbeat_at < self.patience
