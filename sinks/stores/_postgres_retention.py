"""Retention: monthly partitions that lie wholly before what is to be kept are dropped, never single rows.

Dropping one waits for readers of its table, and those that come meanwhile wait behind it; so it waits for a moment only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg.sql import SQL, Identifier

from market.errors import StorageError
from runtime.errors import ConfigurationError, Problem

_PATIENCE = 2  # seconds to wait for readers
_MONTH = re.compile(r"(.+)_(\d{4})_(\d{2})")
_TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = current_schema()::regnamespace ORDER BY relname
"""
_PARTITIONS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relkind = 'p' AND parent.relnamespace = current_schema()::regnamespace
"""


class MonthInUse(StorageError):
    """Readers hold the table of a partition that is to be dropped."""

    exit_code = 1


class Partition(NamedTuple):
    """A month of a table; `end` is the first day after it."""

    table: str
    end: date
    name: str


def partitions_of(names: Iterable[str]) -> list[Partition]:
    """The months that these names are of, in order; names that are of none are left out."""
    found = []
    for name in names:
        if match := _MONTH.fullmatch(name):
            year, month = int(match[2]), int(match[3])
            found.append(Partition(match[1], date(year + month // 12, month % 12 + 1, 1), name))
    return sorted(found)


def expired(partitions: Iterable[Partition], keep_days: Mapping[str, int], today: date) -> list[str]:
    """Names of the partitions of which no row is to be kept any more, the UTC days of the last `keep_days` being kept."""
    return [
        each.name
        for each in partitions
        if each.table in keep_days and each.end <= today - timedelta(days=keep_days[each.table])
    ]


def drop_expired(connection: Connection[Any], keep_days: Mapping[str, int], today: date, *, dry_run: bool = False) -> list[str]:
    """Drop the expired partitions and return their names. Raises MonthInUse, ConfigurationError for other tables."""
    tables = [str(name) for (name,) in connection.execute(_TABLES).fetchall()]
    for table in keep_days:
        if table not in tables:
            problem = Problem("postgres.keep_days", "no table by months", repr(table), hint=f"there are {', '.join(tables)}")
            raise ConfigurationError(problem)
    names = expired(partitions_of(str(name) for (name,) in connection.execute(_PARTITIONS).fetchall()), keep_days, today)
    if not dry_run:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{_PATIENCE}s",))
        for name in names:
            _drop(connection, name)
    return names


def _drop(connection: Connection[Any], name: str) -> None:
    try:
        connection.execute(SQL("DROP TABLE {}").format(Identifier(name)))
    except LockNotAvailable as error:
        raise MonthInUse(f"{name} is not dropped: its table is being read for {_PATIENCE} s; try again later") from error
