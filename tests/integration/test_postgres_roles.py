"""The roles of docs/postgres.md, made by its own statements: who may do what, and that it is enough."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runtime.errors import ConfigurationError
from runtime.settings import Settings, load
from sinks.stores import postgres
from sinks.stores._postgres_retention import MonthInUse
from sinks.stores._postgres_tables import TABLES
from tests.cluster import Cluster, wait_for
from tests.servers import Addresses
from tests.sink_running import Sink, Start, assert_rows_equal_the_model, not_ready, publish, records

PAGE = (Path(__file__).parent.parent.parent / "docs" / "postgres.md").read_text(encoding="utf-8")
ROLES = ("tapeline_owner", "tapeline_sink", "tapeline_reader")


@dataclass
class Roles:
    """A database whose name and roles are the page's with an ending of their own."""

    servers: Addresses
    ending: str

    def dsn(self, role: str) -> str:
        name, password = f"tapeline_{role}{self.ending}", f"secret_{role}"
        return make_conninfo(self.servers.postgres, dbname=f"tapeline{self.ending}", user=name, password=password)

    def settings(self, role: str, *overrides: str) -> Settings:
        return load(environ={}, overrides=[f"postgres.dsn={self.dsn(role)}", *overrides])

    def run(self, dsn: str, statements: str) -> None:
        text = re.sub(r"\btapeline(_owner|_sink|_reader)?\b", rf"tapeline\1{self.ending}", statements)
        for role, password in zip(("owner", "sink", "reader"), ("choose-one", "choose-another", "choose-a-third"), strict=True):
            text = text.replace(f"'{password}'", f"'secret_{role}'")
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in re.sub(r"--.*", "", text).split(";")[:-1]:
                connection.execute(statement.encode())


@pytest.fixture
def roles(servers: Addresses) -> Iterator[Roles]:
    made = Roles(servers, f"_{secrets.token_hex(4)}")
    by_administrator, by_owner = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    made.run(servers.postgres, by_administrator)
    postgres.migrate(made.settings("owner"))
    made.run(made.dsn("owner"), by_owner)
    yield made
    made.run(servers.postgres, "DROP DATABASE tapeline WITH (FORCE);" + "".join(f"DROP ROLE {role};" for role in ROLES))


def test_sink_works_with_no_more_than_its_role_has(cluster: Cluster, start: Start, roles: Roles) -> None:
    sink = Sink(cluster, start, roles.dsn("sink"))
    publish(cluster, records(seed=11, count=1500))
    worker = sink.start()
    wait_for(sink.is_level, "the topics to be stored", every=0.2)
    wait_for(lambda: not_ready(worker) == {}, "readiness")
    assert_rows_equal_the_model(sink)
    assert worker.terminate() == 0


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DELETE FROM {table}" for table in TABLES),
        *(f"UPDATE {table.name} SET {table.key[0]} = ''" for table in TABLES.values() if not table.newer),
        *("DROP TABLE trades", "CREATE TABLE mine ()", "TRUNCATE candles", "INSERT INTO schema_migrations VALUES (9, '', '')"),
        *("ALTER TABLE trades DISABLE TRIGGER ALL", "CREATE SCHEMA mine", "DELETE FROM sink_offsets"),
    ],
)
def test_sink_may_not_do_more(once: Roles, statement: str) -> None:
    with psycopg.connect(once.dsn("sink")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_sink_may_write_every_table(once: Roles) -> None:
    with psycopg.connect(once.dsn("sink")) as connection:
        for table in TABLES.values():
            for right in ("SELECT", "INSERT", *(["UPDATE"] if table.newer else [])):
                assert connection.execute("SELECT has_table_privilege(%s, %s)", (table.name, right)).fetchone() == (True,), (
                    table
                )


@pytest.fixture(scope="module")
def once(servers: Addresses) -> Iterator[Roles]:
    """The roles once for tests that change nothing."""
    make: Callable[[Addresses], Iterator[Roles]] = roles.__wrapped__  # type: ignore[attr-defined]  # pytest's definition
    yield from make(servers)


@pytest.mark.parametrize(
    ("parent", "month"), [("sink_offsets", "2024-08-01"), ("pg_class", "2024-08-01"), ("x; DROP TABLE gaps", "2024-08-01")]
)
def test_months_are_made_of_partitioned_tables_alone(once: Roles, parent: str, month: str) -> None:
    with psycopg.connect(once.dsn("sink")) as connection, pytest.raises(psycopg.errors.UndefinedTable, match="no partitions"):
        connection.execute("SELECT make_month(%s, %s::date)", (parent, month))


def test_months_are_made_where_the_tables_are_whatever_the_caller_has_set(once: Roles) -> None:
    with psycopg.connect(once.dsn("sink"), autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE trades (instrument text) PARTITION BY LIST (instrument)")
        connection.execute("SET search_path TO pg_temp, public")
        connection.execute("SET TimeZone TO 'Asia/Shanghai'")
        connection.execute("SET DateStyle TO 'SQL, DMY'")
        connection.execute("SELECT public.make_month('trades', '2031-12-01')")
        connection.execute("SET TimeZone TO 'UTC'")
        found = connection.execute(
            "SELECT inhparent::regclass::text, pg_get_expr(relpartbound, oid) FROM pg_inherits JOIN pg_class ON oid = inhrelid "
            "WHERE relname = 'trades_2031_12'"
        ).fetchall()
        assert found == [("public.trades", "FOR VALUES FROM ('01/12/2031 00:00:00 UTC') TO ('01/01/2032 00:00:00 UTC')")]
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="no month begins"):
            connection.execute("SELECT public.make_month('trades', '2031-12-02')")


def test_reader_reads_and_nothing_else(once: Roles) -> None:
    with psycopg.connect(once.dsn("reader"), autocommit=True) as connection:
        for table in TABLES:
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
        connection.execute("SET default_transaction_read_only TO off")
        for statement in ("DELETE FROM trades", "INSERT INTO gaps (instrument) VALUES ('')", "SELECT * FROM sink_offsets"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT make_month('trades', '2024-08-01')")


def test_prune_drops_whole_months_of_the_tables_named(roles: Roles) -> None:
    with psycopg.connect(roles.dsn("sink"), autocommit=True) as connection:
        for table, month in (("trades", "2020-01-01"), ("trades", "2099-01-01"), ("quotes", "2020-01-01")):
            connection.execute("SELECT make_month(%s, %s::date)", (table, month))
    settings = roles.settings("owner", "postgres.keep_days.trades=365")
    assert postgres.prune(settings, dry_run=True) == ["trades_2020_01"]
    assert postgres.prune(settings) == ["trades_2020_01"]
    assert postgres.prune(settings) == []
    with psycopg.connect(roles.dsn("owner")) as connection:
        left = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relispartition ORDER BY 1").fetchall()
    assert [name for (name,) in left] == ["quotes_2020_01", "trades_2099_01"]


def test_prune_gives_up_where_a_reader_holds_the_table(roles: Roles) -> None:
    with psycopg.connect(roles.dsn("sink"), autocommit=True) as connection:
        connection.execute("SELECT make_month('trades', '2020-01-01')")
    settings = roles.settings("owner", "postgres.keep_days.trades=365")
    with psycopg.connect(roles.dsn("reader")) as reader:
        reader.execute("SELECT count(*) FROM trades")
        with pytest.raises(MonthInUse, match=r"trades_2020_01 is not dropped: .* for 2 s"):
            postgres.prune(settings)
    assert postgres.prune(settings) == ["trades_2020_01"]


def test_table_without_months_cannot_be_pruned(once: Roles) -> None:
    with pytest.raises(
        ConfigurationError, match=r"postgres\.keep_days: no table by months \(got 'gaps'\); there are alerts, candles, "
    ):
        postgres.prune(once.settings("owner", "postgres.keep_days.gaps=1"))
