"""Where a worker keeps its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.service import with_state_folder
from runtime.errors import ConfigurationError
from runtime.settings import Settings


def settings(folder: Path, application: str = "app") -> Settings:
    return Settings.model_validate({"processors": {"state_dir": str(folder), "application": application}})


def test_every_application_on_every_cluster_has_tables_of_its_own(tmp_path: Path) -> None:
    wanted = settings(tmp_path / "not" / "there")
    folders = {
        with_state_folder(wanted, "one").processors.state_dir,
        with_state_folder(wanted, "two").processors.state_dir,
        with_state_folder(settings(tmp_path / "not" / "there", "other"), "one").processors.state_dir,
    }
    assert len(folders) == 3
    assert all(folder.is_dir() and folder.is_relative_to(tmp_path) for folder in folders)


def test_a_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"processors\.state_dir: the folder .* cannot be created: Not a directory"):
        with_state_folder(settings(tmp_path / "file"), "one")
