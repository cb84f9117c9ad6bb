"""Where the stack keeps its things, and what it says of places it cannot use."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from tempfile import gettempdir

import pytest

from tapeline.embedded import data_folder
from tapeline.embedded._errors import FolderUnusable
from tapeline.embedded._folders import cache_folder, closed_parent, make_usable, need_space


def test_a_folder_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAPELINE_HOME", "/elsewhere")
    assert data_folder(tmp_path).path == tmp_path


def test_the_environment_names_the_data_and_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAPELINE_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path / "cache"))
    assert data_folder().path == tmp_path / "data"
    assert cache_folder() == tmp_path / "cache"


def test_roots_servers_are_not_kept_in_roots_own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPELINE_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert Path.home() not in data_folder().path.parents


def test_missing_parents_are_created_with_the_mode_asked_for(tmp_path: Path) -> None:
    make_usable(tmp_path / "a" / "b", mode=0o711)
    assert [place.stat().st_mode & 0o777 for place in (tmp_path / "a", tmp_path / "a" / "b")] == [0o711, 0o711]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=f"cannot create {tmp_path}/file/data: Not a directory"):
        make_usable(tmp_path / "file" / "data")


def test_a_full_disk_is_named_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"no space for data in .*: 1099511627776 MiB needed, \d+ MiB free"):
        need_space(tmp_path / "not" / "there" / "yet", 2**60, "data")


def test_the_outermost_folder_that_others_cannot_enter_is_found(tmp_path: Path) -> None:
    closed, inner = tmp_path / "closed", tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    for place in (inner, *takewhile(lambda parent: parent != Path(gettempdir()), inner.parents)):
        place.chmod(0o711)
    assert closed_parent(inner) is None
    closed.chmod(0o700)
    inner.chmod(0o700)
    assert closed_parent(inner / "not" / "there" / "yet") == closed
