"""Records to Confluent-framed Avro bytes and back.

The codec does no I/O: schema ids are given to it (`schemas.registry` looks them up at start), and an id it does not know is
asked of `fetch_schema`, which may block; callers on an event loop prefetch or decode in a thread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

import fastavro
from fastavro.types import Schema

from market.errors import DataValidationError
from schemas.records import READ_AS, WRITTEN_AS, Record, parse, reader_schema, record_type_of

_HEADER = struct.Struct(">bI")
_MAGIC = 0

SchemaIds = Mapping[tuple[str, type[Record]], int]
"""Schema id of each (topic, record class)."""

Stamper = Callable[[Any, bytes, int], bytes]
"""From a record, a header and the time of `published_at`: the framed value. Raises DataValidationError as `Codec.encode`."""


def split_frame(data: bytes) -> tuple[int, bytes]:
    """Schema id and Avro body of a framed value. Raises DataValidationError (`undecodable`)."""
    if len(data) < _HEADER.size:
        raise DataValidationError("undecodable", f"{len(data)} bytes are too few for a framed Avro value")
    magic, schema_id = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise DataValidationError("undecodable", f"the first byte is {magic}, not the magic byte of framed Avro")
    return schema_id, data[_HEADER.size :]


def encode_body(record: Record) -> bytes:
    """The Avro body of a record, without its frame. Raises DataValidationError when a value does not fit its field."""
    buffer = BytesIO()
    values = record._asdict()
    try:
        for name, convert in WRITTEN_AS.get(type(record), {}).items():
            values[name] = convert(values[name])
        fastavro.schemaless_writer(buffer, reader_schema(type(record)), values)
    except DataValidationError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataValidationError("unencodable", f"{type(record).__name__} does not fit its schema: {error}") from error
    return buffer.getvalue()


class SchemaNotLearnt(Exception):
    """A value names a schema that the registry was not asked for yet."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} was not asked for yet")
        self.schema_id = schema_id


class Codec:
    """Encodes and decodes the records of our topics."""

    def __init__(self, ids: SchemaIds, fetch_schema: Callable[[int], str | None]) -> None:
        self._ids = ids
        self._fetch_schema = fetch_schema
        self._encoders: dict[type[Record], Callable[[Any], bytes]] = {}
        self._stampers: dict[type[Record], Stamper] = {}
        self._decoders: dict[type[Record], Callable[[bytes], Any]] = {}
        self._missing: set[int] = set()
        self._headers = {place: _HEADER.pack(_MAGIC, schema_id) for place, schema_id in ids.items()}
        self._readers: dict[int, tuple[Schema, type[Record] | None]] = {}
        for (_, record_type), schema_id in ids.items():
            self._readers[schema_id] = reader_schema(record_type), record_type

    def schema_id(self, topic: str, record_type: type[Record]) -> int:
        """Schema id under which records of a class are written to a topic. Raises KeyError when it does not carry them."""
        return self._ids[topic, record_type]

    def header(self, topic: str, record_type: type[Record]) -> bytes:
        """What a value begins with that holds a record of this class with our own schema. Raises KeyError as above."""
        return self._headers[topic, record_type]

    def encode_with(self, record_type: type[Record], encoder: Callable[[Any], bytes], stamper: Stamper | None = None) -> None:
        """Have the bodies of a class's records written by a function that gives the same bytes sooner."""
        self._encoders[record_type] = encoder
        if stamper is not None:
            self._stampers[record_type] = stamper

    def stamper(self, record_type: type[Record]) -> Stamper | None:
        """What frames records of a class as published at a time, sooner than `encode` does; None where there is nothing."""
        return self._stampers.get(record_type)

    def decode_with(self, record_type: type[Record], decoder: Callable[[bytes], Any]) -> None:
        """Have the bodies of a class's records, where they have our own schema, read by a function that does it sooner.

        It gives None for what is to be read as all others are.
        """
        self._decoders[record_type] = decoder

    def encode(self, topic: str, record: Record) -> bytes:
        """Frame a record for a topic.

        Raises DataValidationError when a value does not fit its field, KeyError when the topic does not carry this record.
        """
        record_type = type(record)
        return self.header(topic, record_type) + self._encoders.get(record_type, encode_body)(record)

    def decode(self, data: bytes | None) -> Record:
        """Read a framed value of any of our record types.

        Raises DataValidationError (`undecodable`, `unknown_schema`) for anything that is not one; errors of `fetch_schema`
        (the registry cannot be reached) pass through, since they say nothing about the record.
        """
        return self._decode(data, self._writer)

    def decode_learnt(self, data: bytes | None) -> Record:
        """Like `decode`, but never asks: raises SchemaNotLearnt where it would have to, for the caller to `learn`."""
        return self._decode(data, self._learnt)

    def unknown_ids(self, values: Iterable[bytes | None]) -> set[int]:
        """Schema ids of framed values for which `decode_learnt` raises; whatever is not framed has none."""
        ids = {_HEADER.unpack_from(value)[1] for value in values if value and len(value) >= _HEADER.size and value[0] == _MAGIC}
        return self.not_learnt(ids)

    def not_learnt(self, schema_ids: Iterable[int]) -> set[int]:
        """Those of these schema ids for which `decode_learnt` raises."""
        return set(schema_ids) - self._readers.keys() - self._missing

    def learn(self, schema_ids: Iterable[int]) -> None:
        """Ask for schemas ahead of `decode_learnt`; blocks, and raises what `fetch_schema` raises.

        Those that do not exist count as learnt, and their values as undecodable, until `forget_missing`.
        """
        for schema_id in schema_ids:
            with suppress(DataValidationError):
                self._writer(schema_id)

    def forget_missing(self) -> None:
        """Let schemas that did not exist be asked for again."""
        self._missing.clear()

    def _decode(self, data: bytes | None, writer_of: Callable[[int], tuple[Schema, type[Record] | None]]) -> Record:
        if data is None:
            raise DataValidationError("undecodable", "there is no value")
        schema_id, body = split_frame(data)
        writer, record_type = writer_of(schema_id)
        if record_type is None:
            raise DataValidationError("unknown_schema", f"schema {schema_id} describes no record of ours")
        ours = reader_schema(record_type)
        if writer is ours and (decoder := self._decoders.get(record_type)) and (found := decoder(body)) is not None:
            return cast("Record", found)
        buffer = BytesIO(body)
        try:
            values: Any = fastavro.schemaless_reader(buffer, writer, None if writer is ours else ours)
        except Exception as error:  # whatever damaged bytes make the reader raise
            raise DataValidationError("undecodable", f"the bytes are no {record_type.__name__}: {error!r}") from error
        if buffer.tell() != len(body):
            raise DataValidationError("undecodable", f"{len(body) - buffer.tell()} bytes follow the {record_type.__name__}")
        for name, convert in READ_AS.get(record_type, {}).items():
            values[name] = convert(values[name])
        return record_type(**values)

    def _learnt(self, schema_id: int) -> tuple[Schema, type[Record] | None]:
        if schema_id not in self._readers and schema_id not in self._missing:
            raise SchemaNotLearnt(schema_id)
        return self._writer(schema_id)

    def _writer(self, schema_id: int) -> tuple[Schema, type[Record] | None]:
        known = self._readers.get(schema_id)
        if known is None:
            text = None if schema_id in self._missing else self._fetch_schema(schema_id)
            if text is None:
                self._missing.add(schema_id)  # a damaged topic must not become a request for each of its records
                raise DataValidationError("unknown_schema", f"the registry has no schema {schema_id}")
            known = self._readers[schema_id] = _understood(text)
        return known


def _understood(text: str) -> tuple[Schema, type[Record] | None]:
    """A writer's schema and the class it describes; no class for whatever is not one of our records in plain Avro."""
    try:
        schema: Any = parse(text)
    except Exception:  # noqa: BLE001 - Protobuf, JSON schema, Avro with references: whatever anybody registers
        return {}, None
    return schema, record_type_of(schema.get("name", "")) if isinstance(schema, dict) else None
