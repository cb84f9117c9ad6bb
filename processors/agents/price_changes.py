"""Trades to price changes, throttled by the records' own time."""

from __future__ import annotations

from collections.abc import Sequence

from market.decimals import parse_decimal
from market.price_change import PriceChanges, Threshold, Throttle
from market.trade import GapMark
from processors.batch import SourceRecord
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
            changes = PriceChanges(
                instrument,
                decode_price(tables[STATE].get(instrument)),
                source=(topic, partition),
                throttle=self._throttle,
                threshold=self._threshold,
            )
            for record, raw in found:
                event = None if isinstance(record, GapMark) else changes.apply(record, raw.offset)
                if event is not None:
                    effects.outputs.append((PRICE_CHANGES, event))
            if changes.changed:
                effects.write(STATE, instrument, encode_price(changes.state))
        return effects


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
