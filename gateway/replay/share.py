"""Bounds what all replays together take of the process, so that live clients do not wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Share:
    """One piece of a replay's work at a time; after each comes a rest, so that work is at most this share of the time."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def piece(self, before: float = 0.0) -> AsyncIterator[None]:
        """A piece of work; it ends after the rest that it asks for. So many seconds of it were spent `before`, elsewhere."""
        async with self._turn:
            began = time.perf_counter()
            try:
                yield
            finally:
                spent = before + time.perf_counter() - began
            await asyncio.sleep(spent * self._rest)
