"""Feeds that stand in for others, and how those that need one hold on to it."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Substitute(Protocol):
    """A feed that stands in for others; see `ingest.live.LiveFeed`."""

    @property
    def name(self) -> str:
        """The name under which it is configured."""

    @property
    def heard_at(self) -> int | None:
        """When market data last came by it (microseconds), None if it never did."""

    def stand_in(self, line: str, reason: str) -> None:
        """Begin for this line, where it has not begun for another one."""

    async def stand_back(self, line: str, reason: str) -> None:
        """End for this line, where no other one needs it."""


class Claim:
    """What a line, or the silent streams of one, may need a substitute for; `line` tells them apart."""

    def __init__(self, substitute: Substitute, line: str) -> None:
        self.substitute = substitute
        self._line = line
        self._is_held = False
        self._leaving: set[asyncio.Task[None]] = set()

    def take(self, reason: str) -> None:
        """Have it stand in."""
        if not self._is_held:
            self._is_held = True
            self.substitute.stand_in(self._line, reason)

    def leave(self, reason: str) -> None:
        """It is not needed any longer."""
        if self._is_held:
            self._is_held = False
            task = asyncio.create_task(self.substitute.stand_back(self._line, reason), name=f"{self._line} is back")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
