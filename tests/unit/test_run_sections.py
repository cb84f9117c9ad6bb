"""Batches as they were fetched: the compiled folder walks their bytes, whole and damaged."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from processors.batch import RawRecord
from processors.runs import open_folder
from processors.runs.protocol import CorruptRecords
from processors.transport.views import RecordBatchView
from tests.builders import START, make_trade
from tests.run_streams import APPENDED, CONTRACT, folder, journal, needs_compiled, raw, streams, unhurried


@dataclass
class Section:
    """Stands in for the view of a batch: the bytes of its records, and what its header says."""

    section: bytes
    base_offset: int
    start: int
    count: int
    next_offset: int
    first_timestamp: int = APPENDED
    max_timestamp: int = APPENDED
    is_append_time: bool = False

    def __iter__(self) -> Iterator[RawRecord]:
        raise AssertionError("the compiled folder walks the bytes")


def built(records: Sequence[RawRecord], headers: Sequence[tuple[str, bytes | None]] = ()) -> tuple[memoryview, int]:
    """A batch in Kafka's own format, uncompressed, and its base offset."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 24
    )
    base = records[0].offset
    for record in records:
        builder.append(record.offset - base, record.timestamp_ms, record.key, record.value, list(headers))
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    return memoryview(bytes(data)), base


def view(records: Sequence[RawRecord], start: int = 0, **header: Any) -> RecordBatchView:
    return RecordBatchView(built(records, **header)[0], start)


def section(records: Sequence[RawRecord], start: int = 0, **header: Any) -> Section:
    data = view(records, start, **header)
    return Section(bytes(data.section), data.base_offset, start, data.count, data.next_offset, data.first_timestamp)


def rising(records: Iterable[RawRecord]) -> list[RawRecord]:
    """The records with offsets as a partition has them, compacted here and there."""
    return [record._replace(offset=100 + number + number // 7) for number, record in enumerate(records)]


@needs_compiled
@unhurried
@given(streams(damaged=True), st.integers(0, 60), st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary()), max_size=2))
def test_walked_bytes_give_the_same_as_plain_records(
    records: list[RawRecord], start: int, headers: list[tuple[str, bytes | None]]
) -> None:
    kept = rising(record for record in records if 0 <= record.timestamp_ms < 2**61)  # as aiokafka's builder takes them
    if kept:
        wanted = [record for record in kept if record.offset >= 100 + start]
        walked = journal(folder(True), [section(kept, 100 + start, headers=headers)])
        assert walked == journal(folder(False), [wanted])
        assert walked == journal(folder(False), [view(kept, 100 + start, headers=headers)])


@needs_compiled
def test_append_time_is_the_time_of_every_record() -> None:
    batch = section([raw(offset, make_trade(offset + 1, at=START + offset)) for offset in range(3)])
    batch.is_append_time, batch.max_timestamp = True, START // 1000 - 6000
    assert [entry for entry in journal(folder(True), [batch]) if isinstance(entry, RawRecord)] == [
        raw(offset, make_trade(offset + 1, at=START + offset), timestamp_ms=START // 1000 - 6000) for offset in range(3)
    ]


@needs_compiled
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"section": b""}, "does not fit"),
        ({"count": 2}, "bytes follow"),
        ({"count": 4}, "does not fit"),
        ({"next_offset": 102}, "follows offset 101"),
        ({"cut": 1}, "does not fit"),
    ],
)
def test_bytes_that_are_no_records_are_told(change: dict[str, Any], message: str) -> None:
    batch = section([raw(100 + number, make_trade(number + 1, at=START + number)) for number in range(3)])
    batch.section = batch.section[: len(batch.section) - change.pop("cut", 0)]
    for name, value in change.items():
        setattr(batch, name, value)
    with pytest.raises(CorruptRecords, match=message):
        open_folder(CONTRACT, lambda record, known: None).fold(batch)


@needs_compiled
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_damaged_bytes_are_told_or_handed_over(rng: random.Random, flips: int) -> None:
    """A damaged batch may hold other valid records, but never more than it counts."""
    records = [raw(100 + number, make_trade(number + 1, at=START + number)) for number in range(8)]
    batch = section(records)
    damaged = bytearray(batch.section)
    for _ in range(flips):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    batch.section = bytes(damaged)
    entries = journal(folder(True), [batch])
    handed = sum(isinstance(entry, RawRecord) for entry in entries)
    taken = sum(counts.trades for _, _, counts in (entry for entry in entries if isinstance(entry, tuple) and len(entry) == 3))
    assert handed + taken <= 8
    assert handed + taken == 8 or "corrupt" in entries
