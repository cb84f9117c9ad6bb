"""The PostgreSQL sink and its database killed at random moments under load: rows equal the model, offsets never run ahead."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from tapeline.embedded import EmbeddedStack
from tests.cluster import Cluster, Service, wait_for
from tests.servers import Addresses, throwaway_stack
from tests.sink_running import (
    Sink,
    Snapshot,
    Start,
    assert_rows_are_those_of_the_offsets,
    assert_rows_equal_the_model,
    is_reading,
    not_ready,
    publishing,
    records,
)

SINK_KILLS = 20

DATABASE_KILLS = 7
"""Of each seed: with three of them more than twenty."""

PATIENCE = 90.0  # seconds; a machine that does other work besides starts a server slowly

pytestmark = pytest.mark.timeout(900)  # dozens of starts of a sink, which a busy machine makes slow


@pytest.fixture(scope="module")
def servers_to_kill() -> Iterator[EmbeddedStack]:
    with throwaway_stack() as stack:
        yield stack


@pytest.fixture
def sink(servers_to_kill: EmbeddedStack, tmp_path: Path, start: Start) -> Iterator[Sink]:
    """Settings for sinks of a database of its own, to which nobody is connected, on servers that may be killed."""
    addresses = Addresses(servers_to_kill.addresses)
    cluster = Cluster(addresses, tmp_path)
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(addresses.postgres, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield Sink(cluster, start, make_conninfo(addresses.postgres, dbname=name))
    cluster.registry.close()


def has_passed(sink: Sink, offsets: int) -> bool:
    return sum(sink.database.offsets().values()) > offsets


def was_at_work(found: list[Snapshot]) -> bool:
    """Whether kills came while there was something to store, not before or after."""
    return len({snapshot.passed for snapshot in found}) > 2


def wait_level(sink: Sink) -> None:
    wait_for(sink.is_level, "everything to be stored", timeout=PATIENCE, every=0.2)


def reading(sink: Sink) -> Service:
    worker = sink.start(batch_rows=50, catch_up_rows=50, batch_seconds=0.05)
    wait_for(partial(is_reading, worker), "the sink to read", timeout=PATIENCE, every=0.01)
    return worker


@pytest.mark.short
def test_sink_killed_at_random_moments_loses_and_doubles_nothing(sink: Sink, fork: Start, seed: int) -> None:
    sink.start_with(fork)
    chance, found = random.Random(seed), list[Snapshot]()
    with publishing(sink.cluster, records(100 + seed, 6_000)) as is_loading:
        for kills in count(1):
            worker = reading(sink)
            time.sleep(chance.uniform(0.0, 0.4))
            worker.kill()
            if chance.random() < 0.3:
                continue  # killed again before anyone looked
            found.append(sink.database.snapshot())
            if kills >= SINK_KILLS and (was_at_work(found) or kills >= 2 * SINK_KILLS):
                break
        assert is_loading() or was_at_work(found)
    assert was_at_work(found)
    last = reading(sink)
    wait_level(sink)
    assert_rows_are_those_of_the_offsets(sink.cluster, found)
    assert_rows_equal_the_model(sink)
    assert last.terminate() == 0


@pytest.mark.short
def test_database_killed_at_random_moments_loses_and_doubles_nothing(
    sink: Sink, servers_to_kill: EmbeddedStack, seed: int
) -> None:
    chance, found = random.Random(seed), list[Snapshot]()
    worker = reading(sink)
    with publishing(sink.cluster, records(200 + seed, 6_000)):
        for _ in range(DATABASE_KILLS):
            wait_for(partial(has_passed, sink, found[-1].passed if found else 0), "the sink to store", PATIENCE, 0.05)
            time.sleep(chance.uniform(0.0, 0.5))
            servers_to_kill.kill("postgres")
            if chance.random() < 0.5:
                wait_for(lambda: "store" in not_ready(worker), "the sink to say that it is not ready", PATIENCE)
            servers_to_kill.start("postgres")
            found.append(sink.database.snapshot())
    assert was_at_work(found)
    wait_level(sink)
    wait_for(lambda: not_ready(worker) == {}, "readiness", PATIENCE)
    assert_rows_are_those_of_the_offsets(sink.cluster, found)
    assert_rows_equal_the_model(sink)
    assert worker.process.poll() is None  # it waited by itself, whatever happened to the database
    assert worker.terminate() == 0


def test_both_killed_in_any_order_lose_and_double_nothing(sink: Sink, servers_to_kill: EmbeddedStack, seed: int) -> None:
    chance, found = random.Random(seed), list[Snapshot]()
    with publishing(sink.cluster, records(300 + seed, 6_000)):
        for _ in range(DATABASE_KILLS):
            worker = reading(sink)
            time.sleep(chance.uniform(0.0, 0.4))
            kills: list[Callable[[], object]] = [worker.kill, partial(servers_to_kill.kill, "postgres")]
            first, second = chance.sample(kills, 2)
            first()
            time.sleep(chance.uniform(0.0, 0.3))
            second()
            servers_to_kill.start("postgres")
            found.append(sink.database.snapshot())
    last = reading(sink)
    wait_level(sink)
    assert_rows_are_those_of_the_offsets(sink.cluster, found)
    assert_rows_equal_the_model(sink)
    assert last.terminate() == 0
