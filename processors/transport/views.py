"""Whole Kafka record batches out of aiokafka, without an object for each record.

`install({"trades"})` has every consumer of this process yield a `RecordBatchView` for each batch of these topics, from
`getmany()` and `getone()` alike; other topics keep aiokafka's records. `max_records` then counts batches. What comes is a
`RecordBatchView`, or a `PlainBatch` where there is no such batch: an old message format, or a gap at the end of what was
fetched. Where `install` says no, `PlainBatch.of` has the same interface over aiokafka's records.

Batches follow each other without holes: each starts at the fetch position or where the one before it ended, and what aiokafka
passes over (control batches, aborted transactions, batches emptied by compaction) belongs to the batch that comes next, or to
an empty one at the end. Who commits the `next_offset` of the last batch has no lag left.

The hook: aiokafka's fetcher is led to take a batch for a batch of one record, the batch itself. Its own loop goes on to check
checksums and isolation, to skip and to move positions; only what it makes of a "record" is ours. That takes two names of its
fetcher module, which has no other way to the bytes of a response: it reads them in the middle of its longest method. All
private names are in `PRIVATE_NAMES` and `PRIVATE_USES`; a unit test holds that they are there.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch

from processors.batch import RawRecord, Row
from processors.transport.codecs import UNREADABLE, decompress
from runtime.logs import get_logger

log = get_logger(__name__)

NO_TIMESTAMP = -1
"""Kafka's mark of a record that has none, and of a batch that has no records."""

_HEADER = struct.Struct(">qi9xhiqq14xi")
"""Of a batch of format 2: base offset, length, attributes, last offset delta, first and maximum timestamp, record count."""
_LENGTH = struct.Struct(">8xi")
"""Of a batch of any format: how many bytes follow its first twelve."""
_CODEC, _APPEND_TIME = 0x07, 0x08
_BEFORE_LENGTH_COUNTS = 12
_LEAST_LENGTH = _HEADER.size - _BEFORE_LENGTH_COUNTS


def _is_intact_by_tables(data: memoryview, begin: int, end: int) -> bool:
    return bool(DefaultRecordBatch(data[begin:end]).validate_crc())


try:
    from processors.transport.checksum import is_intact as _is_intact
except ImportError:  # not built, or the processor has no instruction for it
    _is_intact = _is_intact_by_tables

_topics: set[str] = set()

_raw_record_of_row: Any = partial(tuple.__new__, RawRecord)  # in half the time that the class takes: there are many records

_Records: Any = getattr(fetcher, "MemoryRecords", object)  # an aiokafka without them is refused by `install`
_Fetcher: Any = getattr(fetcher, "Fetcher", object)
_PartitionRecords: Any = getattr(fetcher, "PartitionRecords", object)

_CONSTRUCTOR = (
    "self",
    "tp",
    "records",
    "aborted_transactions",
    "fetch_offset",
    "key_deserializer",
    "value_deserializer",
    "check_crcs",
    "isolation_level",
)

PRIVATE_NAMES: tuple[tuple[Any, str], ...] = (
    (fetcher, "MemoryRecords"),
    (fetcher, "PartitionRecords"),
    (_PartitionRecords, "_unpack_records"),
    (_PartitionRecords, "_consumer_record"),
    (_Fetcher, "_proc_fetch_request"),
    (_Records, "has_next"),
    (_Records, "next_batch"),
    (_Records, "size_in_bytes"),
    *(
        (DefaultRecordBatch, name)
        for name in ("base_offset", "producer_id", "is_control_batch", "is_transactional", "validate_crc")
    ),
)
"""Names of aiokafka this module reaches into, each with the module or class that must have it."""

PRIVATE_USES: tuple[tuple[Any, str, frozenset[str]], ...] = (
    (_Fetcher, "_proc_fetch_request", frozenset({"MemoryRecords", "PartitionRecords"})),
    (_PartitionRecords, "_unpack_records", frozenset({"_consumer_record", "next_fetch_offset", "has_next", "next_batch"})),
)
"""Methods of aiokafka that must use these names, or replacing them would change nothing."""


class FetchedBatch(Protocol):
    """Consecutive records of a partition as they were fetched; iterating gives those that are wanted."""

    @property
    def start(self) -> int:
        """Records below it are not wanted; the batch before this one ended here."""

    @property
    def next_offset(self) -> int:
        """Where to go on behind it."""

    @property
    def last_offset(self) -> int:
        """The last offset it covers."""

    @property
    def count(self) -> int:
        """How many records it holds, wanted or not."""

    @property
    def max_timestamp(self) -> int:
        """The latest time of its records, in milliseconds."""

    def __iter__(self) -> Iterator[RawRecord]: ...


class RecordBatchView:
    """One Kafka batch as it was fetched. It holds the whole response in memory, so do not keep it.

    `base_offset` is that of the first record the batch was written with, `count` how many it holds, wanted or not. Times are
    in milliseconds: every record's own is `first_timestamp` and a delta, or `max_timestamp` where `is_append_time`. `readers`
    is how many are still to ask for its `section`.
    The batch lies at `begin` in `data`. Raises CorruptRecordException when it is too short for its header.
    """

    __slots__ = (
        "_begin",
        "_codec",
        "_data",
        "_end",
        "_section",
        "base_offset",
        "count",
        "first_timestamp",
        "is_append_time",
        "max_timestamp",
        "next_offset",
        "readers",
        "start",
    )

    def __init__(self, data: memoryview, start: int, begin: int = 0) -> None:
        base: int
        last_delta: int
        try:
            header = _HEADER.unpack_from(data, begin)
        except struct.error as error:
            raise CorruptRecordException(f"a response ends {len(data) - begin} bytes into a header") from error
        base, length, attributes, last_delta, self.first_timestamp, self.max_timestamp, self.count = header
        if length < _LEAST_LENGTH:
            raise CorruptRecordException(f"the batch at offset {base} is shorter than its header")
        self.base_offset = base
        self.next_offset = base + last_delta + 1
        self.is_append_time = attributes & _APPEND_TIME != 0
        self.start = start
        self._codec = attributes & _CODEC
        self.readers = 1
        self._section: bytes | None = None
        self._data = data
        self._begin = begin
        self._end = begin + _BEFORE_LENGTH_COUNTS + length

    @property
    def last_offset(self) -> int:
        """The last offset it covers; compaction may have removed its record."""
        return self.next_offset - 1

    @property
    def raw(self) -> memoryview:
        """The batch with its header."""
        return self._data[self._begin : self._end]

    @property
    def section(self) -> bytes | memoryview:
        """The plain bytes of its records, decompressed for the first of its readers and kept until the last has them.

        Raises CorruptRecordException when they cannot be decompressed, UnsupportedCodecError when it is not known how to.
        """
        payload = self._data[self._begin + _HEADER.size : self._end]
        if not self._codec:
            return payload
        section = self._section or decompress(self._codec, payload)
        self.readers -= 1
        self._section = section if self.readers > 0 else None
        return section

    def __iter__(self) -> Iterator[RawRecord]:
        """Records from `start` on. Raises as `rows`."""
        return map(_raw_record_of_row, self.rows())

    def rows(self) -> Iterator[Row]:
        """Records from `start` on as plain tuples: to name their fields takes half as long as to read them.

        They come through aiokafka's reader. Raises as `section`, and CorruptRecordException.
        """
        start = self.start
        try:
            for record in DefaultRecordBatch(self.raw):
                offset = record.offset
                if offset >= start:
                    yield offset, record.timestamp, record.key, record.value
        except UNREADABLE as error:
            raise CorruptRecordException(f"batch at offset {self.base_offset}: {error}") from error


class PlainBatch:
    """Records that came without a batch of format 2, or none at all; its offsets, `start` to `next_offset`, hold no others."""

    __slots__ = ("count", "max_timestamp", "next_offset", "records", "start")

    def __init__(self, start: int, next_offset: int, records: Iterable[RawRecord] = ()) -> None:
        self.start = start
        self.next_offset = next_offset
        self.records = list(records)
        self.count = len(self.records)
        self.max_timestamp = max((record.timestamp_ms for record in self.records), default=NO_TIMESTAMP)

    @classmethod
    def of(cls, records: Iterable[Any]) -> PlainBatch:
        """A batch of aiokafka's records, at least one; from their first offset to their last."""
        found = [_raw_record(record) for record in records]
        return cls(found[0].offset, found[-1].offset + 1, found)

    @property
    def last_offset(self) -> int:
        """The last offset it covers."""
        return self.next_offset - 1

    def __iter__(self) -> Iterator[RawRecord]:
        return iter(self.records)


def install(topics: Iterable[str]) -> bool:
    """Have aiokafka yield batches for these topics, too; False where it is not the aiokafka known here, and nothing changed."""
    if unknown := unknown_names():
        log.warning("records come one by one: this aiokafka is not known", unknown=unknown)
        return False
    _topics.update(topics)
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _partition_records
    return True


def uninstall() -> None:
    """Have aiokafka yield its own records for all topics again."""
    _topics.clear()
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords


def unknown_names() -> list[str]:
    """What of aiokafka is not as it is known here, by name; empty when all is well."""
    missing = [_name(owner, name) for owner, name in PRIVATE_NAMES if not hasattr(owner, name)]
    unused = [
        f"{_name(owner, name)} uses {used}"
        for owner, name, uses in PRIVATE_USES
        for used in sorted(uses - _names_used(getattr(owner, name, None)))
    ]
    changed = [] if _parameters(_PartitionRecords) == _CONSTRUCTOR else [_name(_PartitionRecords, "__init__")]
    return missing + unused + changed


class _KeptRecords:
    """Stands in for aiokafka's `MemoryRecords`; keeps the bytes of the response beside it."""

    __slots__ = ("data", "has_next", "next_batch", "size_in_bytes")

    def __init__(self, data: bytes) -> None:
        records = _Records(data)
        self.data = data
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


class _BatchesOfOne:
    """Walks a response as aiokafka's `MemoryRecords` does, and stands in for the batch it is at, and for its one record too.

    aiokafka holds one batch at a time, so it may be the same object. The names are aiokafka's.
    """

    __slots__ = ("_batch", "_data", "_next_batch", "_position", "has_next", "is_control_batch", "next_offset", "offset", "view")

    def __init__(self, records: _KeptRecords) -> None:
        self._data = memoryview(records.data)
        self._position = 0
        self._next_batch = records.next_batch
        self.has_next = records.has_next

    def next_batch(self) -> Any:
        """The next batch, one that looks like one record; as it is where its format is older."""
        begin = self._position
        batch = self._batch = self._next_batch()
        if type(batch) is not DefaultRecordBatch:
            (length,) = _LENGTH.unpack_from(self._data, begin)
            self._position = begin + _BEFORE_LENGTH_COUNTS + length
            return batch
        self.view = view = RecordBatchView(self._data, 0, begin)
        self._position = view._end
        self.next_offset = view.next_offset
        self.offset = view.next_offset - 1
        self.is_control_batch = batch.is_control_batch
        return self

    def validate_crc(self) -> bool:
        """Whether the batch came undamaged."""
        view = self.view
        return _is_intact(view._data, view._begin, view._end)

    @property
    def base_offset(self) -> int:
        return int(self._batch.base_offset)

    @property
    def producer_id(self) -> int:
        return int(self._batch.producer_id)

    @property
    def is_transactional(self) -> bool:
        return bool(self._batch.is_transactional)

    def __iter__(self) -> Iterator[_BatchesOfOne]:
        view = self.view
        return iter((self,) if view.count or view._end - view._begin > _HEADER.size else ())

    def __next__(self) -> Any:
        """The record of a control batch, which tells how a transaction ended."""
        return next(self._batch)


class _PartitionViews(_PartitionRecords):  # type: ignore[misc]  # aiokafka has no type hints for its callers
    """aiokafka's own walk through what was fetched of a partition; a batch is its record."""

    _begin: int

    def __init__(self, tp: Any, records: _KeptRecords, *rest: Any) -> None:
        super().__init__(tp, _BatchesOfOne(records), *rest)

    def _unpack_records(self) -> Iterator[FetchedBatch]:
        self._begin = self.next_fetch_offset
        yield from super()._unpack_records()
        if self._begin < self.next_fetch_offset:
            yield PlainBatch(self._begin, self.next_fetch_offset)

    def _consumer_record(self, tp: Any, record: Any) -> FetchedBatch:
        begin = self._begin
        self._begin = record.offset + 1
        if record is self._records:
            view: RecordBatchView = record.view
            view.start = begin
            return view
        return PlainBatch(begin, record.offset + 1, [_raw_record(record)])


def _partition_records(tp: Any, records: _KeptRecords, *rest: Any) -> Any:
    """Stands in for the constructor of aiokafka's `PartitionRecords`."""
    return (_PartitionViews if tp.topic in _topics else _PartitionRecords)(tp, records, *rest)


def _raw_record(record: Any) -> RawRecord:
    timestamp = NO_TIMESTAMP if record.timestamp is None else record.timestamp
    return RawRecord(record.offset, timestamp, record.key, record.value)


def _name(owner: Any, name: str) -> str:
    return f"{owner.__name__}.{name}"


def _names_used(function: Any) -> frozenset[str]:
    return frozenset(code.co_names) if (code := getattr(function, "__code__", None)) else frozenset()


def _parameters(owner: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(owner.__init__).parameters)
