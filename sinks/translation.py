"""From a record's bytes to what the store keeps of it. Pure, but that the codec may ask the registry for a schema.

What decodes is checked before any store sees it: nonsense times alone would make partitions for years that never were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from market.quality import MAX_CLOCK_SKEW
from schemas.checks import check_carried
from schemas.records import Record
from schemas.topics import TOPICS
from sinks.store import Entry, KafkaRecord, Shortcut


class Translator:
    """Decodes, checks and shapes one record at a time. `max_skew` (microseconds) is what ingest grants exchanges' clocks.

    `shortcut` gives the same entry sooner, and None for what is to go the whole way.
    """

    def __init__(
        self,
        decode: Callable[[bytes | None], Record],
        row: Callable[[Record, KafkaRecord], Any],
        *,
        max_skew: int = MAX_CLOCK_SKEW,
        shortcut: Shortcut | None = None,
    ) -> None:
        self._shortcut = shortcut
        self._decode = decode
        self._row = row
        self._max_skew = max_skew

    def __call__(self, source: KafkaRecord) -> Entry | None:
        """A record with its row, None when there is nothing to store of it.

        Raises DataValidationError when it is not what its topic carries; RegistryError, which says nothing about the
        record, passes through.
        """
        if self._shortcut is not None and (found := self._shortcut(source)) is not None:
            return found
        if source.value is None and TOPICS[source.topic].compacted:
            return None  # a key that was deleted, of which what was there before stays as history
        record = check_carried(
            source.topic,
            source.key,
            self._decode(source.value),
            max_skew=self._max_skew,
            appended_at=source.timestamp_ms * 1000,
        )
        row = self._row(record, source)
        return None if row is None else Entry(source, row, getattr(record, "received_at", None))
