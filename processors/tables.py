"""Faust tables that hold bytes and know when the broker has their changelog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import faust
from faust.types import FutureMessage

from processors.batching import FAUST_LOGGER


class AcknowledgedTable(faust.Table):  # type: ignore[misc]  # Faust has no type hints for its callers
    """A Faust table whose changelog records can be waited for; Faust itself commits offsets without waiting."""

    logger = FAUST_LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unacknowledged: list[FutureMessage] = []

    def send_changelog(self, *args: Any, **kwargs: Any) -> FutureMessage:
        """Send a changelog record and remember to wait for it."""
        sent = super().send_changelog(*args, **kwargs)
        self._unacknowledged.append(sent)
        return sent

    async def apply(self, writes: Mapping[str, bytes | None]) -> None:
        """Write values, None deletes, and return when the broker has acknowledged every changelog record."""
        for key, value in writes.items():
            if value is not None:
                self[key.encode()] = value
            elif key.encode() in self:
                del self[key.encode()]
        sent, self._unacknowledged = self._unacknowledged, []
        await asyncio.gather(*sent)


class StoredValues(Mapping[str, bytes]):
    """Read-only view of a table by text keys."""

    def __init__(self, table: AcknowledgedTable) -> None:
        self._table = table

    def __getitem__(self, key: str) -> bytes:
        value: bytes = self._table[key.encode()]
        return value

    def __iter__(self) -> Iterator[str]:
        return (key.decode() for key in self._table)

    def __len__(self) -> int:
        return len(self._table)
