"""What a folder of runs does; there is a compiled one and a plain one with the same results.

A folder belongs to one partition. It walks batches, sums up what belongs to a run (`market.run`) and hands every other record
to `other`, at its place in the order. Whoever is handed a record takes the run of its instrument first, applies the record by
the full rules, and arms the instrument with the window that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from aiokafka.errors import CorruptRecordException

from market.quality import EARLIEST, LATEST
from market.run import Run, Window
from market.trade import TimeMark, Trade
from processors.batch import RawRecord

LONGEST_POINT_ID = 24
"""Most characters, all ASCII, that the first and last trade id of a trade in a run may have."""

_BLOCK = 2**27
BEGIN_OF_TIMES = -(-EARLIEST // _BLOCK) * _BLOCK
END_OF_TIMES = LATEST // _BLOCK * _BLOCK
"""Times in a run are at or after the one and before the other: those believed, but for minutes that take longer to tell.

Both are where the four high bytes change of the eight that Avro writes.
"""

Other = Callable[[RawRecord, Trade | TimeMark | None], None]
"""Takes a record that belongs to no run: of an instrument not armed, outside of its window, or not valid.

The second argument is the record itself where the folder has decoded it and found it valid by all rules.
"""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a folder must know of the wire: schema ids of trades and time marks, and how far clocks may differ (microseconds).

    A record with another schema id, an older version's too, belongs to no run.
    """

    trade_id: int
    mark_id: int
    max_skew: int


@dataclass(slots=True)
class RunCounts:
    """What became of the records of runs. `trades` counts every trade among them, duplicates and replays too."""

    trades: int = 0
    applied: int = 0
    unchanged: int = 0
    duplicate: int = 0
    replayed: int = 0


class RunFolder(Protocol):
    """Sums up runs; made by `processors.runs.open_folder(contract, other)`."""

    def fold(self, records: Iterable[RawRecord]) -> None:
        """Take in consecutive records: a `RecordBatchView` (`processors.transport.views`), or plain records.

        Raises aiokafka's CorruptRecordException when the bytes of a view cannot be read (CorruptRecords when the folder
        itself finds that), and whatever `other` raises. What came before was taken in, and nothing after it.
        """

    def arm(self, instrument: str, window: Window | None) -> None:
        """Begin a run with this window; None hands all further records of the instrument to `other`.

        What of an earlier run was not taken is dropped. Raises DataValidationError when the instrument is no well-formed id.
        """

    def take(self, instrument: str) -> Run | None:
        """End the run and begin the next with the window continued; None when nothing but replays belonged to it."""

    def touched(self) -> list[str]:
        """Instruments whose runs hold trades or moved their latest time, in the order they were first touched."""

    def take_counts(self) -> RunCounts:
        """Counts since the last call."""


class CorruptRecords(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no type hints for its callers
    """The bytes of a batch are no record section, although its checksum was right."""
