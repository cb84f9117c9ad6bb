"""Trades to price changes, throttled by the records' own time."""

from __future__ import annotations

from collections.abc import Mapping

from market.candle_series import Outcome
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.price_change import PriceChangedEvent, PriceChanges, Threshold, Throttle
from market.trade import TimeMark, Trade, TradeStreamRecord
from processors.batch import Batch, RawRecord, Refusal, decode_record
from processors.changes import open_folder
from processors.changes.protocol import ChangeFolder, Telling
from processors.computation import Computation, Effects, Scope
from processors.figures import unscaled
from processors.outbox import open_outbox
from processors.outputs import message_of
from processors.runs.protocol import Contract
from processors.states.price_changes import decode_price, encode_price
from runtime.errors import ConfigurationError, Problem
from runtime.settings import ProcessorSettings, SignificanceSettings
from schemas.partitioning import partition_of
from schemas.topics import PRICE_CHANGES, TRADES

STATE = "price-changes"

MOST_INSTRUMENTS = 20_000
"""Instruments of a partition held in memory; beyond it those in use are read from the table again."""


class PriceChangesFold:
    """The price changes of one partition.

    Most records are taken in without a Python object for each (`processors.changes`), all others come to `_apply` one by one.
    """

    def __init__(self, scope: Scope, throttle: Throttle, threshold: Threshold, thresholds: Mapping[str, Threshold]) -> None:
        self._known = -1
        self._scope = scope
        self._throttle = throttle
        self._threshold = threshold
        self._thresholds = thresholds
        self._changes: dict[str, PriceChanges] = {}
        self._touched: dict[str, PriceChanges] = {}  # of those that the folder does not keep
        self._outbox = open_outbox(compiled=scope.compiled)
        self._effects = Effects()
        self._batch: Batch | None = None
        self._folder = self._open_folder()

    def _open_folder(self) -> ChangeFolder:
        scope = self._scope
        trade_id, mark_id = (scope.codec.schema_id(TRADES.name, record_type) for record_type in (Trade, TimeMark))
        telling = Telling(
            self._throttle,
            (TRADES.name, scope.partition),
            PRICE_CHANGES.name,
            scope.codec.schema_id(PRICE_CHANGES.name, PriceChangedEvent),
            lambda instrument: partition_of(instrument, PRICE_CHANGES.partitions(scope.partitions)),
            self._outbox,
            scope.tables[STATE],
        )
        return open_folder(Contract(trade_id, mark_id, scope.max_skew), self._apply, telling, compiled=scope.compiled)

    def known(self, topic: str) -> int:
        """Highest offset that the states read from the table had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        self._batch = batch
        for part in batch.parts:
            self._folder.fold(part)

    def take(self) -> Effects:
        """Events in the order of their triggers; the state of every instrument that changed is stored."""
        for instrument, changes in self._touched.items():
            if changes.changed:
                self._scope.tables[STATE].put(instrument, encode_price(changes.state))
                changes.changed = False
        self._touched.clear()
        self._folder.store()
        counts = self._folder.take_counts()
        effects, self._effects = self._effects, Effects()
        effects.outputs += self._outbox.take()
        effects.trades += counts.trades
        effects.counts[Outcome.REPLAYED.value] += counts.replayed
        if len(self._changes) > MOST_INSTRUMENTS:
            self._forget_instruments()
        return effects

    def _apply(self, raw: RawRecord, record: TradeStreamRecord | None) -> None:
        try:
            found = record or decode_record(TRADES.name, raw, self._scope.codec, self._scope.max_skew).record
        except DataValidationError as error:
            self._refuse(raw, error)
            return
        if not isinstance(found, Trade | TimeMark):
            return
        self._effects.trades += isinstance(found, Trade)
        changes = self._changes.get(found.instrument) or self._open_changes(found.instrument)
        self._folder.release(changes)
        self._effects.counts[Outcome.REPLAYED.value] += raw.offset <= changes.state.applied_offset
        try:
            event = changes.apply(found, raw.offset)
        except DataValidationError as error:
            self._refuse(raw, error)
        else:
            if event is not None:
                self._outbox.append(message_of(PRICE_CHANGES, event, self._scope.codec, self._scope.partitions))
        if not self._folder.keep(changes):
            self._touched[found.instrument] = changes

    def _open_changes(self, instrument: str) -> PriceChanges:
        state = decode_price(self._scope.tables[STATE].get(instrument))
        self._known = max(self._known, state.applied_offset)
        changes = self._changes[instrument] = PriceChanges(
            instrument,
            state,
            source=(TRADES.name, self._scope.partition),
            throttle=self._throttle,
            threshold=self._thresholds.get(instrument, self._threshold),
        )
        return changes

    def _refuse(self, raw: RawRecord, error: DataValidationError) -> None:
        if self._batch is not None:
            self._effects.refuse(self._batch, Refusal(TRADES.name, raw, error.reason, str(error), error.field))

    def _forget_instruments(self) -> None:
        """Let all go: everything is stored, and they are read back as they are needed."""
        self._folder = self._open_folder()
        self._changes.clear()


def build(settings: ProcessorSettings) -> Computation:
    """The computation as configured. Raises ConfigurationError."""
    changes = settings.price_changes
    throttle = Throttle(round(changes.throttle.seconds * 1e6), changes.throttle.events, changes.throttle.enabled)
    default = changes.significance
    thresholds = {}
    for instrument, own in changes.instruments.items():
        key = f"processors.price_changes.instruments.{instrument}"
        try:
            check_instrument(instrument)
        except DataValidationError as error:
            raise ConfigurationError(Problem(key, str(error))) from error
        given = {name: getattr(own, name) for name in own.model_fields_set}
        thresholds[instrument] = _threshold(default.model_copy(update=given), key)
    threshold = _threshold(default, "processors.price_changes.significance")

    def begin(scope: Scope) -> PriceChangesFold:
        return PriceChangesFold(scope, throttle, threshold, thresholds)

    return Computation((TRADES,), (PRICE_CHANGES,), (STATE,), begin)


def _threshold(significance: SignificanceSettings, key: str) -> Threshold:
    """The threshold that a section says, whose name is `key`. Raises ConfigurationError."""
    absolute, percent, tick_size = (
        None if value is None else unscaled(value, f"{key}.{name}")
        for name, value in (
            ("absolute", significance.absolute),
            ("percent", significance.percent),
            ("tick_size", significance.tick_size),
        )
    )
    threshold = Threshold(absolute, percent)
    if significance.ticks is None:
        return threshold
    if tick_size is None:
        raise ConfigurationError(Problem(f"{key}.tick_size", f"is needed for {key}.ticks: how large a tick is"))
    return threshold.with_ticks(significance.ticks, tick_size)
