"""The PostgreSQL store alone, on a real server."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.price_change import PriceChangedEvent
from market.trade import GapMark
from runtime.errors import ConfigurationError
from schemas.records import Record
from sinks.store import (
    Advance,
    Batch,
    Entry,
    KafkaRecord,
    OffsetConflict,
    RecordRefused,
    StoredOffset,
    StoreUnavailable,
    StoreUnfit,
)
from sinks.stores import _postgres_migrations as migrations
from sinks.stores._postgres_session import Target
from sinks.stores.postgres import PostgresStore
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.cluster import wait_for
from tests.cutting_proxy import CuttingProxy
from tests.servers import throwaway_stack

P0 = ("md.trades", 0)
CANDLE = CandleEvent(
    *(INSTRUMENT, "1m", START, START + MINUTE, CandleEventKind.UPDATE, 0, ONE, 2 * ONE, ONE, ONE, ONE, ONE * ONE, ONE, None, 1),
    *("1", "1", False, False, False, START, START, "md.trades", 0, 10),
)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 0, 70)

DISK_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON trades FOR EACH STATEMENT EXECUTE FUNCTION full_disk();
"""
"""What a full disk answers, without one."""


@pytest.fixture
def store(database: str) -> Iterator[PostgresStore]:
    opened = make_store(database)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def query(database: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET TimeZone TO 'UTC'")
        yield lambda text, *values: connection.execute(text, values).fetchall()


Query = Callable[..., list[tuple[Any, ...]]]


def make_store(dsn: str, writer: str = "me", **options: Any) -> PostgresStore:
    return PostgresStore(Target(dsn, **options), sink="postgres", writer=writer, apply_migrations=True)


def batch(store: PostgresStore, records: Iterable[Record], begin: int | None = None, topic: str = "md.trades") -> Batch:
    """A batch of records that stand in their topic from `begin` on."""
    first = begin or 0
    entries = []
    for offset, record in enumerate(records, start=first):
        source = KafkaRecord(topic, 0, offset, b"key", b"value", START // 1000)
        entries.append(Entry(source, store.row(record, source)))
    after = first + max(1, len(entries))
    return Batch(entries, {(topic, 0): Advance(begin, after, "id")}, {topic: len(entries)})


def test_figures_are_kept_to_the_last_digit(store: PostgresStore, query: Query) -> None:
    trade = make_trade()._replace(price=10**38 - 1, size=1, exchange_time=START + 1, published_at=START + 3, side=None)
    candle = CANDLE._replace(amount=10**50 - 1, volume=10**38 - 1, high=10**38 - 1, taker_buy_volume=1)
    store.write(batch(store, [trade, candle, CHANGE]))
    assert query("SELECT price, size, exchange_time, published_at, side FROM trades") == [
        (
            Decimal("99999999999999999999999999.999999999999"),
            Decimal("0.000000000001"),
            micros(START + 1),
            micros(START + 3),
            None,
        )
    ]
    assert query("SELECT amount, volume, taker_buy_volume FROM candles") == [
        (
            Decimal("99999999999999999999999999.999999999999999999999999"),
            Decimal("99999999999999999999999999.999999999999"),
            Decimal("0.000000000001"),
        )
    ]
    assert query("SELECT old_price, change_percent, event_time, changes FROM price_changes") == [
        (Decimal("0.000000000100"), Decimal(10), micros(START), 3)
    ]


def test_repeated_trade_changes_no_row(store: PostgresStore, query: Query) -> None:
    first, again = make_trade(1), make_trade(1, received_at=START + 5)
    assert store.write(batch(store, [first, again])) == {"trades": 1}
    before = query("SELECT xmin::text, t.* FROM trades t")
    assert store.write(batch(store, [again, make_trade(2)], begin=2)) == {"trades": 1}
    assert query("SELECT xmin::text, t.* FROM trades t WHERE trade_id = '1'") == before


def test_highest_version_of_a_candle_wins_in_any_order(store: PostgresStore, query: Query) -> None:
    versions = [(1, 30), (0, 40), (2, 20), (1, 35)]
    offset: int | None = None
    for revision, source_offset in versions:
        event = CANDLE._replace(revision=revision, source_offset=source_offset, trade_count=100 * revision + source_offset)
        store.write(batch(store, [event], begin=offset, topic="md.candles"))
        offset = (offset or 0) + 1
    assert query("SELECT revision, source_offset, trade_count FROM candles") == [(2, 20, 220)]
    assert store.write(batch(store, [event], begin=offset, topic="md.candles")) == {"candles": 0}


def test_gap_mark_is_replaced_by_its_healing_alone(store: PostgresStore, query: Query) -> None:
    unknown, gap = GapMark(INSTRUMENT, None, START), GapMark(INSTRUMENT, START, START + 5)
    assert store.write(batch(store, [unknown, gap])) == {"gaps": 2}
    assert store.write(batch(store, [unknown, gap._replace(healed=True)], begin=2)) == {"gaps": 1}
    assert store.write(batch(store, [unknown, gap, gap._replace(healed=True)], begin=4)) == {"gaps": 0}
    assert query("SELECT begin_time, end_time, healed, source_offset FROM gaps ORDER BY source_offset") == [
        (None, micros(START), False, 0),
        (micros(START), micros(START + 5), True, 3),
    ]


def test_rows_go_to_the_partition_of_their_month_and_the_next_is_ready(store: PostgresStore, query: Query) -> None:
    december = 1_704_067_199_999_999  # 2023-12-31 23:59:59.999999
    store.write(batch(store, [make_trade(1, at=december), make_trade(2, at=december + 1)]))
    assert query("SELECT tableoid::regclass::text, trade_id FROM trades ORDER BY trade_id") == [
        ("trades_2023_12", "1"),
        ("trades_2024_01", "2"),
    ]
    assert query("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'trades'::regclass ORDER BY 1") == [
        ("trades_2023_12",),
        ("trades_2024_01",),
        ("trades_2024_02",),
    ]


def test_partition_that_someone_removed_is_made_again(store: PostgresStore, query: Query, database: str) -> None:
    store.write(batch(store, [make_trade(1)]))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE trades_2024_08")
    again = batch(store, [make_trade(2)], begin=1)
    with pytest.raises(StoreUnavailable, match="a partition was removed") as caught:
        store.write(again)
    assert caught.value.retry_after == 0.0
    store.write(again)
    assert query("SELECT trade_id FROM trades") == [("2",)]


def test_long_reader_does_not_hold_up_a_new_month(store: PostgresStore, database: str) -> None:
    store.write(batch(store, [make_trade(1)]))
    with psycopg.connect(database) as reader:
        assert reader.execute("SELECT count(*) FROM trades").fetchone() == (1,)  # holds its lock until the block ends
        assert store.write(batch(store, [make_trade(2, at=START + 90 * 24 * 60 * MINUTE)], begin=1)) == {"trades": 1}


def test_offsets_come_back_as_they_were_stored(store: PostgresStore) -> None:
    assert store.offsets([P0, ("md.trades", 1)]) == {}
    store.write(batch(store, [make_trade(1)]))
    assert store.offsets([P0, ("md.trades", 1)]) == {P0: StoredOffset(1, "id")}


def test_offsets_move_without_rows(store: PostgresStore) -> None:
    store.write(Batch([], {P0: Advance(None, 5, "id"), ("md.trades", 1): Advance(None, 1, "id")}, {}))
    store.write(Batch([], {P0: Advance(5, 9, "id")}, {}))
    assert store.offsets([P0]) == {P0: StoredOffset(9, "id")}


def test_second_sink_is_refused_and_leaves_no_row(store: PostgresStore, database: str, query: Query) -> None:
    other = make_store(database, writer="other")
    both = Advance(None, 2, "id")
    store.write(Batch([], {P0: both, ("md.trades", 1): both}, {}))
    other.write(Batch([], {("md.trades", 1): Advance(2, 3, "id")}, {}))
    late = batch(store, [make_trade(1)], begin=2)
    late = Batch(late.entries, {**late.advances, ("md.trades", 1): Advance(2, 4, "id")}, {})
    with pytest.raises(OffsetConflict) as caught:
        store.write(late)
    other.close()
    text = str(caught.value)
    for part in ("'postgres'", "md.trades[1] is 3", "written by other at 2", "was 2", "stop one of them"):
        assert part in text
    assert query("SELECT count(*) FROM trades") == [(0,)]
    assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}


def test_two_sinks_beginning_at_once_cannot_both(store: PostgresStore, database: str, query: Query) -> None:
    other = make_store(database, writer="other")
    other.open()
    other.write(batch(other, [make_trade(1)]))
    other.close()
    with pytest.raises(OffsetConflict, match="but it was None"):
        store.write(batch(store, [make_trade(2)]))
    assert query("SELECT trade_id FROM trades") == [("1",)]


def test_offset_of_another_topic_of_that_name_is_not_moved(store: PostgresStore) -> None:
    store.write(Batch([], {P0: Advance(None, 5, "id")}, {}))
    with pytest.raises(OffsetConflict):
        store.write(Batch([], {P0: Advance(5, 6, "another id")}, {}))


def test_batch_whose_commit_got_no_answer_may_be_written_again(store: PostgresStore, query: Query) -> None:
    written = batch(store, [make_trade(1), make_trade(2)])
    assert store.write(written) == {"trades": 2}
    assert store.write(written) == {}  # it is there, and it is ours
    assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}
    assert query("SELECT count(*) FROM trades") == [(2,)]


def test_offset_can_be_put_elsewhere(store: PostgresStore) -> None:
    store.write(Batch([], {P0: Advance(None, 5, "id")}, {}))
    store.set_offset(P0, StoredOffset(3, "new id"))
    assert store.offsets([P0]) == {P0: StoredOffset(3, "new id")}


@pytest.mark.parametrize(
    ("record", "state", "place"),
    [
        (make_trade(7)._replace(trade_id="a\x00b"), "22021", 0),
        (make_trade(7)._replace(price=10**38), "22003", 1),
        (make_trade(7)._replace(trade_count=2**40), "22003", 4),
        (make_trade(7)._replace(price=-1), "23514", 5),
        (CANDLE._replace(low=2 * ONE), "23514", 9),
        (CHANGE._replace(change=11), "23514", 10),
    ],
)
def test_row_that_the_database_refuses_is_found(
    store: PostgresStore, query: Query, record: Record, state: str, place: int
) -> None:
    records: list[Record] = [make_trade(100 + number) for number in range(10)]
    whole = batch(store, [*records[:place], record, *records[place:]])
    with pytest.raises(RecordRefused) as caught:
        store.write(whole)
    assert caught.value.entry is whole.entries[place]
    assert state in caught.value.error
    assert query("SELECT count(*) FROM trades") == [(0,)]
    assert store.offsets([P0]) == {}
    rest = Batch([entry for entry in whole.entries if entry is not caught.value.entry], whole.advances, {})
    assert store.write(rest) == {"trades": 10}


def test_program_that_does_not_fit_the_database_stops(store: PostgresStore, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE candles")
    with pytest.raises(StoreUnfit, match=r'42P01: relation "candles" does not exist'):
        store.write(batch(store, [CANDLE]))


def test_database_that_only_reads_is_no_store(store: PostgresStore, database: str) -> None:
    store.write(batch(store, [make_trade(1)]))
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only TO on')
    store.close()
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.offsets([P0])


def test_database_that_takes_no_more_connections_is_waited_for(store: PostgresStore, database: str) -> None:
    name = "limited" + secrets.token_hex(4)
    theirs = make_conninfo(database, user=name, password=name)
    with psycopg.connect(database, autocommit=True) as connection:
        owner = connection.info.user
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' CONNECTION LIMIT 1 IN ROLE {owner}")
        limited = make_store(theirs)
        try:
            with psycopg.connect(theirs), pytest.raises(StoreUnavailable, match="too many connections for role"):
                limited.open()
            wait_for(lambda: is_alone(connection, name), "the other to be gone")
            limited.open()
            assert limited.write(batch(store, [make_trade(1)])) == {"trades": 1}
        finally:
            limited.close()
            wait_for(lambda: is_alone(connection, name), "the store to be gone")
            connection.execute(f"DROP ROLE {name}")


def is_alone(connection: psycopg.Connection[Any], role: str) -> bool:
    return connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (role,)).fetchone() == (0,)


def test_disk_that_is_full_is_waited_for_and_refuses_no_row(store: PostgresStore, database: str, query: Query) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(DISK_FULL)
        with pytest.raises(StoreUnavailable, match="could not extend file"):
            store.write(batch(store, [make_trade(1)]))
        assert query("SELECT count(*) FROM trades") == [(0,)]
        connection.execute("DROP TRIGGER full_disk ON trades")
    assert store.offsets([P0]) == {}
    assert store.write(batch(store, [make_trade(1)])) == {"trades": 1}


def test_batch_that_loses_a_deadlock_is_tried_again_whole(store: PostgresStore, database: str, query: Query) -> None:
    store.write(batch(store, [make_trade(1)]))
    theirs = batch(store, [make_trade(2)], begin=1)
    failures: list[Exception] = []

    def write() -> None:
        try:
            store.write(theirs)
        except StoreUnavailable as error:
            failures.append(error)

    with psycopg.connect(database) as other:
        other.execute("SET deadlock_timeout TO '60s'")  # it is the sink that notices, and gives way
        other.execute("UPDATE trades SET trade_id = '2'")
        writer = threading.Thread(target=write)
        writer.start()
        wait_for(lambda: query("SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], "the sink to wait")
        other.execute("UPDATE sink_offsets SET updated_at = now()")
        writer.join(10)
        other.rollback()
    [failure] = failures
    assert re.search("deadlock detected|lock timeout", str(failure))  # the latter where the machine was slow to lock
    assert store.offsets([P0]) == {P0: StoredOffset(1, "id")}
    assert store.write(theirs) == {"trades": 1}
    assert query("SELECT trade_id FROM trades ORDER BY 1") == [("1",), ("2",)]


def test_missing_migrations_are_named(database: str) -> None:
    store = PostgresStore(Target(database), sink="postgres", writer="me")
    with pytest.raises(
        migrations.MigrationError, match=r"lacks the migrations 0001_history, 0002_.*: run `tapeline sink migrate`"
    ):
        store.open()
    assert [str(migration) for migration in store.migrate()] == [str(migration) for migration in migrations.shipped()]
    assert store.migrate() == []
    store.open()
    store.close()


def test_migration_that_was_edited_is_refused(store: PostgresStore, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE schema_migrations SET checksum = 'other'")
    store.close()
    with pytest.raises(migrations.MigrationError, match="0001_history was changed after"):
        store.open()


def test_migration_that_fails_leaves_nothing(database: str) -> None:
    broken = migrations.Migration(1, "broken", "CREATE TABLE half (); SELECT 1 / 0;")
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrations.apply(connection, [broken])
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() == (0,)


def test_migrating_twice_at_once_applies_once(database: str) -> None:
    applied: list[Sequence[migrations.Migration]] = []

    def migrate() -> None:
        applied.append(make_store(database).migrate())

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each) for each in applied) == [0, 0, 0, len(migrations.shipped())]


def test_unreachable_database_is_named_without_its_password() -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        store = make_store(f"postgresql://user:s3cret@127.0.0.1:{port}/market")
        with pytest.raises(StoreUnavailable, match="refused") as caught:
            store.open()
    assert f"PostgreSQL at 127.0.0.1:{port}/market" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_connection_string_that_is_none_is_named_by_its_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"postgres\.dsn: is no connection string") as caught:
        make_store("just s3cret words").open()
    assert "s3cret" not in str(caught.value)


def test_frozen_and_killed_server_costs_time_and_nothing_else() -> None:
    with throwaway_stack(["postgres"]) as stack:
        store = make_store(stack.addresses.postgres, connect_timeout=2.0, work_timeout=0.5)
        store.open()
        store.write(batch(store, [make_trade(1)]))
        stack.pause("postgres")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 s"):
            store.write(batch(store, [make_trade(2)], begin=1))
        assert time.monotonic() - began < 1.5
        stack.resume("postgres")
        assert store.write(batch(store, [make_trade(2)], begin=1)) == {"trades": 1}
        stack.kill("postgres")
        with pytest.raises(StoreUnavailable):
            store.write(batch(store, [make_trade(3)], begin=2))
        with pytest.raises(StoreUnavailable, match="refused"):
            store.offsets([P0])
        stack.start("postgres")
        assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}
        assert store.write(batch(store, [make_trade(3)], begin=2)) == {"trades": 1}
        store.close()


@pytest.mark.parametrize("commit_arrives", [True, False])
def test_line_cut_at_the_commit_loses_and_doubles_nothing(database: str, query: Query, commit_arrives: bool) -> None:
    words = conninfo_to_dict(database)
    proxy = CuttingProxy((str(words["host"]), int(str(words["port"]))), commit_arrives=commit_arrives)
    store = make_store(make_conninfo(database, port=proxy.port))
    store.open()
    store.write(batch(store, [make_trade(1)]))
    written = batch(store, [make_trade(2), make_trade(3)], begin=1)
    proxy.is_armed = True
    with pytest.raises(StoreUnavailable):
        store.write(written)
    wait_for(lambda: query("SELECT count(*) FROM pg_locks WHERE relation = 'trades'::regclass") == [(0,)], "the cut backend")
    assert query("SELECT count(*) FROM trades") == [(3 if commit_arrives else 1,)]
    assert store.write(written) == ({} if commit_arrives else {"trades": 2})
    assert query("SELECT count(*) FROM trades") == [(3,)]
    assert store.offsets([P0]) == {P0: StoredOffset(3, "id")}
    store.close()
    proxy.close()


def micros(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
