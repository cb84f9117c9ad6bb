"""docs/topics.md is what the topics, the schemas and real records say."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from market.trade import Trade
from schemas.checks import check_carried
from schemas.codec import Codec, encode_body
from schemas.partitioning import partition_of
from schemas.records import RECORD_FILES, Record, schema_text
from schemas.topics import CANDLES, STATUS, TOPICS, Topic
from tapeline.cli import build
from tapeline.topic_docs import notes, page, partitioner
from tapeline.topic_docs.examples import NoExample, example
from tapeline.topic_docs.page import key_of, partition_id_of
from tapeline.topic_docs.values import as_json, taken_apart

COMMITTED = Path(__file__).parent.parent.parent / "docs" / "topics.md"
CARRIED = [(topic, kind) for topic in TOPICS.values() for kind in topic.records]


def test_the_committed_page_is_the_one_that_is_generated() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == page(), "docs/topics.md is out of date: run `make docs`"


def test_the_command_prints_the_page_or_writes_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(build(), ["topics", "docs"])
    assert printed.output == page()
    assert CliRunner().invoke(build(), ["topics", "docs", str(tmp_path / "topics.md")]).exit_code == 0
    assert (tmp_path / "topics.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(("topic", "kind"), CARRIED, ids=[f"{topic.name}-{kind.__name__}" for topic, kind in CARRIED])
def test_every_kind_of_record_has_an_example_that_its_topic_may_carry(topic: Topic, kind: type[Record]) -> None:
    record = example(kind)
    assert type(record) is kind
    check_carried(topic.name, topic.place(record)[0], record)
    codec = Codec({(topic.name, kind): 1}, lambda _: None)
    assert codec.decode(codec.encode(topic.name, record)) == record


def test_a_kind_of_record_without_an_example_is_named() -> None:
    with pytest.raises(NoExample, match=r"^str has no example: add one to tapeline/topic_docs/examples\.py$"):
        example(str)  # type: ignore[arg-type]  # stands for a record that somebody adds


@pytest.mark.parametrize("kind", RECORD_FILES)
def test_the_page_has_every_field_with_its_meaning(kind: type[Record]) -> None:
    text = page()
    for field in json.loads(schema_text(kind))["fields"]:
        assert any(
            line.startswith(f"| `{field['name']}` |") and line.endswith(f"| {field['doc']} |") for line in text.splitlines()
        )


def test_every_note_is_of_a_topic_and_every_topic_has_its_section() -> None:
    assert notes.NOTES.keys() <= TOPICS.keys()
    assert all(f"\n## {name}\n" in page() for name in TOPICS)


def test_keys_and_partition_ids_are_told_by_their_fields() -> None:
    assert (key_of(CANDLES), partition_id_of(CANDLES)) == ("{instrument}|{interval}|{open_time}", "{instrument}")
    assert key_of(STATUS) == "{venue}:{channel}:{instrument}"


def test_json_has_exact_decimals_and_whole_microseconds() -> None:
    trade = Trade("a:B", "1", 1, 10**37 + 1, 25 * 10**10, None, 1_723_161_255_342_001, 5, "1", "1")
    shown = json.loads(as_json(trade))
    assert (shown["price"], shown["size"]) == ("10000000000000000000000000.000000000001", "0.25")
    assert (shown["exchange_time"], shown["side"]) == (1_723_161_255_342_001, None)


def test_a_value_taken_apart_is_the_value() -> None:
    trade = example(Trade)
    parts = list(taken_apart(trade))
    assert b"".join(data for _, data, _ in parts) == encode_body(trade)
    assert [name for name, _, _ in parts] == list(Trade._fields)


@given(st.text(max_size=40), st.integers(1, 64))
def test_the_partitioner_shown_is_the_one_in_use(text: str, partitions: int) -> None:
    assert partitioner.partition_of(text, partitions) == partition_of(text, partitions)


def test_the_partitioner_shown_runs_as_it_is_printed() -> None:
    (code,) = (block.partition("```")[0] for block in page().split("```python\n")[1:])
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["partition_of"]("binance:BTC-USDT", 4) == partition_of("binance:BTC-USDT", 4) == 3


def test_the_example_bytes_are_read_by_plain_avro() -> None:
    shown = page().partition("byte by byte")[2].partition("\n## ")[0]
    data = bytes.fromhex("".join(re.findall(r"^\| `([0-9a-f ]+)` \|", shown, re.MULTILINE)))
    read = fastavro.schemaless_reader(BytesIO(data[5:]), fastavro.parse_schema(json.loads(schema_text(Trade))), None)
    assert (str(read["price"]), read["side"], read["trade_count"]) == ("61837.630000000000", "sell", 1)  # type: ignore[index,call-overload]
