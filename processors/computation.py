"""What an agent computes: a pure function from a batch and tables to effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from processors.batch import Refusal, SourceRecord
from schemas.records import Record
from schemas.topics import Topic

Tables = Mapping[str, Mapping[str, bytes]]
"""Stored values by table name and key."""


@dataclass(slots=True)
class Effects:
    """What a batch brings about, in the order in which it must be acknowledged: outputs, then tables one by one.

    `known` is the highest offset that the stored values of its keys had taken in before.
    """

    outputs: list[tuple[Topic, Record]] = field(default_factory=list)
    writes: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    known: int = -1

    def write(self, table: str, key: str, value: bytes | None) -> None:
        """Store a value under a key, None to delete it; the last write of a key wins."""
        self.writes.setdefault(table, {})[key] = value


class Computation(Protocol):
    """One computation over one topic.

    `tables` are written in this order, each acknowledged before the next: a table that gates replays by offset comes last.
    `fold` is deterministic: the same records over the same tables give the same effects.
    """

    @property
    def source(self) -> Topic:
        """The topic it reads."""

    @property
    def tables(self) -> Sequence[str]:
        """Names of its tables, in writing order."""

    def fold(self, topic: str, partition: int, records: Sequence[SourceRecord], tables: Tables) -> Effects:
        """Apply consecutive records of one partition."""


def by_instrument(records: Sequence[SourceRecord]) -> dict[str, list[SourceRecord]]:
    """Records of each instrument, in order."""
    groups: dict[str, list[SourceRecord]] = {}
    for source in records:
        groups.setdefault(source.record.instrument, []).append(source)
    return groups
