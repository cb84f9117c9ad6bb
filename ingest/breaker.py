"""Spares a venue that does not answer: while attempts at an address fail, one of its lines tries and the others wait for it.

Without it every line of a feed would knock at the door of a venue that is down. The line that tries keeps to its delays, and
all go on as soon as it gets through, so nobody waits longer than it would alone.
"""

from __future__ import annotations

import asyncio

_FAILURES = 5


class Breaker:
    """Of one address. It opens after so many failures in a row, of whatever lines, and closes with the first success."""

    def __init__(self, failures: int = _FAILURES) -> None:
        self._most = failures
        self._failures = 0
        self._trying: str | None = None
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether only one line may try."""
        return self._failures >= self._most

    async def admit(self, line: str) -> None:
        """Wait until this line may try."""
        while self.is_open and self._trying not in (None, line):
            await self._changed.wait()
        if self.is_open:
            self._trying = line

    def failed(self) -> None:
        """An attempt failed."""
        self._failures += 1

    def succeeded(self) -> None:
        """An attempt succeeded: everybody may try."""
        self._failures = 0
        self._release()

    def left(self, line: str) -> None:
        """A line will not try any more; where it was the one that tries, another is."""
        if self._trying == line:
            self._release()

    def _release(self) -> None:
        self._trying = None
        self._changed.set()
        self._changed = asyncio.Event()
