"""Of what has versions (candles, klines, scores) only the highest is written: InfluxDB itself keeps whatever came last.

What is stored is asked once for each candle and remembered: a worker that reads records again, or is sent an older version
after a newer one, leaves the newer one in place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sinks.store import Entry
from sinks.stores._influxdb_lines import VERSIONS, Row
from sinks.stores._influxdb_points import Place, Versions
from sinks.stores._influxdb_session import Session

_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STORED = """
from(bucket: bucket) |> range(start: time(v: begin), stop: time(v: end))
|> filter(fn: (r) => r._measurement == measurement and contains(value: r._field, set: fields))
|> filter(fn: (r) => contains(value: r.instrument, set: instruments))
|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
"""


class StoredVersions:
    """The versions in a bucket, as far as they are known."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._known = {measurement: Versions() for measurement in VERSIONS}

    def forget(self) -> None:
        """Ask again: others may have written since."""
        for known in self._known.values():
            known.forget()

    def newest(self, session: Session, entries: Iterable[Entry]) -> list[Entry]:
        """The entries without those of older versions than another one, or than what is stored. Raises as `Session`."""
        kept: list[Entry] = []
        versioned: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            (kept if entry.row.version is None else versioned[entry.row.measurement]).append(entry)
        for measurement, some in versioned.items():
            known = self._known[measurement]
            self._learn(session, measurement, [entry.row for entry in some])
            newest = {id(row) for row in known.newest(entry.row for entry in some)}
            kept += [entry for entry in some if id(entry.row) in newest]
        return kept

    def note(self, entries: Iterable[Entry]) -> None:
        """These entries are stored."""
        for entry in entries:
            if entry.row.version is not None:
                self._known[entry.row.measurement].note((entry.row.series, entry.row.time), entry.row.version)
        for known in self._known.values():
            known.shrink()

    def _learn(self, session: Session, measurement: str, rows: Sequence[Row]) -> None:
        """Ask for what is not known, one question for each day."""
        known = self._known[measurement]
        unknown = known.unknown(rows)
        by_day: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            if (row.series, row.time) in unknown:
                by_day[row.time // _DAY].append(row)
        stored: dict[Place, tuple[int, ...]] = {}
        for some in by_day.values():
            stored |= self._ask(session, measurement, some)
        for place in unknown:
            known.note(place, stored.get(place, ()))

    def _ask(self, session: Session, measurement: str, rows: Sequence[Row]) -> dict[Place, tuple[int, ...]]:
        names, times = VERSIONS[measurement], [row.time for row in rows]
        values = {
            "bucket": self._bucket,
            "measurement": measurement,
            "fields": list(names),
            "instruments": sorted({dict(row.tags)["instrument"] for row in rows}),
            "begin": min(times) * 1000,
            "end": max(times) * 1000 + 1,
        }
        begins = {row.tags: row.series for row in rows}
        tags = [name for name, _ in rows[0].tags]
        found = {}
        for answer in session.query(_STORED, values):
            begin = begins.get(tuple((name, answer[name]) for name in tags))
            if begin is not None:
                time = (answer["_time"] - _EPOCH) // timedelta(microseconds=1)
                found[begin, time] = tuple(int(answer[name]) for name in names)
        return found
