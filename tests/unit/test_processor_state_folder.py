"""Where a worker keeps its tables, and that nobody else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from processors.folder import FolderInUse, own_folder
from runtime.errors import ConfigurationError
from runtime.settings import Settings


def settings(folder: Path, application: str = "app") -> Settings:
    return Settings.model_validate({"processors": {"state_dir": str(folder), "application": application}})


def folder_of(settings: Settings, cluster: str = "cluster", worker: int = 0) -> Path:
    with own_folder(settings, cluster, worker) as own:
        return own.processors.state_dir


def test_every_worker_of_an_application_on_a_cluster_has_tables_of_its_own(tmp_path: Path) -> None:
    wanted = settings(tmp_path / "not" / "there")
    folders = {
        folder_of(wanted),
        folder_of(wanted, cluster="other"),
        folder_of(wanted, worker=1),
        folder_of(settings(tmp_path / "not" / "there", "other")),
    }
    assert len(folders) == 4
    assert all(folder.is_dir() and folder.is_relative_to(tmp_path) for folder in folders)


def test_worker_started_again_has_the_folder_it_had(tmp_path: Path) -> None:
    assert folder_of(settings(tmp_path), worker=3) == folder_of(settings(tmp_path), worker=3)
    assert folder_of(settings(tmp_path), worker=3).name == "worker-3"


def test_a_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"processors\.state_dir: the folder .* cannot be used: Not a directory"):
        folder_of(settings(tmp_path / "file"))


def test_a_folder_in_use_is_refused_by_name_until_it_is_free(tmp_path: Path) -> None:
    with own_folder(settings(tmp_path), "cluster", 0) as first:
        with pytest.raises(FolderInUse) as refusal:
            folder_of(settings(tmp_path))
        folder_of(settings(tmp_path), worker=1)
    assert f"the folder {first.processors.state_dir} is in use by another worker" in str(refusal.value)
    assert refusal.value.exit_code == 1
    assert folder_of(settings(tmp_path)) == first.processors.state_dir


def test_a_folder_whose_worker_was_killed_is_free(tmp_path: Path) -> None:
    folder = folder_of(settings(tmp_path))
    program = "import sys; from pathlib import Path; from runtime.file_lock import held\n"
    program += "with held(Path(sys.argv[1]), sys.exit): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse):
            folder_of(settings(tmp_path))
        other.kill()
        other.wait()
    assert folder_of(settings(tmp_path)) == folder
