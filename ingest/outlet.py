"""Records of a feed on their way out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Self

from schemas.records import Record

BATCH = 256
"""Records handed over before others get a turn."""


class Outlet:
    """Bounded: who puts waits for room, from `limit` records on until less than half as many are left.

    Iterating raises `failure` behind the last record. While it `has_room`, nobody has to wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: deque[Record] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self.has_room = True
        self._closed = False
        self.failure: BaseException | None = None

    def put(self, records: Iterable[Record]) -> None:
        """Add records, whether there is room or not."""
        held = self._records
        if not held:  # else it is set
            self._filled.set()
        held.extend(records)
        if len(held) >= self._limit:
            self.has_room = False
            self._drained.clear()

    async def room(self) -> bool:
        """Wait until there is room; whether waiting was needed."""
        if self.has_room:
            return False
        while not self.has_room:
            await self._drained.wait()
        return True

    def close(self, failure: BaseException | None = None) -> None:
        """Let iterating end behind what is there."""
        self.failure = self.failure or failure
        self._closed = True
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[Record]:
        while await self._any():
            yield self._records.popleft()
            self._shrunk()

    async def batches(self) -> AsyncIterator[Sequence[Record]]:
        """The records, as many at a time as there are, up to BATCH."""
        held = self._records
        while await self._any():
            if len(held) <= BATCH:
                batch = [*held]
                held.clear()
            else:
                batch = [held.popleft() for _ in range(BATCH)]
            yield batch
            self._shrunk()

    async def _any(self) -> bool:
        """Wait for records; False when no more will come."""
        while not self._records:
            if self.failure is not None:
                raise self.failure
            if self._closed:
                return False
            self._filled.clear()
            await self._filled.wait()
        return True

    def _shrunk(self) -> None:
        if not self.has_room and len(self._records) * 2 < self._limit:
            self.has_room = True
            self._drained.set()


class OutletFeed(ABC):
    """The part of a feed whose records come out of `_outlet`: see `ingest.feed.Feed`."""

    _outlet: Outlet

    @abstractmethod
    async def connect(self) -> None:
        """See `ingest.feed.Feed.connect`."""

    @abstractmethod
    async def disconnect(self) -> None:
        """See `ingest.feed.Feed.disconnect`."""

    def __aiter__(self) -> AsyncIterator[Record]:
        return aiter(self._outlet)

    def batches(self) -> AsyncIterator[Sequence[Record]]:
        """See `ingest.feed.Feed.batches`."""
        return self._outlet.batches()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.disconnect()
