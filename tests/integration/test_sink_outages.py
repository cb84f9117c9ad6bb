"""The sink when a server it needs is not there at the start, or goes while it works."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from socket import socket

import pytest

from runtime.errors import ServerUnreachable
from runtime.settings import load
from schemas.registry import RegistryError
from sinks import service
from sinks.store import at_once
from sinks.stores.postgres import migrate
from tests.cluster import Cluster, wait_for
from tests.servers import throwaway_stack
from tests.sink_running import Sink, Start, assert_rows_equal_the_model, not_ready, publish, records

Somewhere = Callable[[], AbstractContextManager[str]]


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, nor can begin to."""
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """An address at which someone accepts connections and says nothing."""
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("where", [nobody, silent])
@pytest.mark.parametrize(
    ("key", "form", "error"),
    [("kafka.bootstrap", "{}", ServerUnreachable), ("registry.url", "http://{}", RegistryError)],
)
def test_server_that_is_not_there_at_the_start_is_named_in_time(
    cluster: Cluster, where: Somewhere, key: str, form: str, error: type[Exception]
) -> None:
    with where() as address:
        settings = load(cluster.config(), environ={}, overrides=[f"{key}={form.format(address)}"])
        with in_time(), pytest.raises(error, match=address) as caught:
            service.run(settings, "postgres", threading.Event())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [nobody, silent])
def test_database_that_is_not_there_at_the_start_is_named_in_time(where: Somewhere) -> None:
    with where() as address:
        settings = load(environ={}, overrides=[f"postgres.dsn=postgresql://user:s3cret@{address}/market"])
        with in_time(), pytest.raises(ServerUnreachable, match=f"PostgreSQL at {address}/market") as caught, at_once():
            service.make_store(settings, "postgres").open()
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@contextmanager
def in_time() -> Iterator[None]:
    """Within the ten seconds a start may take, of which the program's own loading needs some."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 8


def test_command_without_its_database_ends_with_one_line_and_its_own_code(cluster: Cluster, start: Start) -> None:
    with nobody() as address:
        sink = start("sink", "postgres", "-c", cluster.config(postgres={"dsn": f"postgresql://user@{address}/market"}))
        assert sink.process.wait(30) == 3
    told = [json.loads(line) for line in sink.text().splitlines()]
    assert [line["event"] for line in told if line["level"] == "error"] == [told[-1]["event"]]
    assert f"PostgreSQL at {address}/market is not reachable" in told[-1]["event"]


def test_seek_names_what_it_cannot_do(cluster: Cluster, database: str, start: Start) -> None:
    config = cluster.config(postgres={"dsn": database})
    migrate(load(config, environ={}))
    for arguments, code, text in (
        (("md.depth", "0", "0"), 2, ", pf.alerts, not md.depth"),
        (("md.trades", "0", "7"), 2, "md.trades[0] has the offsets 0 to 0, not 7"),
        (("md.trades", "99", "0"), 1, "md.trades[99]: "),
        (("md.trades", "0", "0", "--store", "paper"), 2, "no such store (got 'paper'); there are influxdb, postgres, redis"),
    ):
        seek = start("sink", "seek", *arguments, "-c", config)
        assert seek.process.wait(30) == code, seek.text()
        assert text in seek.text()
        assert "Traceback" not in seek.text()


def test_broker_that_is_gone_for_a_while_is_waited_for(tmp_path: Path, start: Start) -> None:
    with throwaway_stack() as stack:
        cluster = Cluster(stack.addresses, tmp_path)
        sink = Sink(cluster, start, stack.addresses.postgres)
        by_topic = records(seed=8, count=800)
        publish(cluster, {topic: each[: len(each) // 2] for topic, each in by_topic.items()})
        worker = sink.start(batch_rows=100)
        wait_for(sink.is_level, "the first half to be stored", every=0.2)
        stack.kill("kafka")
        wait_for(lambda: "kafka" in not_ready(worker), "the sink to say that it is not ready")
        assert stack.addresses.kafka in not_ready(worker)["kafka"]
        stack.start("kafka")
        publish(cluster, {topic: each[len(each) // 2 :] for topic, each in by_topic.items()})
        wait_for(sink.is_level, "the second half to be stored", timeout=60, every=0.2)
        wait_for(lambda: not_ready(worker) == {}, "readiness")
        assert_rows_equal_the_model(sink)
        assert worker.terminate() == 0
        cluster.registry.close()
