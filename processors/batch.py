"""Batches of one partition, and what decoding makes of their records. Pure but for the codec it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain
from typing import NamedTuple

from market.errors import DataValidationError
from schemas.checks import check_carried
from schemas.codec import Codec
from schemas.records import Record

Row = tuple[int, int, bytes | None, bytes | None]
"""The fields of a `RawRecord`, without their names."""


class RawRecord(NamedTuple):
    """A record as it lies in its topic."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class SourceRecord(NamedTuple):
    """A decoded record, with the raw one it came from."""

    record: Record
    raw: RawRecord


class Refusal(NamedTuple):
    """A record of a topic that cannot be taken in, and why; becomes a dead letter."""

    topic: str
    raw: RawRecord
    reason: str
    error: str
    field: str | None = None


@dataclass(slots=True)
class Batch:
    """Consecutive records of one partition: what the event of a batched topic carries.

    `parts` are Kafka's own record batches as views (`processors.transport.views`), or lists of plain records; iterating over
    either gives plain records. `generation` is the consumer's count of rebalances; `previous` the last offset of the batch
    delivered before it, None for the generation's first; `end` the partition's when the batch was fetched. `readers` is how
    many agents read it: what they need only once is kept for the others, and the records are let go when the last has read
    them.
    """

    topic: str
    partition: int
    parts: Sequence[Iterable[RawRecord]]
    first_offset: int
    last_offset: int
    generation: int = 0
    previous: int | None = None
    end: int | None = None
    readers: int = 1
    _decoded: tuple[list[SourceRecord], list[Refusal]] | None = None
    _refused: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[RawRecord]:
        return chain.from_iterable(self.parts)

    @property
    def count(self) -> int:
        """How many offsets it covers, which is how many records it holds where none are missing."""
        return self.last_offset - self.first_offset + 1

    def decode(self, codec: Codec, max_skew: int) -> tuple[list[SourceRecord], list[Refusal]]:
        """The records that may be applied, and those that may not. Raises SchemaNotLearnt."""
        if self._decoded is None:
            decoded, refusals = [], []
            for raw in self:
                try:
                    decoded.append(decode_record(self.topic, raw, codec, max_skew))
                except DataValidationError as error:
                    refusals.append(Refusal(self.topic, raw, error.reason, str(error), error.field))
            self._decoded = decoded, refusals
        return self._decoded

    def in_order(self, codec: Codec, max_skew: int) -> Iterator[SourceRecord | Refusal]:
        """Both as they lie in the partition, for who has a use for refused records as well. Raises SchemaNotLearnt."""
        return merge(*self.decode(codec, max_skew), key=lambda found: found.raw.offset)

    def refuses_first(self, refusal: Refusal) -> bool:
        """Whether no agent refused this record before: it becomes one dead letter, not one for each agent."""
        if refusal.raw.offset in self._refused:
            return False
        self._refused.add(refusal.raw.offset)
        return True

    def done(self) -> None:
        """Called once by each reader; lets the records go after the last."""
        self.readers -= 1
        if self.readers <= 0:
            self.parts, self._decoded = (), None


def decode_record(topic: str, raw: RawRecord, codec: Codec, max_skew: int) -> SourceRecord:
    """A record of a topic by all rules. Raises DataValidationError, or SchemaNotLearnt."""
    record = codec.decode_learnt(raw.value)
    return SourceRecord(check_carried(topic, raw.key, record, max_skew=max_skew, appended_at=raw.timestamp_ms * 1000), raw)
