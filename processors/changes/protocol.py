"""What a folder of price changes does; there is a compiled one and a plain one with the same results.

A folder belongs to one partition of the trade stream. It walks batches and applies the trades and time marks of the instruments
it keeps by the rules of `market.price_change`. Every other record it hands to `other`, at its place in the order: who is handed
one releases the instrument, applies the record by those rules, and has the instrument kept again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from market.price_change import PriceChanges, Throttle
from processors.batch import RawRecord
from processors.computation import Table
from processors.outbox.protocol import Outbox


@dataclass(frozen=True, slots=True)
class Telling:
    """What a folder must know to tell price changes and to store what they remember.

    `source` is the topic and partition whose records it folds. Events are added to `outbox`: for `topic`, framed with
    `schema_id`, in the partition that `partition_of` has for an instrument. States that changed are put into `table`.
    The compiled folder needs the compiled outbox.
    """

    throttle: Throttle
    source: tuple[str, int]
    topic: str
    schema_id: int
    partition_of: Callable[[str], int]
    outbox: Outbox
    table: Table


@dataclass(slots=True)
class ChangeCounts:
    """Of the records that were not handed over: the trades, and those read before, of which nothing came."""

    trades: int = 0
    replayed: int = 0


class ChangeFolder(Protocol):
    """Folds the trade stream into price changes."""

    def fold(self, records: Iterable[RawRecord]) -> None:
        """Take in consecutive records: a `RecordBatchView` (`processors.transport.views`), or plain records.

        Raises aiokafka's CorruptRecordException when the bytes of a view cannot be read, and whatever `other` raises. What came
        before was taken in, and nothing after it.
        """

    def keep(self, changes: PriceChanges) -> bool:
        """Take over an instrument, whose changes are not to be used before they were released.

        False, and nothing done, where this folder cannot hold its state; then all its records are handed over. Raises
        DataValidationError when the instrument is no well-formed id.
        """

    def release(self, changes: PriceChanges) -> bool:
        """Give an instrument back with all that was done to it; False when it is not kept here."""

    def store(self) -> None:
        """Put the states that changed since the last time into their table, of all instruments kept."""

    def take_counts(self) -> ChangeCounts:
        """Counts since the last call."""
