"""Trades to price changes, throttled by the records' own time."""

from __future__ import annotations

from collections.abc import Sequence

from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.price_change import PriceChanges, Threshold, Throttle
from market.trade import GapMark
from processors.batch import Refusal, SourceRecord
from processors.computation import Effects, Tables, by_instrument
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
    def source(self) -> Topic:
        """The trade stream."""
        return TRADES

    @property
    def tables(self) -> Sequence[str]:
        """Last prices by instrument."""
        return (STATE,)

    def fold(self, topic: str, partition: int, records: Sequence[SourceRecord], tables: Tables) -> Effects:
        """Events in the order of their triggers."""
        effects = Effects()
        for instrument, found in by_instrument(records).items():
            state = decode_price(tables[STATE].get(instrument))
            effects.known = max(effects.known, state.applied_offset)
            changes = PriceChanges(
                instrument,
                state,
                source=(topic, partition),
                throttle=self._throttle,
                threshold=self._threshold,
            )
            self._apply(changes, found, effects)
            if changes.changed:
                effects.write(STATE, instrument, encode_price(changes.state))
        return effects

    @staticmethod
    def _apply(changes: PriceChanges, records: Sequence[SourceRecord], effects: Effects) -> None:
        for record, raw in records:
            if isinstance(record, GapMark):
                continue
            try:
                event = changes.apply(record, raw.offset)
            except DataValidationError as error:
                effects.refusals.append(Refusal(raw, error.reason, str(error), error.field))
                continue
            if event is not None:
                effects.outputs.append((PRICE_CHANGES, event))


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
