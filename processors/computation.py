"""What an agent computes: records of one partition in, effects out at each commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import Counter as Metric

from market.candle import CandleEventKind
from processors.batch import Batch, Refusal
from processors.transport.packing import Output
from schemas.codec import Codec
from schemas.topics import Topic

if TYPE_CHECKING:
    from processors.surroundings import Beside


class Table(Protocol):
    """One partition's values of a table by key, with what was put since the last commit."""

    def get(self, key: str) -> bytes | None:
        """The value of a key."""

    def put(self, key: str, value: bytes | None) -> None:
        """Set a value, None deletes it; written at the next commit."""


@dataclass(slots=True)
class Effects:
    """What was brought about since the last commit, besides what was put into tables.

    `trades` counts the trades read, repeated ones too; `counts` says what became of the trade stream's records. `candles`
    counts the candle events among the outputs by interval and kind; `received_at` is the latest receive time in them, 0 if
    there are none. `tallies` counts what else a computation shows of itself, by metric and its labels.
    """

    outputs: list[Output] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    trades: int = 0
    candles: Counter[tuple[str, CandleEventKind]] = field(default_factory=Counter)
    received_at: int = 0
    tallies: Counter[tuple[Metric, tuple[str, ...]]] = field(default_factory=Counter)

    def refuse(self, batch: Batch, *refusals: Refusal) -> None:
        """Take note of what is refused of a batch, but for what another agent refused before: it is a dead letter already."""
        self.refusals += filter(batch.refuses_first, refusals)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the fold of one partition of each source works with.

    `partitions` is the configured count of topics partitioned by instrument. `compiled`: use compiled code where it was built.
    """

    partition: int
    tables: Mapping[str, Table]
    codec: Codec
    partitions: int
    max_skew: int
    compiled: bool = True


class Fold(Protocol):
    """The work on one partition, that of the same number of each source, for as long as this worker has it.

    What it holds in memory between commits is a function of the tables and the records since: deterministic, however they are
    cut into batches and commits, but for which UPDATEs of candles come out. A record folded before is known by its offset
    and changes nothing, so a batch may be folded again from its beginning after an exception.

    Within a partition of one topic the order is given, between topics it is not. So a value that is stored reflects one topic
    only, and begins with that topic's offset.
    """

    def known(self, topic: str) -> int:
        """Highest offset of a source that the stored values met so far had taken in before (-1: none)."""

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt when the registry must be asked first."""

    def take(self) -> Effects:
        """Put what changed into the tables and hand over everything else to be published."""


@dataclass(frozen=True, slots=True)
class Computation:
    """One computation over one topic or several, all of them partitioned alike: by instrument, or by portfolio.

    It reads `sources` and writes `outputs`, besides dead letters. `tables` are written in this order, each acknowledged before
    the next: a table that gates replays by offset comes last. `begin` begins the work on a partition. With `at_once` outputs
    are published as soon as those before were acknowledged, whatever interval is configured: somebody waits for each of them.
    `beside` is work besides that on batches, for as long as the worker runs.
    """

    sources: tuple[Topic, ...]
    outputs: tuple[Topic, ...]
    tables: tuple[str, ...]
    begin: Callable[[Scope], Fold]
    at_once: bool = False
    beside: Callable[[Beside], Coroutine[Any, Any, None]] | None = None
