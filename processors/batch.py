"""Batches of raw records, and what decoding makes of them. Pure but for the codec it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from market.errors import DataValidationError
from market.trade import TradeStreamRecord
from schemas.checks import check_carried
from schemas.codec import Codec
from schemas.records import Record


class RawRecord(NamedTuple):
    """A record as it lies in its topic."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class SourceRecord(NamedTuple):
    """A decoded record of the trade stream, with the raw one it came from."""

    record: TradeStreamRecord
    raw: RawRecord


class Refusal(NamedTuple):
    """A record that cannot be taken in, and why; becomes a dead letter."""

    raw: RawRecord
    reason: str
    error: str
    field: str | None = None


@dataclass(slots=True)
class Batch:
    """Consecutive records of one partition: what the event of a batched topic carries.

    Several agents read one topic, so the batch is decoded once, by whoever comes first; the refusals are handed out once.
    `generation` is the group's; `previous` the last offset of the batch delivered before it, None for the generation's first;
    `end` the partition's when the batch was fetched.
    """

    topic: str
    partition: int
    raw: Sequence[RawRecord]
    generation: int = 0
    previous: int | None = None
    end: int | None = None
    decoded: list[SourceRecord] | None = None
    refusals: list[Refusal] | None = None

    def decode(self, codec: Codec, max_skew: int) -> list[SourceRecord]:
        """The records that may be applied. Raises what the codec raises for schemas it cannot ask for."""
        if self.decoded is None:
            decoded, refusals = [], []
            for raw in self.raw:
                try:
                    decoded.append(SourceRecord(self._checked(raw, codec.decode(raw.value), max_skew), raw))
                except DataValidationError as error:
                    refusals.append(Refusal(raw, error.reason, str(error), error.field))
            self.decoded, self.refusals = decoded, refusals
        return self.decoded

    def take_refusals(self) -> list[Refusal]:
        """Refused records, to the first who asks."""
        refusals, self.refusals = self.refusals or [], []
        return refusals

    def _checked(self, raw: RawRecord, record: Record, max_skew: int) -> TradeStreamRecord:
        appended_at = raw.timestamp_ms * 1000
        found = check_carried(self.topic, raw.key, record, max_skew=max_skew, appended_at=appended_at)
        return cast("TradeStreamRecord", found)
