"""Our candles reconciled with the venue's klines, interval by interval, for one instrument.

In go the records of two topics, in any order beside each other, out come verdicts. A verdict is a function of the latest
version of the candle and of the kline, and falls with whichever of both comes later; so the last one of an interval does not
depend on the order. A side that is silent is taken to have nothing to tell once its own topic is `kline_sides.WAIT` further in
event time, never by the other's time.

Corrections and restatements within the horizon give a new verdict, in place of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from market.candle import CandleEvent
from market.candle_series import CandleKey
from market.errors import DataValidationError
from market.interval import MINUTE
from market.kline_comparison import Difference, differences, is_empty
from market.kline_rules import Closing, KlineRule
from market.kline_sides import HeldCandle, HeldKline, Side, close_time, due_time, figures
from market.quality import MAX_CLOCK_SKEW
from market.quote import Kline

AnySide = Side[HeldCandle] | Side[HeldKline]


class Outcome(StrEnum):
    """What the comparison of an interval came to.

    EQUAL, DIFFERENT: both sides are there. EMPTY: the kline says that there were no trades, and we have no candle.
    MISSING_CANDLE, MISSING_KLINE: one side is there alone. NOT_COVERED: our trades do not reach back to its beginning.
    NOT_STATED: the venue's klines do not. UNANSWERED: one side was forgotten before the other was read so far. BEYOND_HORIZON:
    a record came too late to be compared. OTHER_INTERVAL: the kline is of one that no candle has, such as a week,
    or begins within a minute.
    """

    EQUAL = "equal"
    DIFFERENT = "different"
    EMPTY = "empty"
    MISSING_CANDLE = "missing_candle"
    MISSING_KLINE = "missing_kline"
    NOT_COVERED = "not_covered"
    NOT_STATED = "not_stated"
    UNANSWERED = "unanswered"
    BEYOND_HORIZON = "beyond_horizon"
    OTHER_INTERVAL = "other_interval"


class Verdict(NamedTuple):
    """What became of an interval, and the versions of both sides that it is about."""

    key: CandleKey
    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    candle: HeldCandle | None = None
    kline: HeldKline | None = None

    @property
    def is_revised(self) -> bool:
        """Whether there may have been another verdict before, so that this one must be told even if nothing differs."""
        return any(side is not None and side.is_revised for side in (self.candle, self.kline))


def is_needed(record: CandleEvent | Kline, rule: KlineRule) -> bool:
    """Whether a record is of a closed candle, or of a kline that is closed or can only be seen to be so by the next one."""
    return record.is_closed or (isinstance(record, Kline) and rule.closing is Closing.NEXT_KLINE)


class Reconciliation:
    """Applies the candle events and klines of one instrument to what is held of both."""

    def __init__(self, candles: Side[HeldCandle], klines: Side[HeldKline], rule: KlineRule) -> None:
        self.candles = candles
        self.klines = klines
        self.candles_changed = self.klines_changed = False
        self._rule = rule

    def apply_candle(self, event: CandleEvent, offset: int) -> list[Verdict]:
        """Take in a closed candle's event at `offset` of its topic; at or below the last applied offset nothing happens."""
        side, key = self.candles, (event.interval, event.open_time)
        if not _is_next(side, offset):
            return []
        before = side.held.get(key)
        if before is not None and event.version <= before.version:
            return []  # told again after a crash
        if side.is_beyond(key):
            return [Verdict(key, Outcome.BEYOND_HORIZON)]
        is_late = side.is_silent_on(key) if before is None else before.is_late
        self.candles_changed, was = True, side.time
        side.hold(key, _held_candle(event, offset, is_late=is_late), event.close_time)
        return [*self._verdicts([key]), *self._silent(self.klines, side, was), *self._forget(side, self.klines)]

    def apply_kline(self, kline: Kline, offset: int) -> list[Verdict]:
        """Take in a kline that `is_needed` at `offset` of its topic; at or below the last applied offset nothing happens."""
        side, key = self.klines, (kline.interval, kline.open_time)
        if not _is_next(side, offset):
            return []
        try:
            end = close_time(key)
        except DataValidationError:
            return [Verdict(key, Outcome.OTHER_INTERVAL)] if kline.is_closed else []
        if kline.open_time % MINUTE:
            return [Verdict(key, Outcome.OTHER_INTERVAL)]
        if side.is_beyond(key):
            return [Verdict(key, Outcome.BEYOND_HORIZON)]
        was, is_late = side.time, side.is_silent_on(key)
        told_at = end if kline.is_closed else kline.open_time
        latest = kline.received_at + MAX_CLOCK_SKEW  # one false word must not make all others too late
        side.time = max(was, min(told_at, latest))
        told = self._close_followed() if side.time > was else []
        told += self._hold(key, kline, offset, is_late=is_late)
        if side.time == was and not told:
            return []
        self.klines_changed = True
        return [*self._verdicts(told), *self._silent(self.candles, side, was), *self._forget(side, self.candles)]

    def _close_followed(self) -> list[CandleKey]:
        """Klines that are closed because later ones have begun."""
        side = self.klines
        found = [key for key, held in side.held.items() if not held.is_closed and close_time(key) <= side.time]
        for key in found:
            side.held[key] = side.held[key]._replace(is_closed=True)
        return found

    def _hold(self, key: CandleKey, kline: Kline, offset: int, *, is_late: bool) -> list[CandleKey]:
        """Keep a kline; its key if that says something new."""
        side, before = self.klines, self.klines.held.get(key)
        is_closed = kline.is_closed or close_time(key) <= side.time
        restatements = 0
        if before is not None:
            is_restated = figures(before) != figures(kline)
            if not is_restated and is_closed == before.is_closed:
                return []  # told again
            restatements, is_late = before.restatements + (before.is_closed and is_restated), before.is_late
        previous = side.held.get((key[0], 2 * key[1] - close_time(key)))
        side.hold(
            key,
            HeldKline(
                *figures(kline),
                is_closed=is_closed,
                restatements=restatements,
                previous_close=previous.close if previous is not None and previous.is_closed else None,
                received_at=kline.received_at,
                offset=offset,
                is_late=is_late,
            ),
            side.time,
        )
        return [key]

    # verdicts

    def _verdicts(self, keys: Iterable[CandleKey]) -> list[Verdict]:
        return [verdict for key in keys if (verdict := self._verdict(key)) is not None]

    def _silent(self, of: AnySide, side: AnySide, was: int) -> list[Verdict]:
        """What is to be said of intervals that one side told of, now that the other was read on from `was`."""
        due = sorted(key for key in of.held if key not in side.held and was < due_time(key) <= side.time)
        return self._verdicts(due)

    def _forget(self, side: AnySide, other: AnySide) -> list[Verdict]:
        """Counted is what the other side was not read far enough to answer."""
        return [Verdict(key, Outcome.UNANSWERED) for key in side.forget() if key not in other.held and not other.is_past(key)]

    def _verdict(self, key: CandleKey) -> Verdict | None:
        """None while one side may still tell of the interval."""
        candle, kline = self.candles.held.get(key), self.klines.held.get(key)
        if kline is None:
            return self._without_kline(key, candle) if candle is not None and self.klines.is_past(key) else None
        if not kline.is_closed or (candle is None and not self.candles.is_past(key)):
            return None
        if not (self.candles.tells_of(key) if candle is None else candle.complete or candle.gap):
            return Verdict(key, Outcome.NOT_COVERED, (), candle, kline)
        found = differences(candle, kline, self._rule, kline.previous_close)
        if candle is None:
            outcome = (Outcome.DIFFERENT if found else Outcome.EMPTY) if is_empty(kline) else Outcome.MISSING_CANDLE
        else:
            outcome = Outcome.DIFFERENT if found else Outcome.EQUAL
        return Verdict(key, outcome, found, candle, kline)

    def _without_kline(self, key: CandleKey, candle: HeldCandle) -> Verdict:
        if not candle.trade_count:
            return Verdict(key, Outcome.EMPTY, (), candle)  # a venue need not state a kline of nothing
        outcome = Outcome.MISSING_KLINE if self.klines.tells_of(key) else Outcome.NOT_STATED
        return Verdict(key, outcome, (), candle)


def _is_next(side: AnySide, offset: int) -> bool:
    """Whether a record is one that the side has not taken in; from now on it has."""
    if offset <= side.applied_offset:
        return False
    side.applied_offset = offset
    return True


def _held_candle(event: CandleEvent, offset: int, *, is_late: bool) -> HeldCandle:
    return HeldCandle(
        event.open,
        event.high,
        event.low,
        event.close,
        event.volume,
        event.amount,
        event.taker_buy_volume,
        event.trade_count,
        event.revision,
        event.source_offset,
        event.complete,
        event.gap,
        event.received_at,
        offset,
        is_late,
    )
