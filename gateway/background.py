"""What the gateway does from time to time beside serving; the tasks end by cancellation."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Sequence

from gateway.hub import Hub
from gateway.key_files import KeyFile

_SWEEP_SECONDS = 10
"""How often users and addresses that use nothing are forgotten."""

GONE = 5_000
"""After so many clients have gone, the garbage collector looks through everything, which it does not do by itself for long.

What they leave is little (asyncio's transports refer to themselves), and looking holds up every client that is there.
"""


async def watch_keys(hub: Hub, files: Sequence[KeyFile], every_seconds: float) -> None:
    """Have the hub look at everyone anew whenever a key file has changed."""
    while True:
        await asyncio.sleep(every_seconds)
        if any([await asyncio.to_thread(file.refresh) for file in files]):
            hub.review()


async def watch_time(hub: Hub, clock: Callable[[], int]) -> None:
    """Close those whose token's time is over though nothing is told, and forget who uses nothing, and who is gone."""
    looked_at = 0
    for second in itertools.count(1):
        await asyncio.sleep(1)
        hub.expire()
        if second % _SWEEP_SECONDS == 0:
            hub.admission.usages.sweep(clock())
        if (gone := hub.traffic.opened - hub.clients) - looked_at >= GONE:
            looked_at = gone
            gc.collect()
