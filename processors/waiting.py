"""Where the tasks of an event loop wait: told when a worker no longer gets ahead, since it cannot be asked any more later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_DEEPEST = 40
_SHOWN = 4


def places_of(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """The last lines at which each task waits, innermost first; tasks that wait alike are one, with their number."""
    found: dict[str, int] = {}
    for task in tasks:
        lines = _lines(task.get_coro())
        if lines:
            text = " < ".join(reversed(lines[-_SHOWN:]))
            found[text] = found.get(text, 0) + 1
    return [text if number == 1 else f"{text} ({number} times)" for text, number in sorted(found.items())]


def _lines(running: Any) -> list[str]:
    """The lines at which a coroutine waits, outermost first."""
    lines: list[str] = []
    while running is not None and len(lines) < _DEEPEST:
        frame = _either(running, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            break
        lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        running = _either(running, "cr_await", "gi_yieldfrom", "ag_await")
    return lines


def _either(thing: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(thing, name, None)) is not None), None)
