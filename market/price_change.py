"""Price changes: what they are, and which of them are told.

Only a trade later than the last one in the order (event time, sequence) can change the price. Told are changes at most once
per throttle period, leading edge first, decided by the records' own times, so that a replay tells the same ones:

- A trade tells what is pending when it was received a period or more after the trigger of the last event told.
- A time mark knows event time alone, which lags behind receive times where a recording is replayed. It tells what is pending
  when it lies a period or more after the event time of that trigger (its receive time, where the venue's clock is ahead).
- The event's `received_at` is that of the trade, or the mark's time, but no earlier than the last trade was received.

So two trades never tell within one period; a mark may, by as much as the venue's clock is behind the receiver's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from market.decimals import ONE, divide_half_even
from market.quality import check_figure
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

    def with_ticks(self, ticks: int, tick_size: int) -> Threshold:
        """The threshold that a change of so many ticks reaches, too; a tick (scale 12) is the instrument's least price step."""
        by_ticks = ticks * tick_size
        return Threshold(by_ticks if self.absolute is None else min(self.absolute, by_ticks), self.percent)

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
    percent = _percent(old_price, new_price)
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


def _percent(old_price: int, new_price: int) -> int:
    return divide_half_even((new_price - old_price) * _PER_CENT, old_price)


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
    """What the price changes of an instrument remember; plain data.

    `order` is (event time, sequence) of the last trade, `told_at` and `told_event_time` are the times of the last event told.
    """

    applied_offset: int = -1
    order: tuple[int, int] | None = None
    price: int = 0
    exchange_time: int | None = None
    received_at: int = 0
    told_price: int = 0
    told_at: int = 0
    told_event_time: int = 0
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
        self.threshold = threshold

    def apply(self, record: Trade | TimeMark, offset: int) -> PriceChangedEvent | None:
        """Take in one record at `offset`; at or below the last applied offset nothing happens.

        Raises DataValidationError (`too_large`), and remembers nothing of the record, when its price is so far from the one
        told last that no event could say by how many per cent.
        """
        if offset <= self.state.applied_offset:
            return None
        event = self._trade(record, offset) if isinstance(record, Trade) else self._mark(record, offset)
        self.state.applied_offset = offset
        return event

    def _trade(self, trade: Trade, offset: int) -> PriceChangedEvent | None:
        state, order = self.state, (trade.event_time, trade.sequence)
        if state.order is not None and order <= state.order:
            return None
        first = state.order is None
        if not first and trade.price != state.price:
            check_figure(_percent(state.told_price, trade.price), field="change_percent")
            state.pending += 1
        state.order, state.price, self.changed = order, trade.price, True
        state.exchange_time, state.received_at = trade.exchange_time, trade.received_at
        if first:
            state.told_price = trade.price
            return None
        if not self._is_due(trade.received_at - state.told_at):
            return None
        return self._tell(trade.received_at, min(trade.event_time, trade.received_at), offset)

    def _mark(self, mark: TimeMark, offset: int) -> PriceChangedEvent | None:
        state = self.state
        if not self._is_due(mark.time - state.told_event_time):
            return None
        return self._tell(max(mark.time, state.received_at), mark.time, offset)

    def _is_due(self, passed: int) -> bool:
        """Whether what is pending is told now that so many microseconds have passed since the last event."""
        pending, throttle = self.state.pending, self._throttle
        return bool(pending) and (not throttle.enabled or passed >= throttle.micros or pending >= throttle.events)

    def _tell(self, now: int, event_time: int, offset: int) -> PriceChangedEvent | None:
        state = self.state
        old, changes = state.told_price, state.pending
        state.pending, self.changed = 0, True
        if old == state.price:
            return None
        state.told_price, state.told_at, state.told_event_time = state.price, now, event_time
        return create(
            self.instrument,
            old,
            state.price,
            received_at=now,
            source=(*self._source, offset),
            exchange_time=state.exchange_time,
            changes=changes,
            threshold=self.threshold,
        )
