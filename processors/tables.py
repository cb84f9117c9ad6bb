"""Faust tables of bytes, written one partition at a time and only with what the broker has in their changelog.

Faust itself puts a value into its store at once and sends the changelog record some time later, so after a crash the store
may be ahead of the changelog for good. Here the changelog comes first: `processors.commits` has its records acknowledged, then
values and changelog offset go into the store in one step. A store is never ahead, and a rebuilt one lacks nothing.

Recovery keeps the value that reflects the highest source offset, whatever came last: a worker that was cut off may still
have written to the changelog after another one took over its partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import faust

from processors.states.form import reflected_offset
from processors.stores import Changes
from processors.transport import FAUST_LOGGER

Writes = Mapping[str, bytes | None]
"""New values by key, None for deleted ones."""


class StoredTable(faust.Table):  # type: ignore[misc]  # Faust has no type hints for its callers
    """A Faust table that is read and written by partition, and recovers the newest value of each key."""

    logger = FAUST_LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_failure: Callable[[BaseException], None] | None = None  # set by the worker; must end the process

    def read(self, partition: int, key: bytes) -> bytes | None:
        """A stored value. Raises TablesUnusable."""
        value: bytes | None = self.data.read(partition, key)
        return value

    def write(self, partition: int, changes: Changes, offset: int | None) -> None:
        """Store values with the offset in the changelog up to which they are complete. Raises TablesUnusable."""
        self.data.write(partition, changes, offset)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in changelog records while recovering. Faust would log an exception and go on without them."""
        try:
            self._recover(batch)
        except BaseException as error:
            if self.on_failure is not None:
                self.on_failure(error)
            raise

    def _recover(self, batch: Iterable[Any]) -> None:
        newest: dict[int, dict[bytes, bytes | None]] = {}
        offsets: dict[int, int] = {}
        for event in batch:
            message = event.message
            if message.tp.topic != self.changelog_topic_name:
                continue  # Faust hands records of a partition just given up to whatever table came before
            found = newest.setdefault(message.partition, {})
            before = found[message.key] if message.key in found else self.read(message.partition, message.key)
            if is_newer(message.value, before):
                found[message.key] = message.value
            offsets[message.partition] = max(message.offset, offsets.get(message.partition, -1))
        for partition, found in newest.items():
            self.write(partition, found.items(), offsets[partition])


def is_newer(value: bytes | None, before: bytes | None) -> bool:
    """Whether a changelog record replaces the value before it: it does unless that reflects a higher source offset.

    A deletion carries no offset. It always counts: what is deleted is beyond the horizon and never written again.
    """
    return value is None or before is None or reflected_offset(value) >= reflected_offset(before)


class TableView:
    """One partition's values as the computation sees them.

    What it put since the last commit lies over what earlier commits have for the store, and that over the store.
    """

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self._put: dict[str, bytes | None] = {}
        self._sealed: list[dict[str, bytes | None]] = []  # of each commit, the oldest first

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        for values in (self._put, *reversed(self._sealed)):
            if key in values:
                return values[key]
        return self._read(key.encode())

    def put(self, key: str, value: bytes | None) -> None:
        """Set a value, None deletes it."""
        self._put[key] = value

    def seal(self) -> None:
        """What was put since the last time belongs to one commit. It stays visible until `landed`."""
        self._sealed.append(self._put)
        self._put = {}

    def sealed(self, commits: int) -> Writes:
        """What so many commits, the oldest ones, put in all."""
        found: dict[str, bytes | None] = {}
        for values in self._sealed[:commits]:
            found |= values
        return found

    def landed(self, commits: int) -> None:
        """What so many commits put, the oldest ones, is in the store now."""
        del self._sealed[:commits]
