"""docs/postgres.md says of the tables what the program does with them."""

from __future__ import annotations

import re
from pathlib import Path

from sinks.stores._postgres_tables import TABLES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "postgres.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| `(?:md|pf)\.[\w-]+` \| (.+?) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)


def names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", text))


def test_every_table_is_described_by_its_key_and_by_what_wins() -> None:
    described = {table: (names(key), names(wins)) for table, key, wins, _ in ROW.findall(PAGE)}
    assert described == {table.name: (table.key, table.newer) for table in TABLES.values()}


def test_sink_may_update_just_the_tables_whose_rows_are_replaced() -> None:
    [inserted] = re.findall(r"GRANT SELECT, INSERT ON ([\w, ]+) TO tapeline_sink", PAGE)
    [_, updated] = re.findall(r"GRANT SELECT, INSERT, UPDATE ON ([\w, ]+) TO tapeline_sink", PAGE)
    [read] = re.findall(r"GRANT SELECT ON ([\w, ]+) TO tapeline_reader", PAGE)
    assert set(updated.split(", ")) == {table.name for table in TABLES.values() if table.newer}
    assert set(inserted.split(", ")) == {table.name for table in TABLES.values() if not table.newer}
    assert set(read.split(", ")) == set(TABLES)
