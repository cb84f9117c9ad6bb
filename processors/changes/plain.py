"""The folder of price changes in plain Python, for where the compiled one cannot be built: it hands all over."""

from __future__ import annotations

from collections.abc import Iterable

from market.price_change import PriceChanges
from processors.batch import RawRecord
from processors.changes.protocol import ChangeCounts
from processors.runs.protocol import Other


class Folder:
    """See `processors.changes.protocol.ChangeFolder`."""

    def __init__(self, other: Other) -> None:
        self._other = other

    def fold(self, records: Iterable[RawRecord]) -> None:
        """Hand over every record."""
        for record in records:
            self._other(record, None)

    def keep(self, changes: PriceChanges) -> bool:
        """Never."""
        return False

    def release(self, changes: PriceChanges) -> bool:
        """See `keep`."""
        return False

    def store(self) -> None:
        """See `keep`."""

    def take_counts(self) -> ChangeCounts:
        """Nothing is counted that was handed over."""
        return ChangeCounts()
