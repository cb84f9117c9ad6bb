"""Counts the messages in a stream of bytes and samples their times, without taking frames apart.

A message begins by its type, and a type's name in quotes stands nowhere else in it, so messages are counted by searching. At a
million messages a second that is what one core has time for. Of some of the chunks, chosen by chance, one message is looked at,
which stands for all of its chunk and for the chunks that were not chosen, so each message counts the same.
`tapeline.load._counting_compiled` does it sooner where it was built.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

STEP = 20
"""Latencies are kept in steps of so many microseconds."""

_TIMES = re.compile(rb'"timestamp":(\d+),.*?"received_at":(\d+)[,}]', re.DOTALL)
_TIMESTAMP = re.compile(rb'"timestamp":(\d+),')
_CLOSE_FRAME = b"\x88"
_PING = b"\x89\x00"
"""As the gateway sends it; never a part of JSON, in which no byte is zero."""
LONGEST_CLOSE = 127

READ_BYTES = 1 << 18
"""What is read at once at most."""
_BUFFER = memoryview(bytearray(READ_BYTES))  # one for all: making one for each read took longer than all the rest


class Tally:
    """What the clients of a process have got. Latencies are histograms: how many messages took how many steps.

    `since_sent` counts from the time in the gateway's message, `since_received` from when the platform received the trade;
    both need the clocks of one machine.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.received_bytes = 0
        self.since_sent: Counter[int] = Counter()
        self.since_received: Counter[int] = Counter()

    def add(self, other: Tally) -> None:
        """Count what others have got as well."""
        self.messages += other.messages
        self.received_bytes += other.received_bytes
        self.since_sent.update(other.since_sent)
        self.since_received.update(other.since_received)


class PlainReader:
    """One client's stream. `message_type` is what is counted, one chunk in `sampled` is looked at.

    `is_pinged`: the last chunk asked for a sign of life.
    """

    __slots__ = ("_carry", "_kept", "_last", "_marker", "_sampled", "is_pinged")

    def __init__(self, message_type: str, sampled: int = 1) -> None:
        self._marker = b'"type":"%b"' % message_type.encode()
        self._kept = len(self._marker) - 1
        self._carry = b""
        self._sampled = sampled
        self.is_pinged = False
        self._last = b""

    def read(self, file: int, now: int, tally: Tally, most: int = READ_BYTES) -> int:
        """Read and count what has come at a socket: how many bytes, 0 at its end, -1 where nothing has. Raises OSError."""
        try:
            size = os.readv(file, [_BUFFER[:most]])
        except BlockingIOError:
            return -1
        if size:
            self.take(bytes(_BUFFER[:size]), now, tally)
        return size

    def take(self, chunk: bytes, now: int, tally: Tally) -> None:
        """Count a chunk that came at a time (microseconds)."""
        data = self._carry + chunk
        self._carry = data[-self._kept :]
        self._last = data[-LONGEST_CLOSE:]
        self.is_pinged = _PING in data
        count = data.count(self._marker)
        tally.received_bytes += len(chunk)
        tally.messages += count
        if count and random.random() * self._sampled < 1:  # noqa: S311  # no secret
            self._sample(data, now, tally, count * self._sampled)

    def _sample(self, data: bytes, now: int, tally: Tally, weight: int) -> None:
        place = data.find(self._marker, int(random.random() * len(data)))  # noqa: S311  # no secret
        place = data.find(self._marker) if place < 0 else place
        if found := _TIMES.search(data, place):
            tally.since_received[_steps(now - int(found[2]))] += weight
        else:
            found = _TIMESTAMP.search(data, place)
        if found:
            tally.since_sent[_steps(now - int(found[1]))] += weight

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that the stream ended with, None when there was none."""
        return close_code_of(self._last)


def close_code_of(end: bytes) -> int | None:
    """The code of the close frame that these bytes end with."""
    place = end.rfind(_CLOSE_FRAME)
    if place < 0 or len(end) < place + 4 or end[place + 1] != len(end) - place - 2:
        return None
    return int.from_bytes(end[place + 2 : place + 4], "big")


def percentile_ms(histogram: Mapping[int, int], share: float) -> float | None:
    """Milliseconds within which this share of the messages came (the end of its step), None when there was none."""
    wanted, seen = share * sum(histogram.values()), 0
    for step in sorted(histogram):
        seen += histogram[step]
        if seen >= wanted:
            return (step + 1) * STEP / 1000
    return None


def _steps(microseconds: int) -> int:
    return max(0, microseconds) // STEP


if TYPE_CHECKING:
    Reader = PlainReader
else:
    try:
        from tapeline.load._counting_compiled import Reader
    except ImportError:  # it was not built
        Reader = PlainReader
