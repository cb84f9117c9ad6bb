"""PostgreSQL: history of what venues tell, what is computed of it, how it came and was judged; and portfolios.

A batch is one transaction: the offsets first, then for each table COPY into a staging table and one merge by natural key.
Not stored are the topics that hold a latest state (prices) or more than rows are good for (depth, books).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from market.trade import Trade
from runtime.settings import Settings
from schemas.codec import Codec
from schemas.records import Record
from schemas.topics import (
    ALERTS,
    CANDLES,
    DAY_ENDS,
    FUNDING,
    KLINES,
    OPEN_INTEREST,
    POSITIONS,
    PRICE_CHANGES,
    QUALITY,
    QUOTES,
    STATUS,
    TRADES,
    VALUATION_LINES,
    VALUATIONS,
    Topic,
)
from sinks.store import Batch, Entry, KafkaRecord, Partition, RecordRefused, Shortcut, StoredOffset, StoreUnfit, at_once
from sinks.stores._postgres_copy import Row
from sinks.stores._postgres_migrations import Migration, apply, check, shipped
from sinks.stores._postgres_months import Months
from sinks.stores._postgres_offsets import Offsets
from sinks.stores._postgres_retention import drop_expired
from sinks.stores._postgres_rows import RowMaker, without_repetitions
from sinks.stores._postgres_session import RowRefused, Session, Target
from sinks.stores._postgres_shortcut import trade_reader
from sinks.stores._postgres_tables import TABLES, copy_into_stage, create_stage, merge

_COPY = {name: copy_into_stage(table).as_bytes() for name, table in TABLES.items()}
_MERGE = {name: merge(table).as_bytes() for name, table in TABLES.items()}
_MIGRATION_TIMEOUT = 3600.0  # building an index over years of trades takes its time


def create(settings: Settings, *, sink: str, writer: str) -> PostgresStore:
    """The store of these settings."""
    postgres = settings.postgres
    target = Target(postgres.dsn.get_secret_value(), connect_timeout=postgres.connect_timeout_seconds)
    return PostgresStore(
        target,
        sink=sink,
        writer=writer,
        apply_migrations=settings.sinks.apply_migrations,
        quote_period=postgres.quote_period,
        valuation_period=postgres.valuation_period,
    )


def migrate(settings: Settings) -> list[Migration]:
    """Bring the database of these settings up to date; the migrations applied. Raises ServerUnreachable, MigrationError."""
    with at_once():
        return create(settings, sink="", writer="").migrate()


def prune(settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Drop the partitions that `postgres.keep_days` no longer wants, or only name them with `dry_run`.

    Raises ServerUnreachable, ConfigurationError for a table that has none, MigrationError, MonthInUse.
    """
    postgres = settings.postgres
    with at_once():
        session = Session(Target(postgres.dsn.get_secret_value(), connect_timeout=postgres.connect_timeout_seconds))
        try:
            with session.work() as connection:
                check(connection, shipped())
                return drop_expired(connection, postgres.keep_days, datetime.now(UTC).date(), dry_run=dry_run)
        finally:
            session.close()


class PostgresStore:
    """One database. `sink` names whose offsets these are, `writer` the process that moves them.

    `apply_migrations`: bring the database up to date at `open`, instead of refusing one that is not.
    `quote_period`: of how many microseconds one quote of each channel is kept, and as much of its funding and open interest;
    `valuation_period` the same of valuations.
    """

    name = "postgres"
    topics: tuple[Topic, ...] = (
        *(TRADES, QUOTES, KLINES, FUNDING, OPEN_INTEREST, CANDLES, PRICE_CHANGES, STATUS, QUALITY),
        *(POSITIONS, VALUATIONS, VALUATION_LINES, DAY_ENDS, ALERTS),
    )

    def __init__(
        self,
        target: Target,
        *,
        sink: str,
        writer: str,
        apply_migrations: bool = False,
        quote_period: int = 1_000_000,
        valuation_period: int = 10_000_000,
    ) -> None:
        self._target = target
        self._apply_migrations = apply_migrations
        self._offsets = Offsets(sink, writer)
        self._months = Months()
        self._staged: set[str] = set()
        self._row = RowMaker(quote_period, valuation_period)
        self._session: Session | None = None

    def open(self) -> None:
        """Connect and check the migrations, or apply them. Raises StoreUnavailable, MigrationError."""
        if self._apply_migrations:
            self.migrate()
        with self._work():
            pass

    def migrate(self) -> list[Migration]:
        """Bring the database up to date; the migrations applied. Raises StoreUnavailable, MigrationError."""
        session = Session(replace(self._target, work_timeout=_MIGRATION_TIMEOUT))
        try:
            with session.work() as connection:
                return apply(connection, shipped())
        finally:
            session.close()

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, StoredOffset]:
        """Stored offsets; a partition of which nothing was stored yet is left out. Raises StoreUnavailable."""
        with self._work() as connection:
            return self._offsets.read(connection, partitions)

    def set_offset(self, partition: Partition, offset: StoredOffset) -> None:
        """Put a stored offset where a person says it should be; a worker that is running will notice and leave."""
        with self._work() as connection:
            self._offsets.set(connection, partition, offset)

    def row(self, record: Record, source: KafkaRecord) -> Row | None:
        """What to store of a record, None for nothing."""
        return self._row(record, source)

    def shortcut(self, codec: Codec, *, max_skew: int) -> Shortcut | None:
        """What reads trades, which are most of what there is, straight from their bytes; None where it was not built."""
        return trade_reader(codec.header(TRADES.name, Trade), max_skew)

    def write(self, batch: Batch) -> Mapping[str, int]:
        """Store rows and offsets in one transaction; rows changed by table.

        Trying a batch again whose outcome was unknown is safe. Raises StoreUnavailable, RecordRefused, OffsetConflict.
        """
        rows = _rows(batch.entries)
        try:
            with self._work() as connection:
                self._months.ensure(connection, {(row.table, row.month) for row in rows if row.month is not None})
                self._ensure_stages(connection, {row.table for row in rows})
                with connection.transaction():
                    return _bring_in(connection, rows) if self._offsets.advance(connection, batch.advances) else {}
        except RowRefused as refused:
            raise self._culprit(batch.entries, refused) from refused

    def close(self) -> None:
        """Disconnect; what was not written is dropped."""
        self._months.forget()
        self._staged.clear()
        if self._session is not None:
            self._session.close()
            self._session = None

    @contextmanager
    def _work(self) -> Iterator[Connection[Any]]:
        """Work on the session, which is given up after any failure but the refusal of a row."""
        try:
            if self._session is None:
                self._session = self._new_session()
            with self._session.work() as connection:
                yield connection
        except RowRefused:
            raise
        except BaseException:
            self.close()
            raise

    def _new_session(self) -> Session:
        session = Session(self._target)
        try:
            with session.work() as connection:
                check(connection, shipped())
        except BaseException:
            session.close()
            raise
        return session

    def _ensure_stages(self, connection: Connection[Any], tables: set[str]) -> None:
        """Make the staging tables of this session that are missing; a commit takes time for each there is, used or not."""
        for name in sorted(tables - self._staged):
            connection.execute(create_stage(TABLES[name]))
            self._staged.add(name)

    def _culprit(self, entries: Sequence[Entry], refused: RowRefused) -> Exception:
        """Halve a refused batch, with trials that are rolled back, until one entry is left."""
        suspects = list(entries)
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            suspects = half if self._trial(half) else suspects[len(half) :]
        verdict = self._trial(suspects)
        if verdict is None:
            return StoreUnfit(f"{self._target.address} refuses a batch, but no record of it alone: {refused}")
        return RecordRefused(suspects[0], str(verdict), field=verdict.field)

    def _trial(self, entries: Sequence[Entry]) -> RowRefused | None:
        try:
            with self._work() as connection, connection.transaction(force_rollback=True):
                _bring_in(connection, _rows(entries))
        except RowRefused as refused:
            return refused
        return None


def _rows(entries: Iterable[Entry]) -> list[Row]:
    return without_repetitions([entry.row for entry in entries])


def _bring_in(connection: Connection[Any], rows: Iterable[Row]) -> dict[str, int]:
    """Stage and merge; rows changed by table."""
    lines: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        lines[row.table].append(row.line)
    changed = {}
    with connection.cursor() as cursor:
        for table in sorted(lines):
            with cursor.copy(_COPY[table]) as copy:
                copy.write("".join(lines[table]).encode())
            changed[table] = cursor.execute(_MERGE[table]).rowcount
    return changed
