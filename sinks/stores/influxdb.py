"""InfluxDB 2: trades, quotes, candles, klines, price changes, quality, states of streams, portfolios' totals, for charts.

InfluxDB has no transactions; what stands in for them is that writing a point again changes nothing. A batch's points go
first, its offsets behind them as points of their own, so the offsets are never ahead: a crash in between leaves points that
are written again with the same series, times and fields. Points are kept apart, and older versions from replacing newer
ones, by `_influxdb_points`.

Two limits come of this. Nothing fences a worker that was stopped in the middle of a batch and goes on after another has
taken over: its one request may put an older version of a candle back until the next version comes. And where InfluxDB
refuses some points of a request it stores the others: they are of the batch that is tried again at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prometheus_client import Gauge

from market.errors import DataValidationError
from market.trade import Trade
from runtime import metrics
from runtime.errors import ConfigurationError, Problem
from runtime.logs import get_logger
from runtime.metrics import REGISTRY
from runtime.settings import InfluxSettings, Settings
from schemas.codec import Codec
from schemas.records import Record
from schemas.topics import (
    CANDLES,
    FUNDING,
    KLINES,
    OPEN_INTEREST,
    PRICE_CHANGES,
    QUALITY,
    QUOTES,
    STATUS,
    TRADES,
    VALUATIONS,
    Topic,
)
from sinks.store import (
    Batch,
    Entry,
    KafkaRecord,
    Partition,
    RecordRefused,
    Shortcut,
    StoredOffset,
    StoreUnavailable,
    StoreUnfit,
    at_once,
)
from sinks.stores._influxdb_lines import TICKS, Row, fields_of, row_of, series, text, trade_series
from sinks.stores._influxdb_points import Full, Slots
from sinks.stores._influxdb_session import NAME, PointsRefused, Session, Target
from sinks.stores._influxdb_shortcut import trade_reader
from sinks.stores._influxdb_versions import StoredVersions

SERIES = Gauge("tapeline_influxdb_series", "Series there are, of those this worker knows.", registry=REGISTRY)

_OFFSETS = """
from(bucket: bucket) |> range(start: 0) |> filter(fn: (r) => r._measurement == "sink_offsets" and r.sink == sink)
|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
"""
log = get_logger(__name__)


def create(settings: Settings, *, sink: str, writer: str) -> InfluxStore:
    """The store of these settings. Raises ConfigurationError when there is no token."""
    influx = settings.influxdb
    if influx.token is None:
        raise ConfigurationError(Problem("influxdb.token", "is not set", "", hint="InfluxDB takes nothing without one"))
    target = Target(influx.url, influx.org, influx.token.get_secret_value(), influx.timeout_seconds, influx.compress)
    return InfluxStore(target, influx, sink=sink, writer=writer, make_buckets=settings.sinks.apply_migrations)


def init(settings: Settings) -> list[str]:
    """Make the buckets of these settings, or change how long they keep points; what was done. Raises ServerUnreachable."""
    with at_once():
        return create(settings, sink="", writer="").make_buckets()


class _Lines(NamedTuple):
    """What goes into one bucket, line by line with the entry it was made of."""

    entries: list[Entry]
    lines: list[str]


class InfluxStore:
    """One server. `sink` names whose offsets these are, `writer` the process that moves them.

    `make_buckets`: make them at `open`, instead of refusing a server that lacks them.
    """

    name = "influxdb"
    topics: tuple[Topic, ...] = (
        *(TRADES, QUOTES, KLINES, FUNDING, OPEN_INTEREST),
        *(CANDLES, PRICE_CHANGES, QUALITY, STATUS, VALUATIONS),
    )

    def __init__(self, target: Target, settings: InfluxSettings, *, sink: str, writer: str, make_buckets: bool = False) -> None:
        self._target = target
        self._settings = settings
        self._sink = sink
        self._writer = writer
        self._makes_buckets = make_buckets
        self._slots = Slots()
        self._versions = StoredVersions(settings.history_bucket)
        self._series: set[str] = set()
        self._open_session: Session | None = None

    # set-up

    def open(self) -> None:
        """Connect, check the buckets or make them, and count the series there are. Raises StoreUnavailable, StoreUnfit."""
        if self._makes_buckets:
            self.make_buckets()
        missing = [bucket for bucket in self._retentions() if self._session.retention(bucket) is None]
        if missing:
            raise StoreUnfit(
                f"{NAME} at {self._target.url}: no bucket {', '.join(missing)} in {self._target.org}: run `tapeline sink init`"
            )
        for bucket in (self._settings.ticks_bucket, self._settings.history_bucket):
            self._series |= self._session.series(bucket)
        SERIES.set(len(self._series))

    def make_buckets(self) -> list[str]:
        """Make the buckets, or change how long they keep points; what was done. Raises StoreUnavailable, StoreUnfit."""
        return [
            f"bucket {bucket}: kept {f'for {seconds} s' if seconds else 'for ever'}"
            for bucket, seconds in self._retentions().items()
            if self._session.set_retention(bucket, seconds)
        ]

    def _retentions(self) -> dict[str, int]:
        settings = self._settings
        return {
            settings.ticks_bucket: settings.ticks_retention_seconds,
            settings.history_bucket: settings.history_retention_seconds,
            settings.offsets_bucket: 0,
        }

    # offsets

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, StoredOffset]:
        """Stored offsets; a partition of which nothing was stored yet is left out. Raises StoreUnavailable."""
        self._versions.forget()  # another worker may have written since these partitions were ours the last time
        rows = self._session.query(_OFFSETS, {"bucket": self._settings.offsets_bucket, "sink": self._sink})
        found = {(row["topic"], int(row["partition"])): StoredOffset(row["next_offset"], row["topic_id"]) for row in rows}
        return {key: found[key] for key in partitions if key in found}

    def set_offset(self, partition: Partition, offset: StoredOffset) -> None:
        """Put a stored offset where a person says it should be; a worker that runs meanwhile puts its own there again."""
        self._session.write(self._settings.offsets_bucket, [self._offset_line(partition, offset)])

    def _offset_line(self, partition: Partition, offset: StoredOffset) -> str:
        begin = series("sink_offsets", ("partition", str(partition[1])), ("sink", self._sink), ("topic", partition[0]))
        # One point for each partition, at a time of its own: the next one takes its place.
        fields = f"next_offset={offset.next_offset}i,topic_id={text(offset.topic_id)},writer={text(self._writer)}"
        return f"{begin} {fields} 1"

    # rows

    def row(self, record: Record, source: KafkaRecord) -> Row | None:
        """What to store of a record, None for nothing.

        Raises DataValidationError when it cannot be written, or would begin a series beyond the budget.
        """
        row = row_of(record)
        if row is not None:
            self._admit(row.series)
        return row

    def shortcut(self, codec: Codec, *, max_skew: int) -> Shortcut | None:
        """What reads trades, which are most of what there is, straight from their bytes; None where it was not built."""
        return trade_reader(codec.header(TRADES.name, Trade), max_skew, self._series_of_trades)

    def _series_of_trades(self, instrument: str, side: str | None) -> str:
        found = trade_series(instrument, side)
        self._admit(found)
        return found

    def _admit(self, found: str) -> None:
        """Count a series that is new. Raises DataValidationError for one beyond the budget."""
        if found not in self._series:
            if len(self._series) >= self._settings.max_series:
                most = f"there are {len(self._series)} series, influxdb.max_series allows {self._settings.max_series}"
                raise DataValidationError("too_many_series", f"{found:.200} would be a new series, but {most}")
            self._series.add(found)
            SERIES.set(len(self._series))

    def write(self, batch: Batch) -> Mapping[str, int]:
        """Write the points, then the offsets; points by measurement. Points stored before stay as they are.

        Trying a batch again whose outcome was unknown is safe. Raises StoreUnavailable, StoreUnfit, RecordRefused.
        """
        entries = self._versions.newest(self._session, self._unexpired(batch.entries))
        for bucket, found in self._by_bucket(entries).items():
            self._write_lines(bucket, found)
        self._versions.note(entries)
        offsets = {key: StoredOffset(advance.after, advance.topic_id) for key, advance in batch.advances.items()}
        self._session.write(self._settings.offsets_bucket, [self._offset_line(*item) for item in offsets.items()])
        return Counter(entry.row.measurement for entry in entries)

    def close(self) -> None:
        """Disconnect; what was not written is dropped."""
        if self._open_session is not None:
            self._open_session.close()
            self._open_session = None

    # a batch

    def _bucket(self, row: Row) -> str:
        return self._settings.ticks_bucket if row.measurement in TICKS else self._settings.history_bucket

    def _by_bucket(self, entries: Sequence[Entry]) -> dict[str, _Lines]:
        ticks, history = _Lines([], []), _Lines([], [])
        for entry, fields in zip(entries, fields_of([entry.row for entry in entries]), strict=True):
            row: Row = entry.row
            try:
                digits = 0 if row.version is not None else self._slots.take(row)
            except Full as full:
                raise RecordRefused(entry, str(full), field="event_time") from full
            found = ticks if row.measurement in TICKS else history
            found.entries.append(entry)
            found.lines.append(f"{row.series} {fields} {row.time * 1000 + digits}")
        by_bucket = {self._settings.ticks_bucket: ticks, self._settings.history_bucket: history}
        return {bucket: found for bucket, found in by_bucket.items() if found.entries}

    def _unexpired(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Without what InfluxDB would delete at once, which is counted and told of."""
        retentions = self._retentions()
        if not any(retentions.values()):
            return entries
        now = time.time_ns() // 1000
        oldest = {bucket: now - seconds * 1_000_000 if seconds else 0 for bucket, seconds in retentions.items()}
        kept = [entry for entry in entries if entry.row.time >= oldest[self._bucket(entry.row)]]
        if expired := len(entries) - len(kept):
            metrics.ERRORS.labels("influxdb_expired").inc(expired)
            log.warning("records older than their bucket keeps points are not stored", count=expired)
        return kept

    def _write_lines(self, bucket: str, found: _Lines) -> None:
        try:
            self._session.write(bucket, found.lines)
        except PointsRefused as refused:
            raise self._culprit(bucket, found, refused) from refused

    def _culprit(self, bucket: str, found: _Lines, refused: PointsRefused) -> Exception:
        """Halve refused lines until one is left; those that are written on the way may be written again."""
        begin, end = 0, len(found.lines)
        while end - begin > 1:
            half = (begin + end) // 2
            begin, end = (begin, half) if self._refusal(bucket, found.lines[begin:half]) else (half, end)
        verdict = self._refusal(bucket, found.lines[begin:end])
        if verdict is None:
            return StoreUnavailable(NAME, self._target.url, f"refused a batch, but no record of it alone: {refused}")
        return RecordRefused(found.entries[begin], str(verdict))

    def _refusal(self, bucket: str, lines: list[str]) -> PointsRefused | None:
        try:
            self._session.write(bucket, lines)
        except PointsRefused as refused:
            return refused
        return None

    @property
    def _session(self) -> Session:
        if self._open_session is None:
            self._open_session = Session(self._target)
        return self._open_session
