"""Trades to price changes, throttled by the records' own time."""

from __future__ import annotations

from collections.abc import Sequence

from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.price_change import PriceChanges, Threshold, Throttle
from market.trade import TimeMark, Trade
from processors.batch import Batch, Refusal, SourceRecord
from processors.computation import Effects, Scope
from processors.outputs import message_of
from processors.state import decode_price, encode_price
from runtime.settings import ProcessorSettings
from schemas.topics import PRICE_CHANGES, TRADES, Topic

STATE = "price-changes"


class PriceChangesOfTrades:
    """Tells the price changes in the trade stream of each instrument."""

    def __init__(self, throttle: Throttle, threshold: Threshold) -> None:
        self._throttle = throttle
        self._threshold = threshold

    @property
    def sources(self) -> Sequence[Topic]:
        """The trade stream."""
        return (TRADES,)

    @property
    def outputs(self) -> Sequence[Topic]:
        """Price changes."""
        return (PRICE_CHANGES,)

    @property
    def tables(self) -> Sequence[str]:
        """Last prices by instrument."""
        return (STATE,)

    def open(self, scope: Scope) -> PriceChangesFold:
        """Begin the price changes of a partition."""
        return PriceChangesFold(scope, self._throttle, self._threshold)


class PriceChangesFold:
    """The price changes of one partition; between commits the instruments in use are held in memory."""

    def __init__(self, scope: Scope, throttle: Throttle, threshold: Threshold) -> None:
        self._known = -1
        self._scope = scope
        self._throttle = throttle
        self._threshold = threshold
        self._changes: dict[str, PriceChanges] = {}
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset that the states read from the table had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        records, refusals = batch.decode(self._scope.codec, self._scope.max_skew)
        for refusal in refusals:
            self._refuse(batch, refusal)
        for source in records:
            self._effects.trades += isinstance(source.record, Trade)
            self._apply(batch, source)

    def take(self) -> Effects:
        """Events in the order of their triggers; the state of every instrument that changed is stored."""
        for instrument, changes in self._changes.items():
            if changes.changed:
                self._scope.tables[STATE].put(instrument, encode_price(changes.state))
        self._changes.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _apply(self, batch: Batch, source: SourceRecord) -> None:
        record, raw = source
        if not isinstance(record, Trade | TimeMark):
            return
        try:
            event = self._of(record.instrument).apply(record, raw.offset)
        except DataValidationError as error:
            self._refuse(batch, Refusal(batch.topic, raw, error.reason, str(error), error.field))
            return
        if event is not None:
            self._effects.outputs.append(message_of(PRICE_CHANGES, event, self._scope.codec, self._scope.partitions))

    def _of(self, instrument: str) -> PriceChanges:
        changes = self._changes.get(instrument)
        if changes is None:
            state = decode_price(self._scope.tables[STATE].get(instrument))
            self._known = max(self._known, state.applied_offset)
            source = TRADES.name, self._scope.partition
            changes = PriceChanges(instrument, state, source=source, throttle=self._throttle, threshold=self._threshold)
            self._changes[instrument] = changes
        return changes

    def _refuse(self, batch: Batch, refusal: Refusal) -> None:
        if batch.refuses_first(refusal):
            self._effects.refusals.append(refusal)


def build(settings: ProcessorSettings) -> PriceChangesOfTrades:
    """The computation as configured."""
    changes = settings.price_changes
    throttle = Throttle(round(changes.throttle.seconds * 1e6), changes.throttle.events, changes.throttle.enabled)
    absolute, percent = changes.significance.absolute, changes.significance.percent
    return PriceChangesOfTrades(
        throttle,
        Threshold(
            None if absolute is None else parse_decimal(str(absolute), field="significance.absolute"),
            None if percent is None else parse_decimal(str(percent), field="significance.percent"),
        ),
    )
