"""Collects records into batches and keeps account of the offsets they stand for. Pure: time is a parameter, in seconds.

An account is opened for each partition when reading begins at its stored offset. A record of a partition without account,
or before the account's offset, is none of ours (it was read before the last rebalance) and is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sinks.store import Advance, Batch, Entry, KafkaRecord, Partition


@dataclass(frozen=True, slots=True)
class Limits:
    """A batch is due at so many records, so many bytes of them, or at this age (seconds) of its first record.

    One that is due may take what else is at hand, up to `catch_up` records and the same bytes: on a busy machine a batch costs
    much the same whatever its size, so that is how a store that fell behind comes level again.
    """

    records: int = 1_000
    seconds: float = 0.2
    bytes: int = 16 * 1024 * 1024
    catch_up: int = 5_000


class Place(NamedTuple):
    """Where reading of a partition begins. `stored` is its stored offset, None when nothing was stored yet."""

    offset: int
    stored: int | None
    topic_id: str


@dataclass(slots=True)
class _Account:
    stored: int | None  # as the store has it
    settled: int  # everything before is stored, or was never ours to store
    next: int  # everything before is taken
    topic_id: str


class Accumulator:
    """One batch in the making."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._accounts: dict[Partition, _Account] = {}
        self._entries: list[Entry] = []
        self._touched: dict[Partition, int] = {}
        self._records = 0
        self._bytes = 0
        self._since = 0.0

    def begin(self, places: Mapping[Partition, Place]) -> None:
        """Forget everything and open accounts for these partitions alone."""
        self._accounts = {
            key: _Account(place.stored, place.offset, place.offset, place.topic_id) for key, place in places.items()
        }
        self._clear()

    def owns(self, source: KafkaRecord) -> bool:
        """Whether a record is one to take: of a partition with an account, and not taken before."""
        account = self._accounts.get((source.topic, source.partition))
        return account is not None and source.offset >= account.next

    def add(self, source: KafkaRecord, entry: Entry | None, since: float) -> None:
        """Take a record that `owns` accepts; `entry` is None when it only moves the offset. `since`: when its wait began."""
        key = source.topic, source.partition
        if not self._records:
            self._since = since
        self._accounts[key].next = source.offset + 1
        self._touched[key] = self._touched.get(key, 0) + 1
        self._records += 1
        self._bytes += len(source.value or b"")
        if entry is not None:
            self._entries.append(entry)

    def refuse(self, entry: Entry) -> None:
        """Leave out an entry that the store will never take; the offsets still pass it."""
        self._entries = [kept for kept in self._entries if kept is not entry]

    @property
    def lacking(self) -> int:
        """How many records more make the batch due."""
        return max(0, self._limits.records - self._records)

    @property
    def room(self) -> int:
        """How many records more the batch takes at most, as long as they are not many bytes."""
        return 0 if self._bytes >= self._limits.bytes else max(0, self._limits.catch_up - self._records, self.lacking)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is collected."""
        return not self._records

    def is_due(self, now: float) -> bool:
        """Whether the batch should be written."""
        is_large = self._records >= self._limits.records or self._bytes >= self._limits.bytes
        return is_large or (self._records > 0 and now - self._since >= self._limits.seconds)

    def patience(self, now: float) -> float:
        """Seconds to wait for more records at most."""
        return max(0.0, self._since + self._limits.seconds - now) if self._records else self._limits.seconds

    def batch(self) -> Batch | None:
        """What was collected, None when that is nothing. It stays collected until `settle` or `begin`."""
        if not self._records:
            return None
        accounts = {key: self._accounts[key] for key in sorted(self._touched)}
        advances = {key: Advance(account.stored, account.next, account.topic_id) for key, account in accounts.items()}
        records: dict[str, int] = {}
        for (topic, _), count in self._touched.items():
            records[topic] = records.get(topic, 0) + count
        return Batch(list(self._entries), advances, records)

    def settle(self) -> None:
        """The batch is stored: its offsets are the stored ones now."""
        for key in self._touched:
            account = self._accounts[key]
            account.stored = account.settled = account.next
        self._clear()

    def settled(self) -> dict[Partition, int]:
        """The offset to store next of every partition."""
        return {key: account.settled for key, account in self._accounts.items()}

    def _clear(self) -> None:
        self._entries, self._touched, self._records, self._bytes = [], {}, 0, 0
