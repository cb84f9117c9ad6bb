"""The page: what holds for all topics, then each with its key, layout, notes, fields and an example."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from string import Template

from market.trade import Trade
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.records import Record, schema_name
from schemas.registry import subject_of
from schemas.topics import TOPICS, TRADES, Topic
from tapeline.topic_docs import notes, partitioner
from tapeline.topic_docs.examples import INSTRUMENT, PARTITIONS, example
from tapeline.topic_docs.fields import head, row, tables
from tapeline.topic_docs.values import as_json, taken_apart

_INTRODUCTION = """\
# Topics

<!-- Written by `make docs` from the topic table, the schemas and recorded traffic. Change those, not this file. -->

What a program that reads Tapeline's topics can rely on, in any language. The schemas are the files of
[schemas](../schemas) and in the registry; `tapeline topics list` shows how the topics stand on a cluster. Topics named
`…-changelog` hold the processors' own state and are no contract.
"""
_SCHEMA_ID = 7
_DECIMALS = (("00", 12), ("02 54 0b e4 00", 12), ("ff", 12), ("fd ab f4 1c 00", 12), ("01 00 00 00 00 00 00 00 00 00 00", 24))
_IDS = (INSTRUMENT, "binance:ETH-USDT-PERP", "sse:600519", "sim:S001-USD")
_OTHER_PARTITIONS = 12


def page() -> str:
    """The whole contract as Markdown. Raises NoExample naming a kind of record that has no example."""
    return "\n\n".join(piece.strip("\n") for piece in _pieces()) + "\n"


def _pieces() -> Iterator[str]:
    yield _INTRODUCTION
    yield _contents()
    yield _wire()
    for topic in TOPICS.values():
        yield from _section(topic)


def _contents() -> str:
    rows = [
        row(f"[`{name}`](#{_anchor(name)})", topic.doc, f"`{key_of(topic)}`", _kept(topic)) for name, topic in TOPICS.items()
    ]
    return "\n".join([*head("topic", "what", "key", "kept"), *rows])


def _anchor(name: str) -> str:
    """The link that GitHub gives a heading."""
    return name.replace(".", "")


def _wire() -> str:
    prose = (files("tapeline.topic_docs") / "wire.md").read_text(encoding="utf-8")
    return Template(prose).substitute(
        decimals=_decimals(),
        murmur2=inspect.getsource(partitioner).partition('"""\n\n')[2].strip(),
        partitions=_partitions(),
        schema_id=_SCHEMA_ID,
        bytes_shown=_bytes_shown(),
    )


def _decimals() -> str:
    rows = []
    for text, scale in _DECIMALS:
        unscaled = int.from_bytes(bytes.fromhex(text), "big", signed=True)
        whole, fraction = divmod(abs(unscaled), 10**scale)
        rows.append(row(f"`{text}`", scale, unscaled, f"{'-' * (unscaled < 0)}{whole}.{fraction:0{scale}d}"))
    return "\n".join([*head("bytes", "scale", "whole number", "value"), *rows])


def _partitions() -> str:
    counts = (PARTITIONS, _OTHER_PARTITIONS)
    rows = [
        row(f"`{text}`", partitioner.hash_of(text.encode()), *(partition_of(text, count) for count in counts)) for text in _IDS
    ]
    return "\n".join([*head("partition id", "hash", *(f"of {count} partitions" for count in counts)), *rows])


def _bytes_shown() -> str:
    frame = Codec({(TRADES.name, Trade): _SCHEMA_ID}, lambda _: None).encode(TRADES.name, example(Trade))[:5]
    rows = [row(f"`{frame[:1].hex()}`", "", "framing"), row(f"`{frame[1:].hex(' ')}`", "", f"schema id {_SCHEMA_ID}")]
    rows += [row(f"`{data.hex(' ')}`", f"`{name}`", f"`{shown}`") for name, data, shown in taken_apart(example(Trade))]
    return "\n".join([*head("bytes", "field", "meaning"), *rows])


def _section(topic: Topic) -> Iterator[str]:
    yield f"## {topic.name}"
    yield f"{topic.doc}."
    yield "\n".join(_facts(topic))
    if lines := notes.of(topic):
        yield "\n".join(f"- {line}" for line in lines)
    for kind in topic.records:
        yield f"### {topic.name}: {schema_name(kind).rpartition('.')[2]}"
        yield f"Subject `{subject_of(topic, kind)}`."
        yield from tables(kind)
        yield _example(topic, kind)


def _facts(topic: Topic) -> Iterator[str]:
    yield from head("", "")
    yield row("key", f"`{key_of(topic)}`")
    yield row("partitions", "as configured (`topics.partitions`)" if topic.by_instrument else "1")
    if topic.by_instrument:
        yield row("partition id", f"`{partition_id_of(topic)}`")
    yield row("kept", _kept(topic))
    yield row("largest message", f"{topic.max_message_bytes >> 20} MiB")


def key_of(topic: Topic) -> str:
    """How a key is made of a record's fields, which stand in braces."""
    return topic.key(_named_fields(topic))


def partition_id_of(topic: Topic) -> str:
    """How a partition id is made of a record's fields, which stand in braces."""
    return topic.place(_named_fields(topic))[1]


def _named_fields(topic: Topic) -> Record:
    """A record whose fields hold their own names."""
    kind = topic.records[0]
    return kind(**{name: f"{{{name}}}" for name in kind._fields})  # type: ignore[arg-type]  # names in place of values


def _kept(topic: Topic) -> str:
    settings = topic.config(1)
    compacted = "compacted" if "compact" in settings["cleanup.policy"] else ""
    if topic.retention_ms < 0:
        return compacted or "for ever"
    return ", ".join(filter(None, (compacted, _span(timedelta(milliseconds=topic.retention_ms)))))


def _span(time: timedelta) -> str:
    return f"{time.days} days" if time.days else f"{time.seconds // 3600} hours"


def _example(topic: Topic, kind: type[Record]) -> str:
    record = example(kind)
    key, partition_id = topic.place(record)
    number = partition_of(partition_id, topic.partitions(PARTITIONS))
    place = f"Key `{key.decode()}`, partition {number} of {topic.partitions(PARTITIONS)}:"
    return f"{place}\n\n```json\n{as_json(record)}\n```"
