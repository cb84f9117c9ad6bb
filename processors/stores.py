"""Faust's stores, read and written by partition: on disk by RocksDB, or in memory.

A Faust store takes the partition from whatever event is being processed, writes a value at a time, and forgets which folder was
at fault when it fails. These are Faust's own for recovery and rebalancing, with a way of ours to their values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rocksdict
from faust.stores import STORES, memory, rocksdb

from processors.transport import FAUST_LOGGER

DISK, MEMORY = "tapeline-disk", "tapeline-memory"
"""Schemes of the store URLs that select these stores."""

Changes = Iterable[tuple[bytes, bytes | None]]
"""New values by key, None for deleted ones."""


REBUILD = "All of it is in their changelog topics too: once the cause is gone, remove the folder to have them rebuilt"


class TablesUnusable(Exception):
    """The stored tables cannot be opened, read or written, or do not belong to their changelogs. One line for the operator."""

    exit_code = 1

    def __init__(self, folder: object, reason: object, advice: str = REBUILD) -> None:
        super().__init__(f"the tables in {folder} cannot be used: {reason}. {advice}")


class DiskStore(rocksdb.Store):  # type: ignore[misc]  # Faust has no type hints for its callers
    """A database for each partition. All methods raise TablesUnusable."""

    logger = FAUST_LOGGER

    def read(self, partition: int, key: bytes) -> bytes | None:
        """A stored value."""
        database = self._db_for_partition(partition)
        try:
            value: bytes | None = database.get(key)
        except Exception as error:
            raise self._unusable(error) from error
        return value

    def write(self, partition: int, changes: Changes, offset: int | None) -> None:
        """Store values together with the offset in the changelog up to which they are complete, None where it is not known."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if offset is not None:
            batch.put(self.offset_key, str(offset).encode())
        database = self._db_for_partition(partition)
        try:
            database.write(batch)
        except Exception as error:
            raise self._unusable(error) from error

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> TablesUnusable:
        return TablesUnusable(self.app.conf.datadir, error)


class MemoryStore(memory.Store):  # type: ignore[misc]
    """A dictionary. It keeps no offset, since it is rebuilt at each start."""

    logger = FAUST_LOGGER

    def read(self, partition: int, key: bytes) -> bytes | None:
        """A stored value."""
        value: bytes | None = self.data.get(key)
        return value

    def write(self, partition: int, changes: Changes, offset: int | None) -> None:
        """Store values, and whose they are, so that Faust can forget those of partitions given up."""
        for key, value in changes:
            if value is None:
                self.data.pop(key, None)
                self._key_partition.pop(key, None)
            else:
                self.data[key] = value
                self._key_partition[key] = partition


STORES.aliases[DISK] = f"{__name__}:DiskStore"
STORES.aliases[MEMORY] = f"{__name__}:MemoryStore"
