"""Tables by partition: what is seen before it is stored, and which of two changelog records wins."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from market.candle_series import SeriesState
from processors.states.candles import encode_series
from processors.states.form import StateError
from processors.tables import StoredTable, TableView, is_newer


def value(offset: int, mark: int = 0) -> bytes:
    return encode_series(SeriesState(applied_offset=offset, latest=mark))


def test_view_shows_what_was_put_over_what_is_on_its_way_over_the_store() -> None:
    stored = {b"a": b"1", b"b": b"1", b"c": b"1"}
    view = TableView(stored.get)
    view.put("b", b"2")
    view.put("c", None)
    view.seal()
    assert dict(view.sealed(1)) == {"b": b"2", "c": None}
    view.put("b", b"3")
    assert [view.get(key) for key in ("a", "b", "c", "d")] == [b"1", b"3", None, None]
    stored[b"b"] = b"2"
    del stored[b"c"]
    view.landed(1)
    assert [view.get(key) for key in ("a", "b", "c")] == [b"1", b"3", None]
    view.seal()
    assert dict(view.sealed(1)) == {"b": b"3"}


def test_several_commits_are_stored_together_and_later_ones_stay_visible() -> None:
    view = TableView({b"a": b"0"}.get)
    for value_of_a in (b"1", None, b"3"):
        view.put("a", value_of_a)
        view.put(f"with {value_of_a!r}", b"x")
        view.seal()
    assert dict(view.sealed(2)) == {"a": None, "with b'1'": b"x", "with None": b"x"}
    assert dict(view.sealed(3))["a"] == view.get("a") == b"3"
    view.landed(2)
    assert dict(view.sealed(1)) == {"a": b"3", "with b'3'": b"x"}
    view.landed(1)
    assert view.get("a") == b"0"


@pytest.mark.parametrize(
    ("new", "old", "wins"),
    [
        (value(5), None, True),
        (value(5), value(4), True),
        (value(5, 1), value(5), True),
        (value(4), value(5), False),
        (None, value(5), True),
    ],
    ids=["first", "newer", "same offset", "a zombie's", "deletion"],
)
def test_value_that_reflects_the_highest_offset_wins(new: bytes | None, old: bytes | None, wins: bool) -> None:
    assert is_newer(new, old) is wins


class Recovering(StoredTable):
    """The table's own recovery over a store in memory."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes | None] = {}
        self.offsets: dict[int, int | None] = {}
        self.failures: list[BaseException] = []
        self.on_failure = self.failures.append

    @property
    def changelog_topic_name(self) -> str:
        return "app-t-changelog"

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self.stored.get(key)

    def write(self, partition: int, changes: Iterable[tuple[bytes, bytes | None]], offset: int | None) -> None:
        self.stored.update(changes)
        self.offsets[partition] = offset


def event(offset: int, key: bytes, content: bytes | None, topic: str = "app-t-changelog") -> Any:
    message = SimpleNamespace(tp=TP(topic, 2), partition=2, offset=offset, key=key, value=content)
    return SimpleNamespace(message=message)


def test_recovery_keeps_the_newest_value_of_each_key_across_batches() -> None:
    table = Recovering()
    table.apply_changelog_batch([event(0, b"a", value(5)), event(1, b"b", value(6)), event(2, b"a", value(4))])
    table.apply_changelog_batch([event(3, b"b", value(3)), event(4, b"a", value(9))])
    assert (table.stored, table.offsets) == ({b"a": value(9), b"b": value(6)}, {2: 4})


def test_record_of_another_tables_changelog_is_left_out() -> None:
    table = Recovering()
    table.apply_changelog_batch([event(7, b"a", value(5), topic="app-other-changelog")])
    assert (table.stored, table.offsets) == ({}, {})


def test_changelog_record_that_cannot_be_read_ends_the_worker() -> None:
    table = Recovering()
    table.stored[b"a"] = value(1)
    with pytest.raises(StateError):
        table.apply_changelog_batch([event(0, b"a", b"rubbish")])
    assert isinstance(table.failures[0], StateError)
