"""Price changes: what they are, and which of them are told.

Only a trade later than the last one in the order (event time, sequence) can change the price. Told are changes at most once
per throttle period, leading edge first, decided by the records' own times, so that a replay tells the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from market.decimals import ONE, divide_half_even
from market.trade import TimeMark, Trade

_PER_CENT = 100 * ONE


class PriceChangedEvent(NamedTuple):
    """The price of an instrument moved from `old_price` to `new_price` (unscaled, scale 12).

    `change` is new minus old; `change_percent` is per cent of the old price at scale 12, half-even. `changes` counts the single
    price moves it sums up. The source fields name the record that triggered it: they are its identity.
    """

    instrument: str
    old_price: int
    new_price: int
    change: int
    change_percent: int
    changes: int
    is_significant: bool
    exchange_time: int | None
    received_at: int
    source_topic: str
    source_partition: int
    source_offset: int

    @property
    def is_price_up(self) -> bool:
        """Whether the price rose."""
        return self.change > 0

    @property
    def is_price_down(self) -> bool:
        """Whether the price fell."""
        return self.change < 0

    def is_significant_change(self, threshold: Threshold) -> bool:
        """Whether the change reaches a threshold."""
        return threshold.reached_by(self.change, self.change_percent)


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a change matters: by price difference or by per cent (both at scale 12), None where unlimited.

    A change is significant when it reaches any given threshold; with none given every change is.
    """

    absolute: int | None = None
    percent: int | None = None

    def reached_by(self, change: int, change_percent: int) -> bool:
        """Whether the change, in either direction, reaches a threshold."""
        if self.absolute is None and self.percent is None:
            return True
        by_price = self.absolute is not None and abs(change) >= self.absolute
        return by_price or (self.percent is not None and abs(change_percent) >= self.percent)


def create(
    instrument: str,
    old_price: int,
    new_price: int,
    *,
    received_at: int,
    source: tuple[str, int, int],
    exchange_time: int | None = None,
    changes: int = 1,
    threshold: Threshold = Threshold(),  # immutable
) -> PriceChangedEvent:
    """Make the event of one change; `source` is the trigger's topic, partition and offset."""
    change = new_price - old_price
    percent = divide_half_even(change * _PER_CENT, old_price)
    return PriceChangedEvent(
        instrument,
        old_price,
        new_price,
        change,
        percent,
        changes,
        threshold.reached_by(change, percent),
        exchange_time,
        received_at,
        *source,
    )


def create_batch(
    moves: Iterable[tuple[str, int, int]], *, received_at: int, source: tuple[str, int, int]
) -> list[PriceChangedEvent]:
    """Events of several (instrument, old price, new price) that one record caused; moves that change nothing give none."""
    return [
        create(instrument, old, new, received_at=received_at, source=source) for instrument, old, new in moves if old != new
    ]


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most one event per `micros` microseconds, or per `events` changes if sooner; disabled tells every change."""

    micros: int = 100_000
    events: int = 100
    enabled: bool = True


@dataclass(slots=True)
class PriceState:
    """What the price changes of an instrument remember; plain data. `order` is (event time, sequence) of the last trade."""

    applied_offset: int = -1
    order: tuple[int, int] | None = None
    price: int = 0
    exchange_time: int | None = None
    told_price: int = 0
    told_at: int = 0
    pending: int = 0


class PriceChanges:
    """Applies the records of one instrument's trade stream and gives the changes to tell."""

    def __init__(
        self,
        instrument: str,
        state: PriceState,
        *,
        source: tuple[str, int],
        throttle: Throttle,
        threshold: Threshold,
    ) -> None:
        self.instrument = instrument
        self.state = state
        self.changed = False
        self._source = source
        self._throttle = throttle
        self._threshold = threshold

    def apply(self, record: Trade | TimeMark, offset: int) -> PriceChangedEvent | None:
        """Take in one record at `offset`; at or below the last applied offset nothing happens."""
        state = self.state
        if offset <= state.applied_offset:
            return None
        state.applied_offset = offset
        if isinstance(record, Trade):
            return self._trade(record, offset)
        return self._tell(record.time, offset) if self._is_due(record.time) else None

    def _trade(self, trade: Trade, offset: int) -> PriceChangedEvent | None:
        state, order = self.state, (trade.event_time, trade.sequence)
        if state.order is not None and order <= state.order:
            return None
        first = state.order is None
        state.order, state.exchange_time, self.changed = order, trade.exchange_time, True
        if first:
            state.price = state.told_price = trade.price
            return None
        if trade.price != state.price:
            state.price = trade.price
            state.pending += 1
        return self._tell(trade.received_at, offset) if self._is_due(trade.received_at) else None

    def _is_due(self, now: int) -> bool:
        state, throttle = self.state, self._throttle
        if not state.pending:
            return False
        return not throttle.enabled or now - state.told_at >= throttle.micros or state.pending >= throttle.events

    def _tell(self, now: int, offset: int) -> PriceChangedEvent | None:
        state = self.state
        old, changes = state.told_price, state.pending
        state.pending, self.changed = 0, True
        if old == state.price:
            return None
        state.told_price, state.told_at = state.price, now
        return create(
            self.instrument,
            old,
            state.price,
            received_at=now,
            source=(*self._source, offset),
            exchange_time=state.exchange_time,
            changes=changes,
            threshold=self._threshold,
        )
