"""Monthly partitions, made when a batch first needs them and one month ahead.

A partition is made as a table of its own and then attached, which, unlike `CREATE TABLE … PARTITION OF`, neither waits for
readers of the table nor holds them up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

_LOCK = 0x7461706532  # one maker of partitions at a time; any number that nobody else takes


class Months:
    """The partitions known to be there; months are counted as year × 12 + month - 1."""

    def __init__(self) -> None:
        self._known: set[tuple[str, int]] = set()

    def ensure(self, connection: Connection[Any], needed: Iterable[tuple[str, int]]) -> None:
        """Make the partitions of these tables and months, and those of the months after them, where they are missing."""
        wanted = {(table, month + ahead) for table, month in needed for ahead in (0, 1)} - self._known
        if not wanted:
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for table, month in sorted(wanted):
                _make(connection, table, month)
        self._known |= wanted

    def forget(self) -> None:
        """Look again before the next batch: someone may have removed one."""
        self._known.clear()


def partition_name(table: str, month: int) -> str:
    """Name of a partition: trades_2024_08."""
    year, index = divmod(month, 12)
    return f"{table}_{year:04d}_{index + 1:02d}"


def _make(connection: Connection[Any], table: str, month: int) -> None:
    name = partition_name(table, month)
    attached = connection.execute(
        "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s) AND inhparent = to_regclass(%s)", (name, table)
    ).fetchone()
    if attached:
        return
    make = SQL("CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    attach = SQL("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})")
    words = {
        "name": Identifier(name),
        "table": Identifier(table),
        "begin": Literal(_first_instant(month)),
        "end": Literal(_first_instant(month + 1)),
    }
    connection.execute(make.format(**words))
    connection.execute(attach.format(**words))


def _first_instant(month: int) -> str:
    year, index = divmod(month, 12)
    return f"{year:04d}-{index + 1:02d}-01 00:00:00+00"
