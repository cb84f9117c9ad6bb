"""The embedded stack: its servers serve real clients, come back with their data, and never outlive their owner."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tapeline.embedded import DataFolder, EmbeddedStack, PortBusy, Progress, ServerFailed, StackBusy, status
from tapeline.embedded._errors import FolderUnusable
from tapeline.embedded._launch import Launcher
from tapeline.embedded._process import Command, find, record, release, start_waiting, stop
from tapeline.embedded._state import ProcessRecord, State, load
from tests.servers import throwaway_stack

SCHEMA = Schema('{"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}', "AVRO")
OWNER = """
import sys, time
from pathlib import Path
from tapeline.embedded import EmbeddedStack
with EmbeddedStack(Path(sys.argv[1]), ["postgres"], durable=False):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    with throwaway_stack() as stack:
        yield stack


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's user can reach; servers left in it are ended."""
    path = Path(tempfile.mkdtemp(prefix="tapeline-test-"))
    yield path
    for process in living(path):
        process.kill()
    shutil.rmtree(path)


def living(folder: Path) -> list[psutil.Process]:
    """The recorded servers that run."""
    return [process for recorded in load(folder / "state.json").processes.values() if (process := find(recorded))]


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.05)


def tapeline(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tapeline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def query(stack: EmbeddedStack, statement: str, timeout: int = 5) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.addresses.postgres, connect_timeout=timeout, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def create_topic(stack: EmbeddedStack, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.addresses.kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)


def send(stack: EmbeddedStack, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": stack.addresses.kafka, "enable.idempotence": True})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def received(stack: EmbeddedStack, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": stack.addresses.kafka, "group.id": "test"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, timeout=20)]
    finally:
        consumer.close()


def test_a_killed_broker_comes_back_at_its_address_with_its_records(stack: EmbeddedStack) -> None:
    create_topic(stack, "kept")
    send(stack, "kept", b"before")
    stack.kill("kafka")
    stack.start("kafka")
    send(stack, "kept", b"after")
    assert received(stack, "kept", 2) == [b"before", b"after"]


def test_the_broker_creates_no_topic_by_itself(stack: EmbeddedStack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.addresses.kafka})
    assert admin.list_topics("unheard-of", timeout=10).topics["unheard-of"].error is not None
    assert "unheard-of" not in admin.list_topics(timeout=10).topics


def test_a_killed_registry_comes_back_with_its_schemas(stack: EmbeddedStack) -> None:
    with SchemaRegistryClient({"url": stack.addresses.registry}) as registry:
        registered = registry.register_schema("kept-value", SCHEMA)
    stack.kill("registry")
    stack.start("registry")
    with SchemaRegistryClient({"url": stack.addresses.registry}) as registry:
        assert registry.get_schema(registered).schema_str is not None
        assert registry.register_schema("kept-value", SCHEMA) == registered


def test_a_killed_database_comes_back_with_its_rows(stack: EmbeddedStack) -> None:
    query(stack, "create table kept as select 42 as n")
    stack.kill("postgres")
    stack.start("postgres")
    assert query(stack, "select n from kept") == [(42,)]


def test_a_frozen_database_answers_nothing_until_it_goes_on(stack: EmbeddedStack) -> None:
    stack.pause("postgres")
    try:
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            query(stack, "select 1", timeout=2)
    finally:
        stack.resume("postgres")
    assert query(stack, "select 1") == [(1,)]


def test_every_server_listens_on_loopback_only(stack: EmbeddedStack) -> None:
    for process in living(stack.folder.path):
        listening = [found for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN]
        assert listening
        assert {str(found.laddr[0]).removeprefix("::ffff:") for found in listening} == {"127.0.0.1"}


def test_only_its_owner_reads_the_database_password(stack: EmbeddedStack) -> None:
    password = stack.folder.home("postgres") / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(stack.addresses.postgres.replace(password.read_text(), "guess"))


def test_status_tells_a_frozen_server_from_a_ready_one(stack: EmbeddedStack) -> None:
    stack.pause("registry")
    try:
        conditions = {server.server: server.condition for server in status(stack.folder)}
    finally:
        stack.resume("registry")
    not_started = dict.fromkeys(("influxdb", "redis"), "stopped")
    assert conditions == not_started | {"kafka": "ready", "postgres": "ready", "registry": "not ready"}


def test_a_second_use_finds_the_data_at_the_same_address(folder: Path) -> None:
    with EmbeddedStack(folder, ["postgres"], durable=False) as first:
        query(first, "create table kept as select 7 as n")
        address = first.addresses.postgres
    assert living(folder) == []
    with EmbeddedStack(folder, ["postgres"], durable=False) as second:
        assert second.addresses.postgres == address
        assert query(second, "select n from kept") == [(7,)]


def test_a_first_start_that_was_interrupted_is_done_again(folder: Path) -> None:
    half_made = folder / "postgres" / "data"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    with EmbeddedStack(folder, ["postgres"], durable=False) as stack:
        assert query(stack, "select 1") == [(1,)]


def start_owner(folder: Path) -> subprocess.Popen[str]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as output:
        assert output.readline() == "ready\n"
    return owner


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_their_owner_however_it_ends(folder: Path, end: signal.Signals) -> None:
    owner = start_owner(folder)
    servers = living(folder)
    guards = psutil.Process(owner.pid).children()
    assert len(servers) == 1
    owner.send_signal(end)
    owner.wait(20)
    wait_for(lambda: load(folder / "state.json").owner is None, "the guard to clean up")
    assert not any(server.is_running() and server.status() != psutil.STATUS_ZOMBIE for server in servers)
    wait_for(lambda: not any(find(ProcessRecord(each.pid, each.create_time())) for each in guards), "the guard to end")


def test_servers_that_lost_owner_and_guard_are_stopped_by_the_next_command(folder: Path) -> None:
    owner = start_owner(folder)
    guard = next(child for child in psutil.Process(owner.pid).children() if "tapeline.embedded._guard" in child.cmdline())
    guard.kill()
    owner.kill()
    owner.wait()
    [left_behind] = living(folder)
    with EmbeddedStack(folder, ["postgres"], durable=False) as stack:
        assert query(stack, "select 1") == [(1,)]
        assert [process.pid for process in living(folder)] != [left_behind.pid]


def test_a_folder_whose_servers_have_a_living_owner_is_left_alone(folder: Path) -> None:
    with EmbeddedStack(folder, ["postgres"], durable=False) as stack:
        for command in ("up", "down"):
            refused = tapeline(command, "--data", str(folder))
            assert refused.returncode == 1
            assert f"belong to process {os.getpid()}" in refused.stderr
        with pytest.raises(StackBusy):
            EmbeddedStack(folder, ["postgres"]).__enter__()
        assert query(stack, "select 1") == [(1,)]


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_leaves_nothing_behind(folder: Path) -> None:
    with EmbeddedStack(folder, ["postgres"], durable=False):
        pass
    (folder / "postgres" / "data" / "postgresql.conf").write_text("no such setting\n")
    with pytest.raises(ServerFailed, match="syntax error in file") as caught, EmbeddedStack(folder, ["postgres"]):
        pass
    assert str(folder / "logs" / "postgres.log") in str(caught.value)
    assert load(folder / "state.json").processes == {}


def test_a_busy_port_asked_for_by_number_is_named(stack: EmbeddedStack, folder: Path) -> None:
    busy = int(stack.addresses.kafka.rpartition(":")[2])
    with pytest.raises(PortBusy, match=f"port {busy}, asked for as postgres") as caught:
        EmbeddedStack(folder, ["postgres"], ports={"postgres": busy}).__enter__()
    assert caught.value.exit_code == 4


def test_up_status_and_down_as_a_user_types_them(folder: Path) -> None:
    place = ("--data", str(folder))
    started = tapeline("up", "postgres", *place)
    assert (started.returncode, started.stderr) == (0, "")
    [server] = living(folder)
    assert "Already running." in tapeline("up", "postgres", *place).stdout
    assert tapeline("status", *place).returncode == 0

    server.kill()
    wait_for(lambda: not living(folder), "the server to end")
    after_crash = tapeline("status", *place)
    assert after_crash.returncode == 1
    assert f"ended unasked; see {folder / 'logs' / 'postgres.log'}" in after_crash.stdout

    assert tapeline("up", "postgres", *place).returncode == 0
    [server] = living(folder)
    shown = json.loads(tapeline("status", "--json", *place).stdout)["servers"]
    [address] = [each["address"] for each in shown if each["condition"] == "ready"]
    with psycopg.connect(address) as connection:
        assert connection.execute("select 1").fetchone() == (1,)

    assert tapeline("down", *place).stdout.endswith("Stopped postgres.\n")
    assert not living(folder)
    again = tapeline("down", *place)
    assert (again.returncode, again.stdout) == (0, f"Nothing runs in {folder}.\n")


def test_the_password_is_not_shown_on_the_terminal(folder: Path) -> None:
    with EmbeddedStack(folder, ["postgres"], durable=False):
        password = (folder / "postgres" / "password").read_text()
        shown = tapeline("status", "--data", str(folder)).stdout
    assert "postgresql://tapeline:" in shown
    assert password not in shown


def test_the_doctor_finds_this_machine_fit_and_names_what_is_not(folder: Path) -> None:
    healthy = tapeline("doctor", "--data", str(folder))
    assert (healthy.returncode, "fail" in healthy.stdout) == (0, False)
    (folder / "file").touch()
    sick = tapeline("doctor", "--data", str(folder / "file" / "data"))
    assert sick.returncode == 1
    assert f"cannot write to {folder / 'file'}: Not a directory" in sick.stdout


def test_two_starts_of_one_folder_at_once_do_not_collide(folder: Path) -> None:
    command = [sys.executable, "-m", "tapeline", "up", "postgres", "--data", str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [each.communicate(timeout=60)[0] for each in both]
    try:
        assert [each.returncode for each in both] == [0, 0]
        assert sorted("Already running." in output for output in outputs) == [False, True]
        assert len(living(folder)) == 1
    finally:
        tapeline("down", "--data", str(folder))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_up_that_is_ended_in_the_middle_leaves_no_server_behind(folder: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-m", "tapeline", "up", "kafka", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
        wait_for(lambda: len(living(folder)) == 1, "the broker's process", timeout=60)
        [server] = living(folder)
        starting.send_signal(end)
        assert starting.wait(20) in (-end, 130)
    wait_for(lambda: load(folder / "state.json").owner is None, "the guard to clean up")
    assert find(ProcessRecord(server.pid, server.create_time())) is None
    assert {each.condition for each in status(DataFolder(folder))} == {"stopped"}


def test_a_state_that_cannot_be_written_keeps_no_server_from_being_stopped(tmp_path: Path) -> None:
    sleeper = Command(["/bin/sh", "-c", "exec sleep 600"], {"PATH": os.defpath})
    children = {server: start_waiting(sleeper, tmp_path, tmp_path / "log") for server in ("kafka", "postgres")}
    for child in children.values():
        release(child)
    state = State(processes={server: record(child.pid) for server, child in children.items()})
    launcher = Launcher(DataFolder(tmp_path / "gone"), state, tmp_path, Progress())
    with pytest.raises(FolderUnusable, match=r"cannot write .*/gone/state"):
        launcher.stop(list(children))
    assert [child.wait(5) != 0 for child in children.values()] == [True, True]


def test_a_child_whose_parent_dies_before_it_was_recorded_never_starts(tmp_path: Path) -> None:
    child = start_waiting(Command(["/usr/bin/touch", tmp_path / "started"], {}), tmp_path, tmp_path / "log")
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(5) != 0
    assert not (tmp_path / "started").exists()


def test_a_server_that_ignores_its_stop_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = Command(["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], {"PATH": os.defpath})
    child = start_waiting(deaf, tmp_path, tmp_path / "log")
    release(child)
    wait_for(lambda: (tmp_path / "log").read_text() == "deaf\n", "the trap")
    stop(psutil.Process(child.pid), signal.SIGTERM, grace=0.3)
    assert child.wait(5) == -signal.SIGKILL


def test_a_frozen_server_can_be_stopped_in_good_order(tmp_path: Path) -> None:
    child = start_waiting(Command(["/bin/sh", "-c", "sleep 600"], {"PATH": os.defpath}), tmp_path, tmp_path / "log")
    release(child)
    child.send_signal(signal.SIGSTOP)
    stop(psutil.Process(child.pid), signal.SIGTERM)
    assert child.wait(5) == -signal.SIGTERM


def test_kafka_is_set_up_whatever_its_cluster_is_called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))  # begins with a dash, as one in 64 does
    with EmbeddedStack(folder, ["kafka"], durable=False) as stack:
        client = AdminClient({"bootstrap.servers": stack.addresses.kafka})
        assert client.describe_cluster().result(timeout=10).cluster_id.startswith("-")
