"""What a store is to the worker: rows and offsets in, one transaction a batch.

The worker calls from one thread, in this order: `open` once, `offsets` whenever partitions are assigned, `row` for each
record, `write` for each batch, `close` at the end. The store's own offsets say what is stored: `write` keeps rows and
offsets together or neither, and it advances an offset only from the value it was read at, so that a crash anywhere, a
batch dropped or a batch tried again neither loses a record nor stores it twice. A store without transactions writes rows that
may be written again without a change, and the offsets behind them.

Failures are named by what the worker does about them (`exit_code` marks those that end it with one line, no traceback)::

    StorageError
    ├── StoreUnavailable    try the same call again later; nothing is lost
    ├── StoreUnfit          a table, a right or a feature is missing: leave, a person must mend it
    ├── RecordRefused       the store will never take this record; the others it may
    └── OffsetConflict      someone else stores for this sink: leave
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from market.errors import StorageError
from runtime.errors import ConfigurationError, Problem, ServerUnreachable
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.records import Record
from schemas.topics import Topic

Partition = tuple[str, int]
"""Topic and partition number."""


class KafkaRecord(NamedTuple):
    """A record as it stands in Kafka; `timestamp_ms` is the broker's, when it was appended."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class Entry(NamedTuple):
    """A record and what the store made of it; `received_at` (microseconds) where the record has one."""

    source: KafkaRecord
    row: Any
    received_at: int | None = None


Shortcut = Callable[[KafkaRecord], Entry | None]


class StoredOffset(NamedTuple):
    """The next offset to store of a partition, and the id of the topic it counts in."""

    next_offset: int
    topic_id: str


class Advance(NamedTuple):
    """A partition's stored offset before a batch (None: nothing stored yet) and after it."""

    before: int | None
    after: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to store and the offsets that are stored with them; there may be offsets without rows.

    `records` counts all records that the offsets pass, by topic.
    """

    entries: Sequence[Entry]
    advances: Mapping[Partition, Advance]
    records: Mapping[str, int]


class StoreUnavailable(StorageError):
    """The store cannot be reached or cannot work now. `retry_after`: seconds to wait, None where the store cannot say."""

    def __init__(self, store: str, address: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(store, address, reason)
        self.store = store
        self.address = address
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.store} at {self.address}: {self.reason}"


class StoreUnfit(StorageError):
    """The store is not as this program needs it, and waiting does not change that."""

    exit_code = 1


class RecordRefused(StorageError):
    """The store refuses one record of a batch, of which nothing was stored. `field` is what it blames, where it says so."""

    def __init__(self, entry: Entry, error: str, *, field: str | None = None) -> None:
        super().__init__(entry, error)
        self.entry = entry
        self.error = error
        self.field = field

    def __str__(self) -> str:
        source = self.entry.source
        return f"record {source.offset} of {source.topic}[{source.partition}] is refused: {self.error}"


class OffsetConflict(StorageError):
    """A stored offset is not where this worker left it; nothing of the batch was stored."""

    exit_code = 1

    def __init__(self, sink: str, partition: Partition, expected: int | None, found: int | None, writer: str) -> None:
        super().__init__(sink, partition, expected, found, writer)
        self.sink = sink
        self.partition = partition
        self.expected = expected
        self.found = found
        self.writer = writer

    def __str__(self) -> str:
        topic, partition = self.partition
        return (
            f"sink {self.sink!r}: the stored offset of {topic}[{partition}] is {self.found}, written by {self.writer}, but it "
            f"was {self.expected} when this worker read it: another worker stores under this sink's name; stop one of them"
        )


class Store(Protocol):
    """A place rows are kept in. `name` labels it in logs and metrics, `topics` are what it takes."""

    @property
    def name(self) -> str:
        """Name of the store's file."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Topics whose records it stores."""

    def open(self) -> None:
        """Connect and check that the store fits this program. Raises StoreUnavailable, StoreUnfit."""

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, StoredOffset]:
        """Stored offsets; a partition of which nothing was stored yet is left out. Raises StoreUnavailable."""

    def set_offset(self, partition: Partition, offset: StoredOffset) -> None:
        """Put a stored offset where a person says it should be; a running worker notices. Raises StoreUnavailable."""

    def row(self, record: Record, source: KafkaRecord) -> Any:
        """What to store of a record, None for nothing; no I/O. Raises DataValidationError when it cannot be stored."""

    def write(self, batch: Batch) -> Mapping[str, int]:
        """Store rows and offsets in one transaction; rows changed by table. A row stored before changes nothing.

        Trying a batch again whose outcome was unknown is safe. Raises StoreUnavailable, RecordRefused, OffsetConflict.
        """

    def close(self) -> None:
        """Disconnect; what was not written is dropped."""


@runtime_checkable
class HasShortcut(Protocol):
    """A store that reads some records straight from their bytes."""

    def shortcut(self, codec: Codec, *, max_skew: int) -> Shortcut | None:
        """What gives entries of such records as `sinks.translation` would, None for others; None where it was not built."""


class StoreModule(Protocol):
    """The names a file in `stores/` has."""

    def create(self, settings: Settings, *, sink: str, writer: str) -> Store:
        """Make the store of these settings, not yet opened.

        `sink` names whose offsets these are, `writer` tells this process from others that move them.
        """


@contextmanager
def at_once() -> Iterator[None]:
    """For work that does not wait for a store, such as a start: StoreUnavailable ends it as ServerUnreachable."""
    try:
        yield
    except StoreUnavailable as error:
        raise ServerUnreachable(error.store, error.address, error.reason) from error


def store_names() -> list[str]:
    """The stores there are: the files of the folder `stores`."""
    folder = Path(__file__).parent / "stores"
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_"))


def load_store(name: str) -> StoreModule:
    """The module of a store. Raises ConfigurationError when there is none of this name."""
    if name not in store_names():
        raise ConfigurationError(Problem("store", "no such store", repr(name), hint=f"there are {', '.join(store_names())}"))
    return cast("StoreModule", importlib.import_module(f"sinks.stores.{name}"))
