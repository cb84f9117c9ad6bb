"""Numbered migrations of the database: `sinks/migrations/0001_name.sql`, applied in order, each in a transaction of its own.

What was applied is recorded with a checksum of its text: an applied migration is history and must not be edited. Two
processes that migrate at once wait for one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from psycopg import Connection

from sinks.store import StoreUnfit

_LOCK = 0x7461706531  # any number that nobody else takes
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_CREATE = """
CREATE TABLE schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(StoreUnfit):
    """The database's history is not the one this program knows, or is behind it; the text says what to do."""


class Migration(NamedTuple):
    """One step of the database's history."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Sum of the text; line ends do not count."""
        return sha256("\n".join(self.text.splitlines()).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04d}_{self.name}"


class Applied(NamedTuple):
    """A migration as the database remembers it."""

    number: int
    name: str
    checksum: str


def shipped() -> list[Migration]:
    """The migrations that come with the program, in order. Raises MigrationError when their numbers leave holes."""
    return in_order((file.name, file.read_text(encoding="utf-8")) for file in (files("sinks") / "migrations").iterdir())


def in_order(named_texts: Iterable[tuple[str, str]]) -> list[Migration]:
    """Migrations of (file name, text), numbered from 1 without holes. Raises MigrationError otherwise."""
    migrations = []
    for name, text in named_texts:
        match = _FILE.fullmatch(name)
        if match is None:
            raise MigrationError(f"migration {name!r} is not named like 0001_history.sql")
        migrations.append(Migration(int(match[1]), match[2], text))
    migrations.sort()
    for number, migration in enumerate(migrations, start=1):
        if migration.number != number:
            raise MigrationError(f"migration {migration} should have number {number:04d}")
    return migrations


def pending(migrations: list[Migration], applied: list[Applied]) -> list[Migration]:
    """What is still to be applied. Raises MigrationError when the database was made by other migrations than these."""
    by_number = {migration.number: migration for migration in migrations}
    for one in applied:
        ours = by_number.pop(one.number, None)
        if ours is None:
            raise MigrationError(
                f"the database has migration {one.number:04d}_{one.name}, which this program does not know: "
                "a newer version has been here; run that version"
            )
        if ours.checksum != one.checksum:
            raise MigrationError(
                f"migration {ours} was changed after the database applied it as {one.number:04d}_{one.name}: "
                "restore its text, and put the change into a new migration"
            )
    return sorted(by_number.values())


def check(connection: Connection[Any], migrations: list[Migration]) -> None:
    """Raise MigrationError unless the database is up to date."""
    waiting = pending(migrations, _applied(connection))
    if waiting:
        listed = ", ".join(map(str, waiting))
        raise MigrationError(f"the database lacks the migrations {listed}: run `tapeline sink migrate`")


def apply(connection: Connection[Any], migrations: list[Migration]) -> list[Migration]:
    """Apply what is pending; what was applied. `connection` is in autocommit mode."""
    with _alone(connection):
        if not _has_begun(connection):
            connection.execute(_CREATE)
        waiting = pending(migrations, _applied(connection))
        for migration in waiting:
            with connection.transaction():
                connection.execute(migration.text.encode())
                connection.execute(
                    "INSERT INTO schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
                    (migration.number, migration.name, migration.checksum),
                )
    return waiting


def _has_begun(connection: Connection[Any]) -> bool:
    return connection.execute("SELECT to_regclass('schema_migrations')").fetchone() != (None,)


def _applied(connection: Connection[Any]) -> list[Applied]:
    if not _has_begun(connection):
        return []
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations ORDER BY number").fetchall()
    return [Applied(*row) for row in rows]


@contextmanager
def _alone(connection: Connection[Any]) -> Iterator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
