"""From a record's bytes to what the store keeps of it. Pure, but that the codec may ask the registry for a schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from market.errors import DataValidationError
from schemas.records import Record
from schemas.topics import Topic
from sinks.checks import check_record
from sinks.store import Entry, KafkaRecord


class Translator:
    """Decodes, checks and shapes one record at a time."""

    def __init__(
        self,
        topics: Sequence[Topic],
        decode: Callable[[bytes | None], Record],
        row: Callable[[Record, KafkaRecord], Any],
    ) -> None:
        self._kinds = {topic.name: topic.records for topic in topics}
        self._decode = decode
        self._row = row

    def __call__(self, source: KafkaRecord) -> Entry | None:
        """A record with its row, None when there is nothing to store of it.

        Raises DataValidationError when it is not what its topic carries; RegistryError, which says nothing about the
        record, passes through.
        """
        record = self._decode(source.value)
        if not isinstance(record, self._kinds[source.topic]):
            raise DataValidationError("unexpected_record", f"{source.topic} does not carry a {type(record).__name__}")
        check_record(record)
        row = self._row(record, source)
        return None if row is None else Entry(source, row, getattr(record, "received_at", None))
