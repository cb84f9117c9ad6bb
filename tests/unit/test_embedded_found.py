"""Commands find the servers that `tapeline up` started, and what the user says comes before them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapeline.embedded import EmbeddedError, _process, _state, addresses, data_folder
from tapeline.embedded._state import State
from tapeline.options import read_settings

BUILT_IN = "127.0.0.1:9092"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose broker runs (this process stands for it) and whose registry was stopped."""
    monkeypatch.setenv("TAPELINE_HOME", str(tmp_path))
    ports = {"kafka": 21001, "kafka-controller": 21002, "registry": 21003}
    _state.save(tmp_path / "state.json", State(ports, {"kafka": _process.record(os.getpid())}))
    return tmp_path


def test_only_servers_that_run_have_an_address(home: Path) -> None:
    assert addresses(data_folder()) == {"kafka": "127.0.0.1:21001"}


def test_a_running_server_stands_in_for_the_built_in_address_and_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings(None, None)
    assert settings.kafka.bootstrap == "127.0.0.1:21001"
    assert settings.registry.url == "http://127.0.0.1:8081"
    assert capsys.readouterr() == ("", "Using servers that `tapeline up` started: kafka.\n")


@pytest.mark.parametrize("source", ["file", "environment", "command line"])
def test_what_the_user_says_comes_before_it(
    home: Path, source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "my.yaml"
    file.write_text(f"kafka: {{bootstrap: '{BUILT_IN}'}}" if source == "file" else "gateway: {port: 1}")
    if source == "environment":
        monkeypatch.setenv("TAPELINE__KAFKA__BOOTSTRAP", BUILT_IN)
    settings = read_settings(file, [f"kafka.bootstrap={BUILT_IN}"] if source == "command line" else [])
    assert settings.kafka.bootstrap == BUILT_IN
    assert capsys.readouterr().err == ""


def test_a_file_that_says_nothing_of_a_server_leaves_it_to_be_found(home: Path) -> None:
    file = home / "my.yaml"
    file.write_text("gateway: {port: 1}")
    assert read_settings(file, None).kafka.bootstrap == "127.0.0.1:21001"


def test_where_nothing_runs_the_built_in_addresses_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPELINE_HOME", str(tmp_path / "none"))
    assert read_settings(None, None).kafka.bootstrap == BUILT_IN
    assert capsys.readouterr().err == ""


def test_a_damaged_state_is_named(home: Path) -> None:
    (home / "state.json").write_text("{")
    with pytest.raises(EmbeddedError, match="is damaged"):
        read_settings(None, None)
