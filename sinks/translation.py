"""From a record's bytes to what the store keeps of it. Pure, but that the codec may ask the registry for a schema.

What decodes is checked before any store sees it: nonsense times alone would make partitions for years that never were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from market.candle import CandleEvent
from market.derived import check_candle, check_price_change
from market.errors import DataValidationError
from market.price_change import PriceChangedEvent
from market.trade import MAX_CLOCK_SKEW, GapMark, TimeMark, Trade, check_mark, check_trade
from schemas.records import Record
from schemas.topics import Topic
from sinks.store import Entry, KafkaRecord


class Translator:
    """Decodes, checks and shapes one record at a time. `max_skew` (microseconds) is what ingest grants exchanges' clocks."""

    def __init__(
        self,
        topics: Sequence[Topic],
        decode: Callable[[bytes | None], Record],
        row: Callable[[Record, KafkaRecord], Any],
        *,
        max_skew: int = MAX_CLOCK_SKEW,
    ) -> None:
        self._kinds = {topic.name: topic.records for topic in topics}
        self._decode = decode
        self._row = row
        self._checks: Mapping[type[Record], Callable[[Any], object]] = {
            Trade: partial(check_trade, max_skew=max_skew),
            TimeMark: check_mark,
            GapMark: check_mark,
            CandleEvent: check_candle,
            PriceChangedEvent: check_price_change,
        }

    def __call__(self, source: KafkaRecord) -> Entry | None:
        """A record with its row, None when there is nothing to store of it.

        Raises DataValidationError when it is not what its topic carries; RegistryError, which says nothing about the
        record, passes through.
        """
        record = self._decode(source.value)
        if not isinstance(record, self._kinds[source.topic]):
            raise DataValidationError("unexpected_record", f"{source.topic} does not carry a {type(record).__name__}")
        if (check := self._checks.get(type(record))) is not None:
            check(record)
        row = self._row(record, source)
        return None if row is None else Entry(source, row, getattr(record, "received_at", None))
