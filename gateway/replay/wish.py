"""What a client asks for who wants the past: from when on, and how fast. Pure; times are microseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway.refusals import ErrorCode, Refusal

FASTEST = 1_000.0
"""The highest speed that is a factor."""
SLOWEST = 0.01

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"\d+", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_FIRST, _LAST = 10**15, 10**16
"""Epochs of 2001 and of 2286: what is less are seconds or milliseconds, what is more are nanoseconds."""


class Wish(NamedTuple):
    """A replay from `time` on; `speed` is how many seconds of it pass in one, None for as fast as the client reads."""

    time: int
    speed: float | None = 1.0

    def describe(self) -> dict[str, int | float | str]:
        """The wish as the greeting tells it."""
        return {"time": self.time, "speed": "max" if self.speed is None else self.speed}


def read_wish(replay: Sequence[str], speed: Sequence[str], now: int) -> Wish | None:
    """What the parameters `replay` and `speed` ask for, None where there is no `replay`. Raises Refusal."""
    for name, given in (("replay", replay), ("speed", speed)):
        if len(given) > 1:
            raise _wrong(f"{name} is given more than once")
    if not replay:
        if speed:
            raise _wrong("speed is of a replay; say from when on by `replay`")
        return None
    time = read_time(replay[0])
    if time > now:
        raise _wrong(f"replay: {write_time(time)} is in the future")
    return Wish(time, read_speed(speed[0]) if speed else 1.0)


def read_time(text: str) -> int:
    """Microseconds since the epoch, of ISO 8601 with a time zone or of just that number. Raises Refusal."""
    if _WHOLE.fullmatch(text):
        number = int(text[:20])
        if not _FIRST <= number < _LAST:
            raise _wrong(f"replay: {text:.20} is no time in microseconds since the epoch (16 digits), as all times here are")
        return number
    try:
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)  # in a URL a plus may stand for a space
    except ValueError:
        raise _wrong(
            f"replay: {text!r:.60} is no time; write ISO 8601 such as 2026-03-01T12:00:00Z, or microseconds since the epoch"
        ) from None
    if found.tzinfo is None:
        raise _wrong(f"replay: {text!r:.60} has no time zone; append Z for UTC, or an offset such as +02:00")
    try:
        time = (found - _EPOCH) // timedelta(microseconds=1)
    except OverflowError:
        time = -1
    if time < 0:
        raise _wrong(f"replay: {text!r:.60} is before 1970")
    return time


def read_speed(text: str) -> float | None:
    """A factor, None for as fast as the client reads (`max` or 0). Raises Refusal."""
    if text == "max":
        return None
    speed = float(text[:40]) if _NUMBER.fullmatch(text) else -1.0
    if speed == 0:
        return None
    if not SLOWEST <= speed <= FASTEST:
        raise _wrong(f"speed: {text!r:.40} is no factor from {SLOWEST:g} to {FASTEST:g}, nor `max` (or 0)")
    return speed


def write_time(time: int) -> str:
    """A time as ISO 8601, UTC."""
    return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


def _wrong(message: str) -> Refusal:
    return Refusal(ErrorCode.INVALID_PARAMETER, message)
