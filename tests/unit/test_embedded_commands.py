"""The words of `tapeline up`, `down` and `status` when nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tapeline.commands import stack


def tapeline(*arguments: str) -> Result:
    app = typer.Typer()
    stack.register(app)
    return CliRunner().invoke(app, arguments)


def test_down_without_up_says_so_and_is_no_failure(tmp_path: Path) -> None:
    result = tapeline("down", "--data", str(tmp_path / "none"))
    assert (result.exit_code, result.output) == (0, f"Nothing runs in {tmp_path / 'none'}.\n")
    assert not (tmp_path / "none").exists()


def test_status_without_up_shows_every_server_stopped_and_fails(tmp_path: Path) -> None:
    result = tapeline("status", "--data", str(tmp_path), "--json")
    conditions = {server["server"]: server["condition"] for server in json.loads(result.output)["servers"]}
    assert result.exit_code == 1
    assert conditions == dict.fromkeys(("influxdb", "kafka", "postgres", "redis", "registry"), "stopped")


@pytest.mark.parametrize("word", ["kafka", "kafka=", "=9092", "kafka=x", "kafka=0", "kafka=65536", "kafka=-1", "kafka=²"])
def test_a_port_that_is_no_name_and_number_is_refused(word: str, tmp_path: Path) -> None:
    result = tapeline("up", "--data", str(tmp_path), "--port", word)
    assert result.exit_code == 2
    assert "is not NAME=N with N between 1 and 65535" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "mysql"], "there is no server called 'mysql'; there are influxdb, kafka, postgres, redis, registry"),
        (["up", "postgres", "--port", "kafka=9092"], "no server to start has a port called kafka; there are postgres"),
    ],
)
def test_what_cannot_be_started_is_named_before_anything_is_created(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = tapeline(*arguments, "--data", str(tmp_path / "none"))
    assert str(result.exception) == message
    assert not (tmp_path / "none").exists()
