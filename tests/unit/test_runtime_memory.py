"""Telling the C library to keep what is freed."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from runtime.memory import KEPT_BYTES, keep_freed_memory


@pytest.mark.parametrize(("answer", "is_kept"), [(1, True), (0, False)])
def test_both_thresholds_are_set_where_the_library_takes_them(
    monkeypatch: pytest.MonkeyPatch, answer: int, is_kept: bool
) -> None:
    asked = list[tuple[int, int]]()

    def mallopt(parameter: int, value: int) -> int:
        asked.append((parameter, value))
        return answer

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    assert keep_freed_memory() is is_kept
    assert asked == [(-1, KEPT_BYTES), (-3, KEPT_BYTES)][: 1 + is_kept]


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not keep_freed_memory()
