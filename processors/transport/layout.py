"""Records as a Kafka batch of message format 2 holds them, written and read back.

The layout is that of `org.apache.kafka.common.record.DefaultRecord`. It is read back only where a batch must be cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from aiokafka.record.util import decode_varint, encode_varint

from processors.outputs import Message

LARGEST = 256 << 10
"""Bytes of keys and values in a batch of several records: well below the mebibyte that a topic takes, soon sent."""

RECORD_OVERHEAD = 24
"""Most bytes that a record takes besides its key and value."""

_BEFORE_NUMBER = 2
"""Bytes between the size of a record and its number in the batch: attributes and time, both zero."""


class Section(Sequence[Message]):
    """Records that go to one topic and partition, of which only the bytes are kept: what one batch of them holds."""

    __slots__ = ("_length", "data", "place")

    def __init__(self, place: tuple[str, int], length: int, data: bytes) -> None:
        self.place = place
        self._length = length
        self.data = data

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Message]:
        position = 0
        for _ in range(self._length):
            size, position = decode_varint(self.data, position)
            end = position + size
            _, position = decode_varint(self.data, position + _BEFORE_NUMBER)
            key, position = self._part_at(position)
            value, _ = self._part_at(position)
            yield Message(*self.place, key, value)
            position = end

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return list(self)[index]

    def _part_at(self, position: int) -> tuple[bytes | None, int]:
        """A key or value, and where it ends."""
        size, position = decode_varint(self.data, position)
        return (None, position) if size < 0 else (self.data[position : position + size], position + size)


def section_of(records: Sequence[Message]) -> bytes:
    """The records one behind the other, as they are compressed."""
    section = bytearray()
    for number, record in enumerate(records):
        body = bytearray(_BEFORE_NUMBER)
        encode_varint(number, body.append)
        for part in (record.key, record.value):
            encode_varint(-1 if part is None else len(part), body.append)
            body += part or b""
        body.append(0)  # no headers
        encode_varint(len(body), section.append)
        section += body
    return bytes(section)
