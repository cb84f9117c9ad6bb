"""InfluxDB of the embedded stack: where its program comes from, how it is built, and what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapeline.embedded import EmbeddedError, Progress, _influxd_build, _server, influxdb
from tapeline.embedded._errors import PackagesMissing
from tapeline.embedded._process import Command
from tapeline.embedded._server import Site
from tapeline.options import parts_of


class Notes(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, beside the system's own shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("TAPELINE_INFLUXD", raising=False)
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def cache(tools: Path, tmp_path: Path) -> Path:
    return tmp_path / "cache"


def put(folder: Path, name: str, script: str = "exit 0") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def put_compilers(tools: Path, go: str) -> None:
    for name in ("cargo", "cc"):
        put(tools, name)
    put(tools, "go", go)


BUILDS = """
echo "$@" >> "$TAPELINE_CACHE/asked"
echo "$PKG_CONFIG" >> "$TAPELINE_CACHE/asked"
while [ "$1" != -o ]; do shift; done
: > "$2"
"""


def test_what_is_missing_for_a_build_is_named(cache: Path, tools: Path, notes: Notes) -> None:
    put(tools, "go")
    with pytest.raises(PackagesMissing, match="cannot be built here: cargo, a C compiler is not installed"):
        influxdb.build(cache, notes)
    with pytest.raises(PackagesMissing, match=r"cannot be built without cargo, a C compiler.*TAPELINE_INFLUXD"):
        influxdb.check(cache)
    assert "without cargo" in influxdb.lacks(cache)


def test_program_is_built_once_by_way_of_a_pkg_config_of_fluxs(cache: Path, tools: Path, notes: Notes) -> None:
    put_compilers(tools, BUILDS)
    assert "make influxd" in influxdb.lacks(cache)
    assert influxdb.check(cache) == "InfluxDB 2.7.12 is to be built"
    influxdb.build(cache, notes)
    asked = (cache / "asked").read_text().splitlines()
    finder = cache / "influxd-build" / "pkg-config"
    assert asked[0] == f"build -o {finder} github.com/influxdata/pkg-config"
    assert asked[2].endswith(" github.com/influxdata/influxdb/v2/cmd/influxd")
    assert asked[3] == str(finder)
    assert (cache / "influxd-2.7.12").exists()
    assert influxdb.lacks(cache) == ""
    influxdb.build(cache, notes)
    assert len((cache / "asked").read_text().splitlines()) == 4
    assert len(notes.notes) == 1


def test_build_that_fails_says_how(cache: Path, tools: Path, notes: Notes) -> None:
    put_compilers(tools, "echo no space left; exit 3")
    with pytest.raises(EmbeddedError, match=r"(?s)go ended with code 3; .*build\.log ends:\nno space left"):
        influxdb.build(cache, notes)
    assert not (cache / "influxd-2.7.12").exists()


def test_build_tells_how_far_it_is(cache: Path, tools: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_influxd_build, "_TELL_EVERY", 0.01)
    put_compilers(tools, f"echo compiling; exec {os.path.realpath('/bin/sleep')} 0.1\n")
    with pytest.raises(FileNotFoundError):
        influxdb.build(cache, notes)
    assert any(note.endswith("s  compiling") for note in notes.notes)


def test_program_that_is_named_or_on_the_path_comes_before_the_built_one(
    cache: Path, tools: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = put(cache, "influxd-2.7.12")
    assert influxdb.command(site).argv[0] == built
    installed = put(tools, "influxd")
    assert influxdb.command(site).argv[0] == installed
    monkeypatch.setenv("TAPELINE_INFLUXD", "/elsewhere/influxd")
    assert influxdb.command(site).argv[0] == Path("/elsewhere/influxd")


def test_program_that_is_another_one_is_refused(cache: Path, tools: Path) -> None:
    put(tools, "influxd", "echo 'InfluxDB v1.8.10 (git: none)'")
    with pytest.raises(PackagesMissing, match=r"is not InfluxDB 2: it calls itself 'InfluxDB v1\.8\.10"):
        influxdb.check(cache)
    put(tools, "influxd", "echo 'InfluxDB v2.7.12 (git: none)'; echo more")
    assert influxdb.check(cache) == "InfluxDB v2.7.12 (git: none)"


def test_stack_of_all_servers_leaves_it_out_where_it_is_not_there_and_says_so(cache: Path, tools: Path, notes: Notes) -> None:
    assert _server.startable(cache, notes) == ["kafka", "postgres", "registry"]
    assert notes.notes[0].startswith("influxdb is left out: InfluxDB is not installed, and cannot be built without go, cargo")
    put(tools, "influxd")
    assert "influxdb" in _server.startable(cache, notes)


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    home = tmp_path / "influxdb"
    home.mkdir()

    def refuse_to_run(command: Command, given: str) -> None:
        raise AssertionError(command)

    return Site(home, {"influxdb": 21005}, cache, durable=True, run=refuse_to_run)


def test_server_listens_on_loopback_only_and_knows_nothing_of_the_users_settings(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXD_HTTP_BIND_ADDRESS", "0.0.0.0:1")
    command = influxdb.command(site)
    assert "--http-bind-address=127.0.0.1:21005" in command.argv
    assert "--storage-wal-fsync-delay=0s" in command.argv
    assert "INFLUXD_HTTP_BIND_ADDRESS" not in command.env


def test_password_and_token_are_random_and_for_the_owner_alone(site: Site) -> None:
    influxdb.prepare(site)
    secrets = [(site.home / name).read_text() for name in ("password", "token")]
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 32
    assert {(site.home / name).stat().st_mode & 0o777 for name in ("password", "token")} == {0o600}
    assert parts_of("influxdb", influxdb.address(site)) == ("http://127.0.0.1:21005", "tapeline", secrets[1])
