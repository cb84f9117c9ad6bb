"""The offsets a sink has stored, advanced in the transaction of their rows and only from where this writer left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from sinks.store import Advance, OffsetConflict, Partition, StoredOffset

_ADVANCE = """
UPDATE sink_offsets AS held
SET next_offset = new.after, writer = %(writer)s, updated_at = now()
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(before)s::bigint[], %(after)s::bigint[], %(ids)s::text[])
    AS new (topic, partition, before, after, topic_id)
WHERE held.sink = %(sink)s AND held.topic = new.topic AND held.partition = new.partition
    AND held.next_offset = new.before AND held.topic_id = new.topic_id
"""
_BEGIN = """
INSERT INTO sink_offsets (sink, topic, partition, next_offset, topic_id, writer)
SELECT %(sink)s, topic, partition, after, topic_id, %(writer)s
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(before)s::bigint[], %(after)s::bigint[], %(ids)s::text[])
    AS new (topic, partition, before, after, topic_id)
WHERE before IS NULL
ON CONFLICT (sink, topic, partition) DO NOTHING
"""
_READ = """
SELECT topic, partition, next_offset, topic_id, writer, updated_at FROM sink_offsets
WHERE sink = %s AND (topic, partition) IN (SELECT * FROM unnest(%s::text[], %s::integer[]))
FOR NO KEY UPDATE
"""
_SET = """
INSERT INTO sink_offsets (sink, topic, partition, next_offset, topic_id, writer) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (sink, topic, partition) DO UPDATE
SET next_offset = excluded.next_offset, topic_id = excluded.topic_id, writer = excluded.writer, updated_at = now()
"""


class Offsets:
    """Stored offsets of one sink; `writer` names this process in them."""

    def __init__(self, sink: str, writer: str) -> None:
        self._sink = sink
        self._writer = writer

    def read(self, connection: Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, StoredOffset]:
        """Stored offsets of these partitions, as far as there are any.

        The rows are locked for the moment: a commit of ours whose answer was lost may still be under way, and a database
        that only reads is no store.
        """
        return {key: StoredOffset(row[2], row[3]) for key, row in self._rows(connection, partitions).items()}

    def advance(self, connection: Connection[Any], advances: Mapping[Partition, Advance]) -> bool:
        """Advance within the caller's transaction; False when this writer has done just this before.

        That happens when the answer to a commit was lost. Raises OffsetConflict when someone else has moved an offset.
        """
        values = self._values(advances)
        moved = connection.execute(_ADVANCE, values).rowcount
        if any(advance.before is None for advance in advances.values()):
            moved += connection.execute(_BEGIN, values).rowcount
        if moved == len(advances):
            return True
        self._explain(connection, advances)
        return False

    def set(self, connection: Connection[Any], partition: Partition, offset: StoredOffset) -> None:
        """Put an offset where a person says it should be."""
        connection.execute(_SET, (self._sink, *partition, offset.next_offset, offset.topic_id, self._writer))

    def _values(self, advances: Mapping[Partition, Advance]) -> dict[str, Any]:
        keys = sorted(advances)
        return {
            "sink": self._sink,
            "writer": self._writer,
            "topics": [topic for topic, _ in keys],
            "partitions": [partition for _, partition in keys],
            "before": [advances[key].before for key in keys],
            "after": [advances[key].after for key in keys],
            "ids": [advances[key].topic_id for key in keys],
        }

    def _rows(self, connection: Connection[Any], partitions: Sequence[Partition]) -> dict[Partition, tuple[Any, ...]]:
        topics, numbers = [topic for topic, _ in partitions], [number for _, number in partitions]
        rows = connection.execute(_READ, (self._sink, topics, numbers)).fetchall()
        return {(row[0], row[1]): row for row in rows}

    def _explain(self, connection: Connection[Any], advances: Mapping[Partition, Advance]) -> None:
        """Raise OffsetConflict unless every offset stands where this very writer wanted to put it."""
        rows = self._rows(connection, list(advances))
        for key, advance in advances.items():
            _, _, found, topic_id, writer, updated_at = rows.get(key, (*key, None, advance.topic_id, "nobody", None))
            if (found, topic_id, writer) != (advance.after, advance.topic_id, self._writer):
                when = f"{writer} at {updated_at:%Y-%m-%d %H:%M:%S} UTC" if updated_at else writer
                raise OffsetConflict(self._sink, key, advance.before, found, when)
