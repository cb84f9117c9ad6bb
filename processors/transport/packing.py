"""Record batches as Kafka appends them: message format 2, lz4, numbered so that a repeated one is appended once.

The layout is that of `org.apache.kafka.common.record.DefaultRecordBatch`. What a client library does for each record it sends
costs several times what it takes to make the record; here a batch is made in one go.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, cast

import lz4.frame
from aiokafka.record.util import calc_crc32c

from processors.built import compiled_module
from processors.outputs import Message
from processors.transport.layout import LARGEST, RECORD_OVERHEAD, Section, section_of

Output: TypeAlias = Message | Section
"""A record on its way out, or many of one topic and partition."""

Chunks = dict[tuple[str, int], list[Sequence[Message]]]
"""Chunks of records by topic and partition."""

_HEAD = struct.Struct(">qiib")  # base offset, length of what follows it, leader epoch, magic
_CHECKSUM = struct.Struct(">I")
_BODY = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, first and last timestamp, producer id, its epoch, sequence, count: from here on checked."""

_MAGIC, _LZ4 = 2, 3
_LENGTH_BEGIN = 12  # the length counts what is behind itself
_SECTIONS = "processors.transport.sections"

_instruction = compiled_module("processors.transport.checksum")
_checksum: Callable[[bytes], int] = _instruction.checksum if _instruction else calc_crc32c


def pack(records: Sequence[Message], producer: tuple[int, int], sequence: int, now: int, *, compiled: bool = True) -> bytes:
    """One batch of records that go to one partition.

    `producer` is the id and epoch that the broker gave, `sequence` the number of the first record among all that this producer
    sent to the partition, `now` the records' time in milliseconds (a topic with append time has its own).
    """
    section = records.data if isinstance(records, Section) else _section_maker(compiled=compiled)(list(records))
    payload: bytes = lz4.frame.compress(section, block_linked=False)  # brokers take no linked blocks
    body = _BODY.pack(_LZ4, len(records) - 1, now, now, *producer, sequence, len(records)) + payload
    length = _HEAD.size + _CHECKSUM.size + len(body) - _LENGTH_BEGIN
    return _HEAD.pack(0, length, -1, _MAGIC) + _CHECKSUM.pack(_checksum(body)) + body


def chunks_of(outputs: Iterable[Output], largest: int = LARGEST, *, compiled: bool = True) -> Chunks:
    """What goes to each topic and partition, in order, cut so that each chunk fits a batch.

    What is too large for a batch of several is a chunk by itself, and so is a section.
    """
    module = compiled_module(_SECTIONS) if compiled else None
    if module is not None:
        return cast("Chunks", module.chunks_of(outputs, largest))
    found: Chunks = {}
    growing: dict[tuple[str, int], tuple[list[Message], int]] = {}  # the last chunk of each, and its size
    for output in outputs:
        if isinstance(output, Section):
            found.setdefault(output.place, []).append(output)
            growing.pop(output.place, None)
            continue
        place = output[:2]
        added = RECORD_OVERHEAD + len(output.key or b"") + len(output.value or b"")
        chunk, size = growing.get(place, ([], largest))
        if size + added > largest:
            chunk, size = [], 0
            found.setdefault(place, []).append(chunk)
        chunk.append(output)
        growing[place] = chunk, size + added
    return found


def counts_of(outputs: Iterable[Output]) -> Counter[str]:
    """How many records go to each topic."""
    found: Counter[str] = Counter()
    for output in outputs:
        if isinstance(output, Section):
            found[output.place[0]] += len(output)
        else:
            found[output.topic] += 1
    return found


def messages_of(outputs: Iterable[Output]) -> Iterator[Message]:
    """Every single record."""
    for output in outputs:
        if isinstance(output, Section):
            yield from output
        else:
            yield output


def _section_maker(*, compiled: bool) -> Callable[[list[Message]], bytes]:
    module = compiled_module(_SECTIONS) if compiled else None
    return cast("Callable[[list[Message]], bytes]", module.section_of) if module else section_of
