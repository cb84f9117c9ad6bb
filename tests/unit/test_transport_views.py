"""Views against aiokafka's own records, over the bytes of made-up fetch responses."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lz4.frame
import pytest
from aiokafka.codec import snappy_encode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from processors.batch import RawRecord
from processors.transport import views
from processors.transport.codecs import decompress
from processors.transport.views import PlainBatch, RecordBatchView

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
APPEND_TIME, CONTROL = 0x08, 0x20
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
UNCOMMITTED, COMMITTED = fetcher.READ_UNCOMMITTED, fetcher.READ_COMMITTED
HEADER_SIZE = 61

Content = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
CONTENTS: list[Content] = [
    (1_000, b"BTC-USD", b"\x00" * 40, []),
    (990, None, b"no key", [("source", b"test"), ("empty", None)]),
    (1_007, b"deleted", None, []),
    (1_003, b"", b"", []),
]


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    assert views.install({"viewed"})
    yield
    views.uninstall()


class Reading(NamedTuple):
    """What one fetch response gave."""

    batches: list[Any]
    records: list[RawRecord]
    error: type[BaseException] | None
    next_offset: int


def batch(
    contents: Sequence[Content] = CONTENTS,
    base: int = 0,
    codec: str = "none",
    *,
    deltas: Sequence[int] | None = None,
    last_delta: int | None = None,
    producer: int = -1,
    attributes: int = 0,
) -> bytes:
    """A batch as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], int(producer >= 0), producer, 0, 0, 1 << 20)
    for delta, (timestamp, key, value, headers) in zip(deltas or range(len(contents)), contents, strict=True):
        builder.append(delta, timestamp, key, value, headers)
    data = bytearray(builder.build())
    data[0:8] = struct.pack(">q", base)
    data[22] |= attributes
    if last_delta is not None:
        data[23:27] = struct.pack(">i", last_delta)
    return mended(data)


def mended(data: bytes | bytearray) -> bytes:
    """The batch with the checksum that its bytes have."""
    return bytes(data[:17]) + struct.pack(">I", calc_crc32c(bytearray(data[21:]))) + bytes(data[21:])


def empty(base: int, last_delta: int) -> bytes:
    """What compaction leaves of a batch all of whose records are gone."""
    data = bytearray(batch(CONTENTS[:1], base, last_delta=last_delta)[:HEADER_SIZE])
    data[8:12] = struct.pack(">i", HEADER_SIZE - 12)
    data[57:61] = struct.pack(">i", 0)
    return mended(data)


def control(base: int, producer: int, marker: bytes) -> bytes:
    """The end of a transaction."""
    return batch([(1_000, marker, b"\x00" * 6, [])], base, producer=producer, attributes=CONTROL)


def read(
    topic: str,
    data: bytes,
    offset: int = 0,
    level: int = UNCOMMITTED,
    aborted: Sequence[tuple[int, int]] = (),
    crc: bool = True,
) -> Reading:
    """Take in a fetch response as aiokafka's fetcher does."""
    records = fetcher.PartitionRecords(
        TopicPartition(topic, 0), fetcher.MemoryRecords(data), aborted, offset, None, None, crc, level
    )
    batches: list[Any] = []
    found: list[RawRecord] = []
    error: type[BaseException] | None = None
    try:
        for one in records:
            batches.append(one)
            found += one if topic == "viewed" else [plain(one)]
    except (KafkaError, ArithmeticError, AssertionError, SystemError, ValueError, struct.error) as raised:
        error = type(raised)
    return Reading(batches, found, error, records.next_fetch_offset)


def plain(record: Any) -> RawRecord:
    timestamp = -1 if record.timestamp is None else record.timestamp
    return RawRecord(record.offset, timestamp, record.key, record.value)


def read_both(data: bytes, **options: Any) -> Reading:
    """The views of a response, which hold what aiokafka's own records are."""
    expected, found = read("plain", data, **options), read("viewed", data, **options)
    assert found.records == expected.records
    assert found.error is expected.error
    assert found.next_offset == expected.next_offset
    return found


@pytest.mark.parametrize("attributes", [0, APPEND_TIME])
@pytest.mark.parametrize("codec", CODECS)
def test_a_view_holds_the_records_of_its_batch(codec: str, attributes: int) -> None:
    found = read_both(batch(base=100, codec=codec, attributes=attributes), offset=100)
    (view,) = found.batches
    assert (view.base_offset, view.start, view.next_offset, view.last_offset, view.count) == (100, 100, 104, 103, 4)
    assert (view.first_timestamp, view.max_timestamp, view.is_append_time) == (1_000, 1_007, bool(attributes))
    times = [1_007] * 4 if attributes else [1_000, 990, 1_007, 1_003]
    assert found.records == [
        RawRecord(100 + number, times[number], key, value) for number, (_, key, value, _) in enumerate(CONTENTS)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_section_is_the_plain_bytes_of_the_records(codec: str) -> None:
    view = RecordBatchView(memoryview(batch(codec=codec)), 0)
    assert bytes(view.section) == batch()[HEADER_SIZE:]
    assert view.section == view.section
    assert bytes(view.raw) == batch(codec=codec)
    assert list(view) == list(view)


def test_snappy_in_blocks_is_read_and_snappy_in_one_piece_as_well() -> None:
    section = batch()[HEADER_SIZE:]
    for blocks in (True, False):
        data = batch(codec="snappy")[:HEADER_SIZE] + snappy_encode(section, xerial_compatible=blocks)
        data = mended(data[:8] + struct.pack(">i", len(data) - 12) + data[12:])
        assert bytes(read_both(data).batches[0].section) == section


@pytest.mark.parametrize("offset", range(12))
def test_a_fetch_position_inside_a_batch_leaves_out_what_is_before_it(offset: int) -> None:
    batches = [batch(base=0), batch(base=4, codec="lz4"), batch(base=8)]
    found = read_both(b"".join(batches[offset // 4 :]), offset=offset)
    assert found.records[0].offset == offset
    assert found.batches[0].start == offset
    assert found.batches[0].base_offset == offset // 4 * 4


def test_a_batch_cut_off_at_the_end_of_a_response_is_left_for_the_next() -> None:
    whole, last = batch(base=0), batch(base=4)
    for length in range(len(last)):
        found = read_both(whole + last[:length])
        assert len(found.batches) == 1
        assert found.next_offset == 4


def test_batches_that_compaction_thinned_out_are_read_to_their_last_offset() -> None:
    thinned = batch(CONTENTS, 10, deltas=[0, 3, 4, 7], last_delta=9)
    found = read_both(thinned + empty(20, 4) + batch(base=30), offset=5)
    assert [(one.start, one.next_offset) for one in found.batches] == [(5, 20), (20, 34)]
    assert [record.offset for record in found.records] == [10, 13, 14, 17, 30, 31, 32, 33]


def test_a_position_behind_the_last_record_compaction_left_gives_an_empty_view() -> None:
    (view,) = read_both(batch(CONTENTS, 10, last_delta=9), offset=18).batches
    assert (list(view), view.start, view.next_offset) == ([], 18, 20)


@pytest.mark.parametrize("level", [UNCOMMITTED, COMMITTED])
def test_what_transactions_leave_unread_belongs_to_the_batches_around_it(level: int) -> None:
    data = b"".join(
        [
            batch(base=0, producer=7),
            control(4, 7, COMMIT),
            batch(base=5, producer=8),
            batch(base=9, producer=7),
            control(13, 8, ABORT),
            batch(base=14, producer=8),
            control(18, 8, COMMIT),
            control(19, 7, COMMIT),
        ]
    )
    found = read_both(data, level=level, aborted=[(8, 5)])
    aborted = [] if level == COMMITTED else [(4, 9)]
    between = (4, 13) if level == COMMITTED else (9, 13)
    assert [(one.start, one.next_offset) for one in found.batches] == [(0, 4), *aborted, between, (13, 18), (18, 20)]
    gap = found.batches[-1]
    assert (list(gap), gap.count, gap.last_offset, gap.max_timestamp) == ([], 0, 19, views.NO_TIMESTAMP)


@pytest.mark.parametrize(("version", "codec"), [(0, "none"), (0, "gzip"), (1, "none"), (1, "snappy"), (1, "lz4")])
def test_old_message_formats_are_read_record_by_record(version: int, codec: str) -> None:
    builder = LegacyRecordBatchBuilder(version, CODECS[codec], 1 << 20)
    for offset, (timestamp, key, value, _) in enumerate(CONTENTS):
        builder.append(offset, timestamp, key, value)
    data = bytearray(builder.build())
    if codec != "none":
        data[0:8] = struct.pack(">q", len(CONTENTS) - 1)  # as a broker does: what wraps others has the last one's offset
    found = read_both(bytes(data), offset=1)
    assert [(one.start, one.next_offset) for one in found.batches] == [(1, 2), (2, 3), (3, 4)]
    assert [record.value for one in found.batches for record in one] == [b"no key", None, b""]
    assert found.batches[0].max_timestamp == (990 if version else views.NO_TIMESTAMP)


def lz4_section(section: bytes) -> bytes:
    """A batch whose compressed bytes are these; its header does not matter to them."""
    data = batch(codec="lz4")[:HEADER_SIZE] + section
    return mended(data[:8] + struct.pack(">i", len(data) - 12) + data[12:])


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_sections_of_any_size_are_decompressed_one_after_the_other(size: int) -> None:
    plain = bytes(index * index % 251 for index in range(size))
    for content in (plain, b"short"):
        view = RecordBatchView(memoryview(lz4_section(lz4.frame.compress(content))), 0)
        assert bytes(view.section) == content


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_section_is_decompressed_once_for_all_its_readers_and_let_go_by_the_last(
    readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noting(codec: int, payload: memoryview) -> bytes:
        asked.append(codec)
        return decompress(codec, payload)

    monkeypatch.setattr(views, "decompress", noting)
    view = RecordBatchView(memoryview(lz4_section(lz4.frame.compress(b"content"))), 0)
    view.readers = readers
    for _ in range(readers):
        assert view.section == b"content"
    assert asked == [CODECS["lz4"]]
    assert view.section == b"content", "one who folds it again after an exception gets it too"
    assert asked == [CODECS["lz4"]] * 2


def test_lz4_frame_that_breaks_off_is_refused_and_the_next_one_read() -> None:
    frame = lz4.frame.compress(random.Random(1).randbytes(200_000))
    for broken in (frame[: len(frame) // 2], frame[:-1], b"no frame", b""):
        with pytest.raises(CorruptRecordException):
            _ = RecordBatchView(memoryview(lz4_section(broken)), 0).section
        again = RecordBatchView(memoryview(lz4_section(frame)), 0)
        assert len(again.section) == 200_000


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_damage_gives_what_it_gives_without_views(codec: str, data: st.DataObject) -> None:
    damaged = bytearray(batch(base=0, codec=codec) + batch(base=4, codec=codec) + control(8, 7, COMMIT))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    read_both(bytes(damaged), level=data.draw(st.sampled_from([UNCOMMITTED, COMMITTED])))


@pytest.mark.parametrize("length", [-(2**31), -13, -12, -11, 0, 13, 14, 48])
def test_a_length_no_batch_can_have_is_an_error(length: int) -> None:
    data = batch()[:8] + struct.pack(">i", length) + batch()[12:] + batch(base=4)
    assert read("viewed", data, crc=False).error is CorruptRecordException


@pytest.mark.parametrize("length", [14, 48])
def test_a_last_batch_shorter_than_its_header_is_an_error(length: int) -> None:
    data = batch()[:8] + struct.pack(">i", length) + batch()[12 : 12 + length]
    for following in (b"", batch(base=4)):
        assert read("viewed", data + following, crc=False).error is CorruptRecordException


@pytest.mark.parametrize("instruction", [True, False])
@given(content=st.binary(max_size=100), damage=st.integers(1, 255), data=st.data())
def test_a_checksum_tells_any_damage(instruction: bool, content: bytes, damage: int, data: st.DataObject) -> None:
    damaged = bytearray(batch([(1_000, b"key", content, [])], base=4))
    with pytest.MonkeyPatch.context() as patch:
        if not instruction:
            patch.setattr(views, "_is_intact", views._is_intact_by_tables)
        assert read("viewed", batch() + damaged).error is None
        damaged[data.draw(st.integers(17, len(damaged) - 1))] ^= damage
        assert read("viewed", batch() + damaged).error is CorruptRecordException


def test_records_that_the_count_leaves_out_are_an_error() -> None:
    data = mended(batch()[:57] + struct.pack(">i", 0) + batch()[HEADER_SIZE:])
    assert read("plain", data).error is read("viewed", data).error is CorruptRecordException


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_records_damaged_under_a_right_checksum_are_an_error_or_records(codec: str, data: st.DataObject) -> None:
    damaged = bytearray(batch(codec=codec))
    for place in data.draw(st.lists(st.integers(HEADER_SIZE, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    (view,) = read("viewed", mended(damaged)).batches
    try:
        assert len(list(view)) <= 4
        assert view.section
    except CorruptRecordException:
        assert codec != "none" or read("plain", mended(damaged)).error


@pytest.mark.parametrize("unknown", [5, 6, 7])
def test_an_unknown_codec_is_named(unknown: int) -> None:
    view = RecordBatchView(memoryview(batch(attributes=unknown)), 0)
    with pytest.raises(UnsupportedCodecError, match=str(unknown)):
        assert view.section
    with pytest.raises(UnsupportedCodecError):
        list(view)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, int]:
    """A partition's batches with gaps between them, and the end of the first."""
    data, position, first = b"", 0, 0
    for _ in range(draw(st.integers(1, 5))):
        position += draw(st.integers(0, 2))
        size, spare = draw(st.integers(0, 4)), draw(st.integers(0, 2))
        codec, producer = draw(st.sampled_from(list(CODECS))), draw(st.sampled_from([-1, 7, 8]))
        last = max(0, size - 1) + spare
        if size:
            data += batch(CONTENTS[:size], position, codec, last_delta=last, producer=producer)
        else:
            data += draw(st.sampled_from([empty(position, last), control(position, 7, ABORT), control(position, 8, COMMIT)]))
            last = 0 if data[-10:] != empty(position, last)[-10:] else last
        position += last + 1
        first = first or position
    return data, first


@given(
    response=responses(), level=st.sampled_from([UNCOMMITTED, COMMITTED]), offset=st.integers(0, 4), aborted=st.integers(0, 8)
)
@example(response=(batch() + control(4, 7, ABORT), 4), level=COMMITTED, offset=0, aborted=9)
def test_batches_follow_each_other_without_holes(response: tuple[bytes, int], level: int, offset: int, aborted: int) -> None:
    data, end = response
    offset = min(offset, end - 1)
    found = read_both(data, offset=offset, level=level, aborted=[(7, aborted)])
    position = offset
    for one in found.batches:
        assert one.start == position
        assert one.last_offset >= position
        assert all(one.start <= record.offset < one.next_offset for record in one)
        position = one.next_offset
    assert position == found.next_offset


def test_records_of_an_aiokafka_without_views_make_a_batch() -> None:
    records = read("plain", batch(base=5), offset=6).batches
    found = PlainBatch.of(records)
    assert list(found) == [plain(record) for record in records]
    assert (found.start, found.next_offset, found.last_offset, found.count, found.max_timestamp) == (6, 9, 8, 3, 1_007)


def test_the_private_names_of_aiokafka_are_there() -> None:
    assert views.unknown_names() == []


@pytest.mark.parametrize("name", ["_unpack_records", "_consumer_record"])
def test_a_missing_name_is_named_and_nothing_is_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    views.uninstall()
    original = fetcher.PartitionRecords
    monkeypatch.delattr(original, name)
    with capture_logs() as lines:
        assert not views.install({"viewed"})
    assert fetcher.PartitionRecords is original
    (line,) = lines
    assert f"PartitionRecords.{name}" in line["unknown"]


def test_a_changed_constructor_or_fetcher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    views.uninstall()
    monkeypatch.setattr(fetcher.PartitionRecords, "__init__", lambda self, tp: None)
    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", lambda self: fetcher.MemoryRecords)
    assert views.unknown_names() == ["Fetcher._proc_fetch_request uses PartitionRecords", "PartitionRecords.__init__"]
