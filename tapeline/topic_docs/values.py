"""Values as another language meets them: read back from their bytes with the schema as it is registered, by plain Avro."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro

from schemas.codec import encode_body
from schemas.records import Record, schema_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_json(record: Record) -> str:
    """A record as JSON: decimals as text, times in microseconds, bytes as in Avro's JSON encoding (ISO 8859-1)."""
    schema = fastavro.parse_schema(json.loads(schema_text(type(record))))
    value = fastavro.schemaless_reader(BytesIO(encode_body(record)), schema, None)
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def taken_apart(record: Record) -> Iterator[tuple[str, bytes, str]]:
    """Each field of a record in order: its name, its bytes, and what they mean."""
    schema, body = json.loads(schema_text(type(record))), encode_body(record)
    shown, buffer = json.loads(as_json(record)), BytesIO(body)
    for field in schema["fields"]:
        begin = buffer.tell()
        fastavro.schemaless_reader(buffer, fastavro.parse_schema(field["type"]), None)
        yield field["name"], body[begin : buffer.tell()], json.dumps(shown[field["name"]])


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime():
            return (value - _EPOCH) // timedelta(microseconds=1)
        case bytes():
            return value.decode("latin-1")
        case _:
            return value
