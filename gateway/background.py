"""What the gateway does from time to time beside serving; the tasks end by cancellation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from gateway.hub import Hub
from gateway.key_files import KeyFile

_SWEEP_SECONDS = 10
"""How often users and addresses that use nothing are forgotten."""


async def watch_keys(hub: Hub, files: Sequence[KeyFile], every_seconds: float) -> None:
    """Have the hub look at everyone anew whenever a key file has changed."""
    while True:
        await asyncio.sleep(every_seconds)
        if any([await asyncio.to_thread(file.refresh) for file in files]):
            hub.review()


async def watch_time(hub: Hub, clock: Callable[[], int]) -> None:
    """Close those whose token's time is over though nothing is told, and forget who uses nothing."""
    for second in itertools.count(1):
        await asyncio.sleep(1)
        hub.expire()
        if second % _SWEEP_SECONDS == 0:
            hub.admission.usages.sweep(clock())
