"""What can happen to frames on their way: each takes those that happened and gives those that arrive."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Fault = Callable[[Sequence[bytes]], Sequence[bytes]]


def none(frames: Sequence[bytes]) -> Sequence[bytes]:
    return frames


def lost(_frames: Sequence[bytes]) -> Sequence[bytes]:
    return []


def repeated(frames: Sequence[bytes]) -> Sequence[bytes]:
    return [frame for frame in frames for _ in range(2)]


def reordered(frames: Sequence[bytes]) -> Sequence[bytes]:
    return frames[::-1]


def garbled(frames: Sequence[bytes]) -> Sequence[bytes]:
    """Cut in the middle: no JSON any more."""
    return [frame[: len(frame) // 2] for frame in frames]


def from_the_future(frames: Sequence[bytes]) -> Sequence[bytes]:
    """By a clock in the year 2100: every time in milliseconds is far ahead."""
    return [re.sub(rb"\b1[67]\d{11}\b", b"4102444800000", frame) for frame in frames]
