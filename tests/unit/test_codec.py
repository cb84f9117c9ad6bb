"""Records to bytes and back, and every kind of damage."""

import io
import json
from collections.abc import Mapping
from enum import EnumType
from typing import Any, get_args, get_origin, get_type_hints

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.depth import Level
from market.errors import DataValidationError
from market.quote import Quote
from market.trade import TimeMark, Trade
from schemas.codec import Codec, SchemaNotLearnt
from schemas.records import RECORD_FILES, Record, parse, record_type_of, schema_name, schema_text
from schemas.topics import TOPICS
from tests.builders import START, make_trade, trades
from tests.gateway_parts import make_quote

IDS = {
    (topic.name, kind): 100 + number for number, (topic, kind) in enumerate((t, k) for t in TOPICS.values() for k in t.records)
}
WIDE = st.integers(-(10**38) + 1, 10**38 - 1)


def no_more_schemas(schema_id: int) -> str | None:
    return None


def codec() -> Codec:
    return Codec(IDS, no_more_schemas)


def values_of(kind: type[Record]) -> st.SearchStrategy[Record]:
    return st.builds(kind, **{name: _strategy(kind, name, hint) for name, hint in get_type_hints(kind).items()})


def _strategy(kind: type[Record], name: str, hint: Any) -> st.SearchStrategy[Any]:
    fields = {field["name"]: field["type"] for field in json.loads(schema_text(kind))["fields"]}
    return _of_schema(fields[name], hint)


NESTED: dict[str, Any] = {}
"""Records within records by name, from their definition on: later they are named only."""


def _nested(node: Any, hint: Any) -> st.SearchStrategy[Any]:
    NESTED[node["name"]] = node
    hints = get_type_hints(hint)
    fields = {field["name"]: field["type"] for field in node["fields"] if field["name"] in hints}
    return st.builds(hint, **{name: _of_schema(kind, hints[name]) for name, kind in fields.items()})


KEYS = {"Position": "position_id", "PriceOverride": "instrument"}
"""Field that is the key of those records which a mapping holds; others have theirs in the array alone."""


def _array(node: Any, hint: Any) -> st.SearchStrategy[Any]:
    inner = get_args(hint)[0]
    if inner is Level:
        return st.lists(st.builds(Level, WIDE, WIDE, st.none()), max_size=4).map(tuple)
    if get_origin(hint) is not Mapping:
        return st.lists(_of_schema(node["items"], inner), max_size=4).map(tuple)
    kind = get_args(hint)[1]
    values, key = _of_schema(node["items"], kind), KEYS.get(kind.__name__)
    if key is None:
        return st.dictionaries(st.text(), values, max_size=4)
    return st.lists(values, max_size=4).map(lambda found: {getattr(one, key): one for one in found})


def _of_schema(node: Any, hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(node, list):
        return st.none() | _of_schema(node[1], next(arg for arg in get_args(hint) if arg is not type(None)))
    if isinstance(node, dict):
        if node.get("logicalType") == "decimal":
            return st.integers(-(10 ** node["precision"]) + 1, 10 ** node["precision"] - 1)
        if node["type"] == "array":
            return _array(node, hint)
        if node["type"] == "map":
            return st.dictionaries(st.text(), _of_schema(node["values"], int), max_size=4)
        if node["type"] == "enum":
            return st.sampled_from(list(hint) if isinstance(hint, EnumType) else node["symbols"])
        if node["type"] == "record":
            return _nested(node, hint)
        node = node["type"]
    if isinstance(hint, EnumType):  # named by what was defined before
        return st.sampled_from(list(hint))
    if node in NESTED:
        return _nested(NESTED[node], hint)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(),
        "bytes": st.binary(),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
    }
    return plain[node]


@pytest.mark.parametrize("kind", RECORD_FILES)
@given(data=st.data())
def test_every_record_survives_the_wire_exactly(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(values_of(kind))
    topic = next(topic.name for topic in TOPICS.values() if kind in topic.records)
    assert codec().decode(codec().encode(topic, record)) == record


@pytest.mark.parametrize("kind", RECORD_FILES)
def test_schema_and_class_have_the_same_fields_and_every_field_is_documented(kind: type[Record]) -> None:
    schema = json.loads(schema_text(kind))
    assert [field["name"] for field in schema["fields"]] == list(kind._fields)
    assert all(len(field["doc"]) > 5 for field in all_fields(schema))


def all_fields(node: Any) -> list[Any]:
    """The fields of a schema, and those of the records within it."""
    if isinstance(node, list):
        return [field for one in node for field in all_fields(one)]
    if not isinstance(node, dict):
        return []
    return [*node.get("fields", []), *(field for value in node.values() for field in all_fields(value))]


@pytest.mark.parametrize("kind", RECORD_FILES)
def test_record_class_is_found_by_its_avro_name(kind: type[Record]) -> None:
    assert record_type_of(schema_name(kind)) is kind


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_never_misread(data: bytes) -> None:
    with pytest.raises(DataValidationError):
        codec().decode(data)


@given(trades(max_size=1).filter(bool), st.integers(5, 60))
def test_truncated_value_is_refused(found: list[Trade], length: int) -> None:
    whole = codec().encode("md.trades", found[0])
    with pytest.raises(DataValidationError, match=r"no Trade|too few"):
        codec().decode(whole[: min(length, len(whole) - 1)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no value"),
        (b"", "too few"),
        (b"\x00", "too few"),
        (b"{}{}{}", "magic byte"),
        (b"\x00\x00\x00\x00\x01abc", "no schema 1"),
    ],
)
def test_what_is_not_framed_avro_says_why(data: bytes | None, message: str) -> None:
    with pytest.raises(DataValidationError, match=message):
        codec().decode(data)


def test_bytes_after_the_record_are_refused() -> None:
    with pytest.raises(DataValidationError, match="1 bytes follow"):
        codec().decode(codec().encode("md.trades", make_trade()) + b"x")


def test_value_beyond_the_decimal_is_refused_on_the_way_out() -> None:
    with pytest.raises(DataValidationError, match="38 digits"):
        codec().encode("md.trades", make_trade()._replace(price=10**38))


def test_record_of_another_topic_cannot_be_sent() -> None:
    with pytest.raises(KeyError):
        codec().encode("md.candles", make_trade())


def test_value_written_with_an_older_schema_is_read_with_its_defaults() -> None:
    older = json.loads(schema_text(TimeMark))
    older["fields"] = [field for field in older["fields"] if field["name"] != "published_at"]
    text = json.dumps(older)
    reader = Codec(IDS, lambda schema_id: text if schema_id == 7 else None)
    buffer = io.BytesIO(b"\x00\x00\x00\x00\x07")
    buffer.seek(5)
    fastavro.schemaless_writer(buffer, parse(text), {"instrument": "a:B", "time": 5})
    assert reader.decode(buffer.getvalue()) == TimeMark("a:B", 5, None)


def test_quotes_from_before_mark_prices_and_after_them_are_read_by_either_schema() -> None:
    later = json.loads(schema_text(Quote))
    fields = [field for field in later["fields"] if field["name"] not in ("mark_price", "index_price")]
    assert len(fields) == len(later["fields"]) - 2
    older = parse(json.dumps(later | {"fields": fields}))
    quote = make_quote(bid=5, exchange_time=START)
    marked = quote._replace(mark_price=7, index_price=8)
    buffer = io.BytesIO(b"\x00\x00\x00\x00\x07")
    buffer.seek(5)
    told = {name: value for name, value in quote._asdict().items() if name not in ("mark_price", "index_price")}
    fastavro.schemaless_writer(buffer, older, told)
    assert Codec(IDS, lambda _id: json.dumps(later | {"fields": fields})).decode(buffer.getvalue()) == quote
    body = io.BytesIO(codec().encode("md.quotes", marked)[5:])
    assert fastavro.schemaless_reader(body, parse(schema_text(Quote)), older) == told


def test_unknown_ids_are_those_not_learnt_yet() -> None:
    asked: list[int] = []

    def fetch(schema_id: int) -> str | None:
        asked.append(schema_id)
        return schema_text(TimeMark) if schema_id == 7 else None

    reader = Codec(IDS, fetch)
    frames = [b"\x00\x00\x00\x00\x07rest", b"\x00\x00\x00\x00\x08", b"junk", None]
    assert reader.unknown_ids(frames) == {7, 8}
    with pytest.raises(SchemaNotLearnt):
        reader.decode_learnt(frames[0])
    reader.learn({7, 8})
    assert reader.unknown_ids(frames) == set()
    with pytest.raises(DataValidationError, match="has no schema 8"):
        reader.decode_learnt(frames[1])
    assert sorted(asked) == [7, 8]
    reader.forget_missing()
    assert reader.unknown_ids(frames) == {8}


@pytest.mark.parametrize(
    "text",
    [
        'syntax = "proto3"; message A { string a = 1; }',
        '{"type": "object"}',
        '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "other.Named"}]}',
        '"string"',
        '["null"]',
        '{"type": "record"}',
        "[" * 100_000,
    ],
    ids=["protobuf", "json schema", "avro with references", "avro string", "avro union", "nameless record", "deep"],
)
def test_schema_that_is_no_plain_avro_record_is_unknown_and_asked_for_once(text: str) -> None:
    asked: list[int] = []

    def fetch(schema_id: int) -> str | None:
        asked.append(schema_id)
        return text

    reader, frame = Codec(IDS, fetch), b"\x00\x00\x00\x00\x4dabc"
    reader.learn(reader.unknown_ids([frame]))
    assert reader.unknown_ids([frame]) == set()
    for _ in range(2):
        with pytest.raises(DataValidationError) as caught:
            reader.decode(frame)
        assert caught.value.reason == "unknown_schema"
    assert asked == [77]
