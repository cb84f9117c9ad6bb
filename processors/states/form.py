"""The form of every stored value: a version byte, an offset (8 bytes, big-endian), and schemaless Avro.

The offset is that of the last source record which the value reflects. It stands in front so that recovery can tell the newer of
two values of any table without reading them.

State never leaves the tables and their changelogs, so its schemas are not registered. A change of a schema gets a new
version byte and a reader for the old one. Units are those of the classes in `market` that are kept.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import fastavro
from fastavro.types import Schema

from schemas.records import parse

VERSION = 2
VERSIONS = (VERSION, 3, 4)
"""Of all tables; 3 is that of prices and portfolios alone, 4 of portfolios (`processors.states.portfolios`)."""

HEAD = struct.Struct(">Bq")

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12}
AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 24}
MAYBE_PRICE, MAYBE_AMOUNT, MAYBE_LONG, MAYBE_TEXT = (["null", kind] for kind in (PRICE, AMOUNT, "long", "string"))


class StateError(Exception):
    """Stored state is not of a version that this program reads."""


def record(name: str, **fields: Any) -> dict[str, Any]:
    """The Avro type of a record."""
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields.items()]}


def array(items: Any) -> dict[str, Any]:
    """The Avro type of an array."""
    return {"type": "array", "items": items}


def mapping(values: Any) -> dict[str, Any]:
    """The Avro type of a map."""
    return {"type": "map", "values": values}


def define(name: str, **fields: Any) -> Schema:
    """The schema of a stored record."""
    return parse(json.dumps(record(name, **fields)))


def reflected_offset(data: bytes) -> int:
    """Offset of the last source record that a stored value reflects, whatever table it is of. Raises StateError."""
    return _offset(data, VERSIONS)


def _offset(data: bytes, versions: Sequence[int]) -> int:
    if len(data) < HEAD.size or data[0] not in versions:
        raise StateError(f"stored state begins with {data[:1]!r}, this program reads version {versions[-1]}")
    offset: int = HEAD.unpack_from(data)[1]
    return offset


def head(offset: int, version: int = VERSION) -> bytes:
    """What stands before the Avro body of a value that reflects records up to an offset."""
    return HEAD.pack(version, offset)


def encode(schema: Schema, values: dict[str, Any]) -> bytes:
    """Avro body of a value. Raises as fastavro does."""
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, schema, values)
    return buffer.getvalue()


def read(schema: Schema, data: bytes, version: int = VERSION) -> tuple[int, Any]:
    """The offset and the fields of a stored value of a version. Raises StateError."""
    offset = _offset(data, (version,))
    return offset, fastavro.schemaless_reader(BytesIO(data[HEAD.size :]), schema, None)


def key_of(topic: str, instrument: str) -> str:
    """Key of what reflects the records of an instrument in one topic of several."""
    return f"{topic}|{instrument}"


RANGE = record("Range", first="long", last="long")
