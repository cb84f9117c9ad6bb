"""The real command line with one fault built in: `rigged_worker FAULT VALUE process -c …`.

A fault is a point of the commit protocol at which the process kills itself (VALUE: how many times it is passed before), or
`clock`, which sets the wall clock wrong (VALUE: by how many seconds, from the moment two seconds after the start).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

POINTS = ("outputs-acknowledged", "changelog-acknowledged", "store-written")
CLOCK = "clock"
STEP_AFTER_SECONDS = 2.0


def main() -> None:
    """Build the fault in and run the command line."""
    _, fault, value, *arguments = sys.argv
    if fault == CLOCK:
        set_wrong(float(value))
    else:
        die_at(fault, int(value))
    sys.argv = ["tapeline", *arguments]

    from tapeline.cli import main as tapeline

    tapeline()


def set_wrong(seconds: float) -> None:
    """Let the wall clock step while the process runs; what measures durations is right."""
    right, right_ns, begin = time.time, time.time_ns, time.monotonic()

    def wrong_by() -> float:
        return seconds if time.monotonic() - begin > STEP_AFTER_SECONDS else 0.0

    time.time = lambda: right() + wrong_by()
    time.time_ns = lambda: right_ns() + round(wrong_by() * 1e9)


def die_at(point: str, passes: int) -> None:
    """Have the process killed when it has passed a point of the commit protocol so often."""
    from processors.commits import Commits
    from processors.deliveries import Deliveries
    from processors.transport.packing import counts_of

    numbers = count()

    def passed(*_: Any) -> None:
        if next(numbers) == passes:
            os.kill(os.getpid(), signal.SIGKILL)

    def is_changelog(_: Any, outputs: Any, *__: Any) -> bool:
        return any(topic.endswith("-changelog") for topic in counts_of(outputs))

    def has_outputs(_: Any, commit: Any) -> bool:
        return any(brought.outputs for _, brought in commit.effects)

    def has_writes(_: Any, __: Any, found: Any, *___: Any) -> bool:
        return any(writes for _, writes in found)

    if point == "outputs-acknowledged":
        _after(Commits, "_send_effects", has_outputs, passed)
    elif point == "changelog-acknowledged":
        _after(Deliveries, "send", is_changelog, passed)
    elif point == "store-written":
        _after(Commits, "_write", has_writes, passed)
    else:
        sys.exit(f"no such point: {point}; there are {', '.join(POINTS)}")


def _after(owner: type, name: str, counts: Callable[..., bool], then: Callable[..., None]) -> None:
    """Call `then` after a coroutine method, when its arguments count."""
    method = getattr(owner, name)

    async def rigged(*arguments: Any) -> Any:
        found = await method(*arguments)
        if counts(*arguments):
            then()
        return found

    setattr(owner, name, rigged)


if __name__ == "__main__":
    main()
