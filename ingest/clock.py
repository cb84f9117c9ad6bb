"""Time for the parts of ingest that live in it; tests bring a clock of their own."""

from __future__ import annotations

import asyncio
from time import monotonic, time_ns
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds of a clock that nobody sets."""

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        """Wait so long, or until the event is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """See `Clock.now`."""
        return time_ns() // 1000

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        """See `Clock.pause`."""
        try:
            async with asyncio.timeout(seconds):
                await until.wait()
        except TimeoutError:
            return
