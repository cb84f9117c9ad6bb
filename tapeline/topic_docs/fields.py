"""The fields of a record as tables, read from its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.records import Record, schema_text

_UNITS = {"timestamp-micros": "µs since 1970, UTC"}


def tables(kind: type[Record]) -> Iterator[str]:
    """What a kind of record is and its fields, then the same for each record inside it."""
    schema = json.loads(schema_text(kind))
    yield schema["doc"]
    yield _table(schema)
    for inner in _records_inside(schema):
        yield f"`{inner['name']}`: {inner['doc']}"
        yield _table(inner)


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def head(*titles: str) -> list[str]:
    """The first two rows of a Markdown table."""
    return [row(*titles), "|" + "---|" * len(titles)]


def _table(schema: Mapping[str, Any]) -> str:
    rows = [row(f"`{field['name']}`", *_type_of(field["type"]), field["doc"]) for field in schema["fields"]]
    return "\n".join([*head("field", "type", "scale or unit", "null", "meaning"), *rows])


def _type_of(node: Any) -> tuple[str, str, str]:
    """Type, scale or unit, and whether it may be null."""
    if isinstance(node, list):
        (inner,) = (item for item in node if item != "null")
        return (*_plain(inner), "yes")
    return (*_plain(node), "")


def _plain(node: Any) -> tuple[str, str]:
    if isinstance(node, str):
        return node, ""
    logical = node.get("logicalType")
    if logical == "decimal":
        return f"decimal({node['precision']},{node['scale']})", f"scale {node['scale']}"
    if logical is not None:
        return logical, _UNITS[logical]
    if node["type"] == "enum":
        return f"enum {node['name']}: {', '.join(node['symbols'])}", ""
    if node["type"] == "array":
        return f"array of {_plain(node['items'])[0]}", ""
    if node["type"] == "map":
        return f"map of {_plain(node['values'])[0]}", ""
    return str(node["name"] if node["type"] == "record" else node["type"]), ""


def _records_inside(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Records that are defined in the fields of another, outermost first."""
    for field in schema["fields"]:
        for node in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            inner = node.get("items", node) if isinstance(node, dict) else node
            if isinstance(inner, dict) and inner["type"] == "record":
                yield inner
                yield from _records_inside(inner)
