"""Record batches as Kafka appends them: message format 2, lz4, numbered so that a repeated one is appended once.

The layout is that of `org.apache.kafka.common.record.DefaultRecordBatch`. What a client library does for each record it sends
costs several times what it takes to make the record; here a batch is made in one go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import cast

import lz4.frame
from aiokafka.record.util import calc_crc32c, encode_varint

from processors.built import compiled_module
from processors.outputs import Message

Chunks = dict[tuple[str, int], list[list[Message]]]
"""Chunks of records by topic and partition."""

LARGEST = 256 << 10
"""Bytes of keys and values in a batch of several records: well below the mebibyte that a topic takes, soon sent."""

RECORD_OVERHEAD = 24
"""Most bytes that a record takes besides its key and value."""

_HEAD = struct.Struct(">qiib")  # base offset, length of what follows it, leader epoch, magic
_CHECKSUM = struct.Struct(">I")
_BODY = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, first and last timestamp, producer id, its epoch, sequence, count: from here on checked."""

_MAGIC, _LZ4 = 2, 3
_LENGTH_BEGIN = 12  # the length counts what is behind itself
_SECTIONS = "processors.transport.sections"


def pack(records: Sequence[Message], producer: tuple[int, int], sequence: int, now: int, *, compiled: bool = True) -> bytes:
    """One batch of records that go to one partition.

    `producer` is the id and epoch that the broker gave, `sequence` the number of the first record among all that this producer
    sent to the partition, `now` the records' time in milliseconds (a topic with append time has its own).
    """
    section = _section_maker(compiled=compiled)(list(records))
    payload: bytes = lz4.frame.compress(section, block_linked=False)  # brokers take no linked blocks
    body = _BODY.pack(_LZ4, len(records) - 1, now, now, *producer, sequence, len(records)) + payload
    length = _HEAD.size + _CHECKSUM.size + len(body) - _LENGTH_BEGIN
    return _HEAD.pack(0, length, -1, _MAGIC) + _CHECKSUM.pack(calc_crc32c(body)) + body


def section_of(records: Sequence[Message]) -> bytes:
    """The records one behind the other, as they are compressed."""
    section = bytearray()
    for number, record in enumerate(records):
        body = bytearray(2)  # no attributes, and the time of the batch
        encode_varint(number, body.append)
        for part in (record.key, record.value):
            encode_varint(-1 if part is None else len(part), body.append)
            body += part or b""
        body.append(0)  # no headers
        encode_varint(len(body), section.append)
        section += body
    return bytes(section)


def chunks_of(messages: Sequence[Message], largest: int = LARGEST, *, compiled: bool = True) -> Chunks:
    """What goes to each topic and partition, in order, cut so that each chunk fits a batch.

    What is too large for a batch of several is a chunk by itself.
    """
    module = compiled_module(_SECTIONS) if compiled else None
    if module is not None:
        return cast("Chunks", module.chunks_of(messages, largest))
    found: Chunks = {}
    sizes: dict[tuple[str, int], int] = {}
    for message in messages:
        place = message[:2]
        added = RECORD_OVERHEAD + len(message.key or b"") + len(message.value or b"")
        sizes[place] = sizes.get(place, 0) + added
        chunks = found.setdefault(place, [[]])
        if chunks[-1] and sizes[place] > largest:
            chunks.append([])
            sizes[place] = added
        chunks[-1].append(message)
    return found


def _section_maker(*, compiled: bool) -> Callable[[list[Message]], bytes]:
    module = compiled_module(_SECTIONS) if compiled else None
    return cast("Callable[[list[Message]], bytes]", module.section_of) if module else section_of
