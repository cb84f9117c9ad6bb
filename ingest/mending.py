"""What it takes to have trades told again that were missed: how patiently a venue is asked, and for what at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ingest.clock import Clock
from ingest.marks import Missing, Stretch
from runtime.retry import Backoff

REQUESTS_IN_VAIN = 6
"""After so many answers without what is missing it is left missing."""

ASKING = Backoff(initial_seconds=1.0, maximum_seconds=30.0)

_LOOK_SECONDS = 0.1

_Lost = TypeVar("_Lost", Missing, Stretch)


async def mend(
    clock: Clock,
    lost: Callable[[], Iterable[tuple[str, _Lost]]],
    work: Callable[[str, _Lost], Awaitable[None]],
) -> None:
    """Work on what is lost, told with its channel, until cancelled: on one thing of an instrument at a time, oldest first."""
    in_hand: set[str] = set()

    async def hold(channel: str, one: _Lost) -> None:
        try:
            await work(channel, one)
        finally:
            in_hand.discard(one.instrument)

    async with asyncio.TaskGroup() as tasks:
        while True:
            for channel, one in lost():
                if one.instrument not in in_hand:
                    in_hand.add(one.instrument)
                    tasks.create_task(hold(channel, one), name=f"trades of {one.instrument}")
            await clock.sleep(_LOOK_SECONDS)
