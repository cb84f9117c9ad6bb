"""What a data folder remembers."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.embedded import EmbeddedError, _process, _state
from tapeline.embedded._state import ProcessRecord, State

records = st.builds(ProcessRecord, st.integers(1, 2**22), st.floats(0, 2e9), st.text())
states = st.builds(
    State,
    st.dictionaries(st.text(), st.integers(1, 65535)),
    st.dictionaries(st.text(), records),
    st.none() | records,
)


@given(states)
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        _state.save(path, state)
        assert _state.load(path) == state


def test_a_folder_without_a_state_remembers_nothing(tmp_path: Path) -> None:
    assert _state.load(tmp_path / "state.json") == State()


def test_only_its_owner_reads_the_state(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    _state.save(path, State())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", '{"ports": []}', '{"processes": {"kafka": {"pid": "x"}}}'])
def test_a_damaged_state_is_named_and_not_guessed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(EmbeddedError, match=f"{path} is damaged"):
        _state.load(path)


def test_a_recorded_process_is_found_while_it_lives() -> None:
    found = _process.find(_process.record(os.getpid()))
    assert found is not None
    assert found.pid == os.getpid()


def test_another_process_with_the_recorded_id_is_not_taken_for_it() -> None:
    created = psutil.Process().create_time()
    assert _process.find(ProcessRecord(os.getpid(), created - 3600)) is None


def test_a_server_is_found_although_the_clock_was_set(tmp_path: Path) -> None:
    started_by_another_clock = psutil.Process().create_time() - 3600
    assert _process.find(ProcessRecord(os.getpid(), started_by_another_clock, str(tmp_path))) is None
    assert _process.find(ProcessRecord(os.getpid(), started_by_another_clock, str(Path.cwd()))) is not None


def test_a_process_that_never_was_is_not_found() -> None:
    assert _process.find(ProcessRecord(2**22 + 1, 0.0)) is None
