"""What waits to be written to one client, bounded whatever the client does; the publisher never waits for it.

A client that keeps up has a plain list of frames, written in one call at the next flush. One that falls behind (its socket
takes no more) gets, once it can read again, only the latest message of each key, and of messages without a key the last
ones with a notice of what was left out; all in the order in which they came, since one may take back what another told.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.close_codes import CloseCode
from gateway.messages import Message, Room, Source
from gateway.writing import Pending


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much waits for a client that is behind: so many messages without a key, so many bytes in all."""

    messages: int = 1000
    total_bytes: int = 1 << 20


@dataclass(slots=True)
class Gap:
    """Messages of a room that a client will not get: how many, from which record to which."""

    room: Room
    first: Source
    last: Source
    dropped: int = 1


class Backlog(NamedTuple):
    """What a client that can read again gets, in this order; `conflated` counts messages replaced by later ones."""

    pending: list[bytes]
    gaps: list[Gap]
    kept: list[bytes]
    conflated: int


class _Queued(NamedTuple):
    number: int
    """Rises with every message that is kept."""
    room: Room
    source: Source
    frame: bytes


@dataclass(slots=True)
class _Lost:
    """Messages of a room that a client did not get because it was behind."""

    conflated: int = 0
    dropped: int = 0


_NOTHING = _Lost()


class Outbox(Pending):
    """One client's outbox. `write` takes the frames of a flush; `behind` is whether the client's socket is full.

    `charge` is told of every change of the bytes kept, and says whether the client's user and address may have so many.
    """

    __slots__ = (
        "_charge",
        "_charged",
        "_conflated",
        "_gaps",
        "_kept_bytes",
        "_latest",
        "_limits",
        "_lost",
        "_numbers",
        "_queue",
    )

    def __init__(
        self,
        write: Callable[[list[bytes]], None],
        limits: OutboxLimits,
        charge: Callable[[int], bool] = lambda change: True,
    ) -> None:
        super().__init__(write)
        self._limits = limits
        self._charge = charge
        self._charged = 0
        self._lost: dict[Room, _Lost] = {}
        self._numbers = itertools.count()
        self._forget()

    def answer(self, frame: bytes) -> CloseCode | None:
        """Put an answer behind what is pending; a code when more waits for a client that is behind than may."""
        self.pending.append(frame)
        if not self.behind:
            return None
        self._kept_bytes += len(frame)
        return self._settle()

    def keep(self, message: Message, frame: bytes) -> CloseCode | None:
        """Keep a message for a client that is behind; the code to close it with when more waits than may."""
        queued = _Queued(next(self._numbers), message.room, message.source, frame)
        if message.key is None:
            self._enqueue(queued)
        else:
            self._replace(message.key, queued)
        return self._settle()

    def catch_up(self) -> Backlog:
        """Take out what was pending, what the client missed since, and what was kept for it."""
        kept = [queued.frame for queued in heapq.merge(self._queue or (), self._latest.values())]
        backlog = Backlog(self.pending, list(self._gaps.values()), kept, self._conflated)
        self.discard()
        return backlog

    def discard(self) -> None:
        """Throw everything away."""
        self.pending = []
        self._forget()
        self._settle()

    @property
    def waiting(self) -> int:
        """How many messages and answers are to be written."""
        return len(self.pending) + len(self._queue or ()) + len(self._latest)

    def lost(self, room: Room) -> tuple[int, int, int]:
        """Of the messages of a room, how many were replaced by later ones, were left out, and are waiting."""
        lost = self._lost.get(room, _NOTHING)
        waiting = sum(queued.room == room for queued in (*(self._queue or ()), *self._latest.values()))
        return lost.conflated, lost.dropped, waiting

    def forget(self, room: Room) -> None:
        """The room was left: begin to count anew."""
        self._lost.pop(room, None)

    def _settle(self) -> CloseCode | None:
        change, self._charged = self._kept_bytes - self._charged, self._kept_bytes
        shared = self._charge(change) if change else True
        if self._kept_bytes > self._limits.total_bytes:
            return CloseCode.SLOW_CONSUMER
        return None if shared else CloseCode.QUEUE_QUOTA

    def _forget(self) -> None:
        self._latest: dict[Hashable, _Queued] = {}
        self._queue: deque[_Queued] | None = None  # made when needed: empty ones of all clients would be a MB for each 1,300
        self._gaps: dict[Room, Gap] = {}
        self._conflated = 0
        self._kept_bytes = 0

    def _replace(self, key: Hashable, queued: _Queued) -> None:
        before = self._latest.pop(key, None)  # so that the new one stands at the end
        if before is not None:
            self._conflated += 1
            self._lost_of(queued.room).conflated += 1
            self._kept_bytes -= len(before.frame)
        self._latest[key] = queued
        self._kept_bytes += len(queued.frame)

    def _lost_of(self, room: Room) -> _Lost:
        return self._lost.setdefault(room, _Lost())

    def _enqueue(self, queued: _Queued) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(queued)
        self._kept_bytes += len(queued.frame)
        if len(self._queue) > self._limits.messages:
            self._drop(self._queue.popleft())

    def _drop(self, queued: _Queued) -> None:
        self._kept_bytes -= len(queued.frame)
        self._lost_of(queued.room).dropped += 1
        gap = self._gaps.get(queued.room)
        if gap is None:
            self._gaps[queued.room] = Gap(queued.room, queued.source, queued.source)
        else:
            gap.last = queued.source
            gap.dropped += 1
