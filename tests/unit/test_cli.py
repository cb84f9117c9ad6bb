"""Which files of commands are imported."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tapeline import cli

COMMANDS = Path(cli.__file__).parent / "commands"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("process", ["process"]), ("up", None), ("--help", None), (None, None)],
    ids=["a file's name", "a command of another name", "an option", "nothing"],
)
def test_only_the_wanted_file_is_imported_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, names: list[str] | None
) -> None:
    registered = list[str]()

    def module(name: str) -> SimpleNamespace:
        return SimpleNamespace(register=lambda app: registered.append(name.removeprefix("tapeline.commands.")))

    monkeypatch.setattr(importlib, "import_module", module)
    cli.build(wanted)
    everything = sorted(path.stem for path in COMMANDS.glob("[a-z]*.py"))
    assert registered == (names or everything)
