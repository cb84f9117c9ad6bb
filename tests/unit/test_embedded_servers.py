"""The servers of the open folder: their order, and the programs they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeline.embedded import Addresses, EmbeddedError, _server, kafka, postgres, registry
from tapeline.embedded._process import Command
from tapeline.embedded._server import Server, Site

SERVERS: dict[str, Server] = {"kafka": kafka, "registry": registry, "postgres": postgres}
PORTS = {"kafka": 21001, "kafka-controller": 21002, "registry": 21003, "postgres": 21004}


def refuse_to_run(command: Command, given: str) -> None:
    raise AssertionError(command)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, PORTS, tmp_path / "cache", durable=True, run=refuse_to_run)


def test_a_server_is_a_file_of_the_folder() -> None:
    assert set(SERVERS) <= set(_server.names())
    assert not any(name.startswith("_") for name in _server.names())


@pytest.mark.parametrize("name", _server.names())
def test_clients_of_a_server_use_the_port_that_has_its_name(name: str) -> None:
    assert name in _server.load(name).PORTS


def test_what_a_server_needs_comes_before_it() -> None:
    assert _server.with_needs(["registry", "postgres"]) == ["kafka", "registry", "postgres"]
    assert _server.with_needs(["kafka", "registry", "kafka"]) == ["kafka", "registry"]


def test_an_unknown_server_is_answered_with_those_there_are() -> None:
    with pytest.raises(EmbeddedError, match="no server called 'mysql'; there are influxdb, kafka, postgres, redis, registry"):
        _server.load("mysql")


def test_an_address_that_is_not_there_is_answered_with_those_that_are() -> None:
    addresses = Addresses(kafka="127.0.0.1:21001")
    assert addresses.kafka == "127.0.0.1:21001"
    with pytest.raises(AttributeError, match="no server 'registry' in this stack; it has kafka"):
        _ = addresses.registry


def test_kafka_listens_on_loopback_only_and_creates_no_topics_by_itself(site: Site) -> None:
    kafka.command(site)
    settings = dict(line.split("=", 1) for line in (site.home / "server.properties").read_text().splitlines())
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:21001,CONTROLLER://127.0.0.1:21002"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["log.dirs"] == "data"


def test_settings_of_ones_own_win_over_those_of_the_stack(site: Site) -> None:
    (site.home.parent / kafka.ADDED_SETTINGS).write_text("min.insync.replicas=2\nsocket.address={host}:{port}\n")
    kafka.command(site)
    settings = dict(line.split("=", 1) for line in (site.home / "server.properties").read_text().splitlines())
    assert (settings["min.insync.replicas"], settings["socket.address"]) == ("2", "127.0.0.1:21001")
    (site.home.parent / kafka.ADDED_SETTINGS).unlink()


def test_the_registry_keeps_its_schemas_in_kafka(site: Site) -> None:
    program = site.cache / "apicurio-registry-3.0.9"
    program.mkdir(parents=True)
    (program / "app-runner.jar").touch()
    env = registry.command(site).env
    assert env["APICURIO_STORAGE_KIND"] == "kafkasql"
    assert env["APICURIO_KAFKASQL_BOOTSTRAP_SERVERS"] == "127.0.0.1:21001"
    assert env["QUARKUS_HTTP_HOST"] == "127.0.0.1"
    assert registry.address(site) == "http://127.0.0.1:21003/apis/ccompat/v7"


def test_nothing_of_the_users_java_settings_reaches_a_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "CLASSPATH", "KAFKA_OPTS", "QUARKUS_HTTP_PORT"):
        monkeypatch.setenv(name, "surprise")
    assert "surprise" not in kafka.command(site).env.values()


@pytest.fixture
def ended() -> int:
    """The id of a process that ended and that nobody has reaped: it still counts as there."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ended_pid = child.pid
    child.returncode = 0
    return ended_pid


def test_postgres_starts_although_a_killed_server_left_its_process_id(site: Site, ended: int) -> None:
    for pid in (ended, os.getpid()):  # nobody noticed its end; another process has its id now
        file = site.home / "data" / "postmaster.pid"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{pid}\n/data\n1700000000\n21004\n\n127.0.0.1\n  1234  5678\nready\n")
        postgres.command(site)
        first, *rest = file.read_text().splitlines()
        assert int(first) > 2**22
        assert rest[-2:] == ["  1234  5678", "ready"]


def test_postgres_answers_on_loopback_only_and_syncs_unless_its_data_are_throw_away(site: Site) -> None:
    def settings(durable: bool) -> list[str]:
        argv = postgres.command(Site(site.home, PORTS, site.cache, durable, refuse_to_run)).argv
        return [str(word) for word in argv if "=" in str(word)]

    assert {"listen_addresses=127.0.0.1", "port=21004", "unix_socket_directories=", "fsync=on"} <= set(settings(True))
    assert "fsync=off" in settings(False)


def test_the_address_of_postgres_holds_its_password(site: Site) -> None:
    (site.home / "password").write_text("s3cret")
    assert postgres.address(site) == "postgresql://tapeline:s3cret@127.0.0.1:21004/tapeline"
