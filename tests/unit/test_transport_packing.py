"""Record batches, read back by the client library's own reader, and by the views that read them whole."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from processors.built import compiled_module
from processors.outputs import Message
from processors.transport.layout import LARGEST, RECORD_OVERHEAD
from processors.transport.packing import chunks_of, pack

SECTIONS = "processors.transport.sections"
MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["t", "u"]),
        st.integers(0, 2),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=3000),
    ),
    min_size=1,
    max_size=200,
)


def read(data: bytes) -> tuple[Any, list[tuple[int, bytes | None, bytes | None]]]:
    records = MemoryRecords(data)
    batch = records.next_batch()
    assert batch.validate_crc()
    found = [(record.offset, record.key, record.value) for record in batch]
    assert records.next_batch() is None
    return batch, found


@pytest.fixture(scope="module", autouse=True)
def _both_are_there() -> None:
    assert compiled_module(SECTIONS) is not None, "the compiled module was not built: nothing would be compared"


@given(MESSAGES, st.integers(0, 2**31 - 1), st.integers(0, 2**40))
def test_batch_holds_the_records_and_whose_they_are(messages: list[Message], sequence: int, now: int) -> None:
    packed = pack(messages, (2**40, 7), sequence, now)
    batch, found = read(packed)
    assert found == [(number, message.key, message.value) for number, message in enumerate(messages)]
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (2**40, 7, sequence)
    assert (batch.first_timestamp, batch.max_timestamp, batch.compression_type) == (now, now, 3)
    assert packed == pack(messages, (2**40, 7), sequence, now, compiled=False)


@given(MESSAGES, st.integers(1, 5000))
def test_chunks_keep_the_order_and_the_limit(messages: list[Message], largest: int) -> None:
    chunks = chunks_of(messages, largest)
    assert chunks == chunks_of(messages, largest, compiled=False)
    assert list(chunks) == list(dict.fromkeys(message[:2] for message in messages))
    for place, parts in chunks.items():
        assert [message for part in parts for message in part] == [message for message in messages if message[:2] == place]
        assert all(len(part) == 1 or size_of(part) <= largest for part in parts)
        joined = [size_of(one) + size_of(other[:1]) for one, other in itertools.pairwise(parts)]
        assert all(size > largest for size in joined), "cut without need"


def size_of(messages: Sequence[Message]) -> int:
    return sum(RECORD_OVERHEAD + len(message.key or b"") + len(message.value or b"") for message in messages)


@pytest.mark.parametrize("size", [LARGEST // 900, LARGEST])
def test_largest_chunk_that_cannot_be_compressed_fits_a_topic(size: int, noise: Callable[[int], bytes]) -> None:
    [[first, *_]] = chunks_of([Message("t", 0, b"k", noise(size - 100)) for _ in range(2000)]).values()
    assert size_of(first) > LARGEST * 0.99
    assert len(pack(first, (1, 0), 0, 0)) < 1 << 20


@pytest.fixture
def noise() -> Callable[[int], bytes]:
    import random

    return random.Random(1).randbytes


def test_nothing_becomes_no_chunk() -> None:
    assert chunks_of([]) == chunks_of([], compiled=False) == {}


@pytest.mark.parametrize("key", ["text", 5])
def test_what_is_no_bytes_is_refused(key: Any) -> None:
    with pytest.raises(TypeError):
        pack([Message("t", 0, key, b"v")], (1, 0), 0, 0)
