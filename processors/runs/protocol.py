"""What a folder of runs does; there is a compiled one and a plain one with the same results.

A folder belongs to one partition. It walks batches, sums up what belongs to a run (`market.run`), may keep whole series, and
hands every other record to `other`, at its place in the order. Whoever is handed a record releases its series, or takes its
run, first, applies the record by the full rules, and arms the instrument with the window that follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.errors import CorruptRecordException

from market.candle import CandleEventKind
from market.candle_series import CandleSeries
from market.interval import Interval
from market.quality import EARLIEST, LATEST
from market.run import Run, Window
from market.trade import TimeMark, Trade
from processors.batch import RawRecord
from processors.computation import Table
from processors.outbox.protocol import Outbox

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


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a folder must know to keep whole series (`market.candle_series`).

    `grace` and `horizon` in microseconds; `source` is the topic and partition whose records it folds. Candle events are
    added to `outbox`: for `topic`, framed with `schema_id`, in the partition that `partition_of` has for an instrument.
    What is to be stored is put into the tables. The compiled folder needs the compiled outbox.
    """

    intervals: Sequence[Interval]
    grace: int
    horizon: int
    source: tuple[str, int]
    topic: str
    schema_id: int
    partition_of: Callable[[str], int]
    outbox: Outbox
    open_table: Table
    closed_table: Table


@dataclass(slots=True)
class RunCounts:
    """What became of the records that were not handed over.

    `trades` counts every trade among them, duplicates and replays too. `told` counts the candle events of kept series by
    interval and kind, `received_at` is the latest receive time in those.
    """

    trades: int = 0
    applied: int = 0
    unchanged: int = 0
    duplicate: int = 0
    replayed: int = 0
    told: Counter[tuple[str, CandleEventKind]] = field(default_factory=Counter)
    received_at: int = 0


class RunFolder(Protocol):
    """Sums up runs."""

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
        """Instruments not kept whose runs hold trades or moved their latest time, in the order they were first touched."""

    def take_counts(self) -> RunCounts:
        """Counts since the last call."""


class SeriesFolder(RunFolder, Protocol):
    """A folder that may keep whole series; made by `processors.runs.open_folder(contract, other, keeping)`.

    What becomes of a series that is kept, and when, is what would become of it by the full rules: which one is kept is only a
    matter of speed.
    """

    def keep(self, series: CandleSeries) -> bool:
        """Take over a whole series whose UPDATEs were told and whose state was stored.

        False, and nothing done, where it is not simple or this folder keeps none. What comes then is told of and stored by
        `store`, and the series is not to be used before it was released.
        """

    def release(self, series: CandleSeries) -> bool:
        """Give a series back with all that was done to it; False when it is not kept here. It has to be armed anew."""

    def store(self) -> None:
        """Tell the UPDATEs that are due of all kept series, and put the states that changed into their table."""


class CorruptRecords(CorruptRecordException):  # type: ignore[misc]  # aiokafka has no type hints for its callers
    """The bytes of a batch are no record section, although its checksum was right."""
