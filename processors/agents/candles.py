"""Trades to candles: every version of every candle, closed by the stream's own time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from market.candle import CandleEvent
from market.candle_series import HORIZON, CandleSeries, Outcome
from market.errors import DataValidationError
from market.interval import Interval, parse_interval
from market.trade import TimeMark, Trade, TradeStreamRecord
from processors.batch import Batch, RawRecord, Refusal, decode_record
from processors.calendars import Calendars
from processors.closed_candles import ClosedCandles
from processors.computation import Computation, Effects, Scope
from processors.encoding import encoders
from processors.outbox import open_outbox
from processors.outputs import message_of
from processors.runs import open_folder
from processors.runs.protocol import Contract, Keeping, SeriesFolder
from processors.states.candles import decode_series, encode_series
from runtime.settings import ProcessorSettings
from schemas.partitioning import partition_of
from schemas.topics import CANDLES, TRADES

OPEN = "candles"
CLOSED = "closed-candles"

MOST_SERIES = 20_000
"""Instruments of a partition held in memory; beyond it those not in use are read from the table again."""

_REFUSED = {
    Outcome.TOO_OLD: "the trade id is older than the ids remembered: it may have been counted already",
    Outcome.TOO_LATE: "the trade is older than the horizon for corrections",
    Outcome.TOO_LARGE: "with this trade the candle's sums have too many digits",
    Outcome.OFF_SESSION: "the trade is outside of the sessions of its venue's trading calendar",
    Outcome.OFF_CALENDAR: "the trading calendar of the trade's venue does not reach to its time",
}


class CandlesFold:
    """The candles of one partition.

    Most records are taken in without a Python object for each (`processors.runs`), all others come to `_apply` one by one. Each
    commit tells an UPDATE of every open candle that changed since the last.
    """

    def __init__(self, scope: Scope, intervals: Sequence[Interval], grace: int, calendars: Calendars, *, carry: bool) -> None:
        self._known = -1
        self._scope = scope
        self._intervals = intervals
        self._grace = grace
        self._calendars = calendars
        self._carry = carry
        self._encoders = encoders(compiled=scope.compiled)
        self._series: dict[str, CandleSeries] = {}
        self._touched: dict[str, CandleSeries] = {}
        self._outbox = open_outbox(compiled=scope.compiled)
        self._effects = Effects()
        self._batch: Batch | None = None
        self._folder = self._open_folder()

    def _open_folder(self) -> SeriesFolder:
        scope = self._scope
        trade_id, mark_id = (scope.codec.schema_id(TRADES.name, record_type) for record_type in (Trade, TimeMark))
        keeping = Keeping(
            self._intervals,
            self._grace,
            HORIZON,
            (TRADES.name, scope.partition),
            CANDLES.name,
            scope.codec.schema_id(CANDLES.name, CandleEvent),
            lambda instrument: partition_of(instrument, CANDLES.partitions(scope.partitions)),
            self._outbox,
            scope.tables[OPEN],
            scope.tables[CLOSED],
        )
        return open_folder(Contract(trade_id, mark_id, scope.max_skew), self._apply, keeping, compiled=scope.compiled)

    def known(self, topic: str) -> int:
        """Highest offset that the series read from the table had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        self._batch = batch
        for part in batch.parts:
            self._folder.fold(part)

    def take(self) -> Effects:
        """Events since the last commit in order, then the UPDATEs; the state of every instrument that changed is stored."""
        for instrument in self._folder.touched():
            self._merge_run(instrument, self._series[instrument])
        for instrument, series in self._touched.items():
            self._tell(series.updates())
            if series.changed:
                self._scope.tables[OPEN].put(instrument, encode_series(series.state, self._encoders))
                series.changed = False
        self._folder.store()
        for instrument, series in self._touched.items():
            kept = series.keepable and self._folder.keep(series)
            if not kept and not series.window_holds():
                self._folder.arm(instrument, series.window())
        self._touched.clear()
        self._add_counts()
        effects, self._effects = self._effects, Effects()
        effects.outputs += self._outbox.take()
        if len(self._series) > MOST_SERIES:
            self._forget_series()
        return effects

    def _apply(self, raw: RawRecord, record: TradeStreamRecord | None) -> None:
        try:
            if record is None:
                found, _ = decode_record(TRADES.name, raw, self._scope.codec, self._scope.max_skew)
                record = cast("TradeStreamRecord", found)
        except DataValidationError as error:
            self._refuse(Refusal(TRADES.name, raw, error.reason, str(error), error.field))
            return
        instrument = record.instrument
        series = self._series.get(instrument) or self._open_series(instrument)
        if not self._folder.release(series):
            self._merge_run(instrument, series)
        outcome, events = series.apply(record, raw.offset)
        self._tell(events)
        self._effects.counts[outcome.value] += 1
        self._effects.trades += isinstance(record, Trade)
        if outcome in _REFUSED:
            self._refuse(Refusal(TRADES.name, raw, outcome.value, _REFUSED[outcome]))
        self._touched[instrument] = series
        self._folder.arm(instrument, series.window())  # kept at the next commit: many that are not simple come together

    def _open_series(self, instrument: str) -> CandleSeries:
        state = decode_series(self._scope.tables[OPEN].get(instrument))
        self._known = max(self._known, state.applied_offset)
        series = self._series[instrument] = CandleSeries(
            instrument,
            state,
            ClosedCandles(instrument, self._scope.tables[CLOSED], self._encoders),
            intervals=self._intervals,
            grace=self._grace,
            source=(TRADES.name, self._scope.partition),
            calendar=self._calendars.of(instrument),
            carry=self._carry,
        )
        return series

    def _merge_run(self, instrument: str, series: CandleSeries) -> None:
        if (run := self._folder.take(instrument)) is not None:
            series.merge_run(run)
            self._touched[instrument] = series

    def _refuse(self, refusal: Refusal) -> None:
        if self._batch is not None:
            self._effects.refuse(self._batch, refusal)

    def _tell(self, events: Iterable[CandleEvent]) -> None:
        for event in events:
            self._outbox.append(message_of(CANDLES, event, self._scope.codec, self._scope.partitions))
            self._effects.candles[event.interval, event.kind] += 1
            if event.trade_count:
                self._effects.received_at = max(self._effects.received_at, event.received_at)

    def _add_counts(self) -> None:
        counts, effects = self._folder.take_counts(), self._effects
        effects.trades += counts.trades
        for outcome in (Outcome.APPLIED, Outcome.UNCHANGED, Outcome.DUPLICATE, Outcome.REPLAYED):
            effects.counts[outcome.value] += getattr(counts, outcome.value)
        effects.candles += counts.told
        effects.received_at = max(effects.received_at, counts.received_at)

    def _forget_series(self) -> None:
        """Let all series go: everything is stored, and they are read back as they are needed."""
        self._folder = self._open_folder()
        self._series.clear()


def build(settings: ProcessorSettings) -> Computation:
    """The computation as configured."""
    intervals, calendars = [parse_interval(name) for name in settings.intervals], Calendars(settings.calendars)
    grace, carry = round(settings.grace_seconds * 1e6), settings.empty_intervals == "carry"

    def begin(scope: Scope) -> CandlesFold:
        return CandlesFold(scope, intervals, grace, calendars, carry=carry)

    # Closed candles are written first: the state of open ones holds the offset that keeps a replay from writing them again.
    return Computation((TRADES,), (CANDLES,), (CLOSED, OPEN), begin)
