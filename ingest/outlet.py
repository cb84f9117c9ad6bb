"""Records of a feed on their way out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable

from schemas.records import Record


class Outlet:
    """Bounded: who puts waits for room, from `limit` records on until less than half as many are left.

    Iterating raises `failure` behind the last record.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: deque[Record] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = False
        self.failure: BaseException | None = None

    def put(self, records: Iterable[Record]) -> None:
        """Add records, whether there is room or not."""
        self._records.extend(records)
        self._filled.set()
        if len(self._records) >= self._limit:
            self._drained.clear()

    @property
    def has_room(self) -> bool:
        """Whether nobody has to wait."""
        return self._drained.is_set()

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
        while True:
            while self._records:
                yield self._records.popleft()
                if len(self._records) * 2 < self._limit:
                    self._drained.set()
            if self.failure is not None:
                raise self.failure
            if self._closed:
                return
            self._filled.clear()
            await self._filled.wait()
