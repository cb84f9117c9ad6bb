"""The candles of one instrument as a state machine over its trade stream.

In go the records of the stream in order, one by one or summed up as runs (`market.run`), out come candle events. The state is
plain data (`SeriesState`) that a caller stores between records; closed candles live in a mapping of their own (`closed`),
because they are many and rarely touched.
A result is a function of the records alone: no clock is read, and where a caller cuts the stream into batches decides
only which UPDATE events it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import NamedTuple

from market.candle import Candle, CandleEvent, CandleEventKind, candle_of, carried, merge
from market.decimals import AMOUNT_PRECISION, PRECISION
from market.gaps import KnownGaps
from market.grid import Grid, Stretch
from market.interval import Interval, parse_interval
from market.quality import MAX_CLOCK_SKEW
from market.run import NEVER, Run, Window
from market.seen_trades import SeenTrades, Verdict
from market.session import TradingCalendar
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from market.watermark import Watermark

HORIZON = 24 * 3_600 * 1_000_000
"""How far behind the watermark (microseconds) a late trade still corrects its candle, and a candle without trades is made."""

LARGEST_RUN_VOLUME, LARGEST_RUN_AMOUNT = 2**100, 2**126
"""Sums that no run reaches (scales 12 and 24): who sums up runs holds them, and the sum of two, in 128 bits."""

_ROOM_FOR_RUNS: tuple[int, int] = 10**PRECISION - LARGEST_RUN_VOLUME, 10**AMOUNT_PRECISION - LARGEST_RUN_AMOUNT

CandleKey = tuple[str, int]
"""Interval name and open time."""


class Outcome(Enum):
    """What became of a record."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REPLAYED = "replayed"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    TOO_LATE = "too_late"
    TOO_LARGE = "too_large"
    OFF_SESSION = "off_session"
    OFF_CALENDAR = "off_calendar"


class OpenCandle(NamedTuple):
    """A candle still open, and the offset of the last record that changed it or its gap flag."""

    candle: Candle
    source_offset: int


class ClosedCandle(NamedTuple):
    """A closed candle with its version and flags."""

    candle: Candle
    revision: int
    source_offset: int
    complete: bool
    gap: bool


class _Stretch(NamedTuple):
    """What of a `Window` follows from the open candles alone."""

    begin: int
    end: int
    closes_at: int


@dataclass(slots=True)
class SeriesState:
    """What an instrument's candles remember between records.

    `applied_offset`: last stream offset taken in (-1: none). `latest`: latest event time, `latest_trade`: that of a trade.
    `observed_from`: event time of the first trade folded, by interval. `closed`: earliest and latest open time of the closed
    candles still held, by interval. `gaps`: those that a candle within the horizon may touch.
    """

    applied_offset: int = -1
    latest: int = 0
    latest_trade: int = 0
    observed_from: dict[str, int] = field(default_factory=dict)
    seen: SeenTrades = field(default_factory=SeenTrades)
    open: dict[CandleKey, OpenCandle] = field(default_factory=dict)
    closed: dict[str, tuple[int, int]] = field(default_factory=dict)
    gaps: KnownGaps = field(default_factory=KnownGaps)


class CandleSeries:
    """Applies the records of one instrument's trade stream to its state.

    With a `calendar` bars are those of its sessions (`market.session`), and a trade outside of them is refused; without one
    they divide the UTC day. With `carry` an interval without trades gets a closed candle as well, `market.candle.carried`, once
    something was traded: as the watermark closes it, no further back than the horizon, so that a mark that jumps ahead makes
    no more than the candles of that time. What late trades change of the close carried is corrected, candle by candle.
    """

    def __init__(
        self,
        instrument: str,
        state: SeriesState,
        closed: MutableMapping[CandleKey, ClosedCandle],
        *,
        intervals: Sequence[Interval],
        grace: int,
        source: tuple[str, int],
        horizon: int = HORIZON,
        calendar: TradingCalendar | None = None,
        carry: bool = False,
    ) -> None:
        self.instrument = instrument
        self.state = state
        self.changed = False
        self._closed = closed
        self._intervals = intervals
        self._names = {interval.name for interval in intervals}
        known = self._names.union((name for name, _ in state.open), state.closed)
        self._calendar = calendar
        self._carry = carry
        self._grids = {name: _grid(parse_interval(name), calendar) for name in known}
        self._bars = [(interval.name, self._grids[interval.name]) for interval in intervals]
        self._observes_all = [*state.observed_from] == [interval.name for interval in intervals]
        self._stretch: _Stretch | None = None
        self._watermark = Watermark(state.latest, grace)
        self._source = source
        self._horizon = horizon
        self._dirty: set[CandleKey] = set()

    def apply(self, record: TradeStreamRecord, offset: int) -> tuple[Outcome, list[CandleEvent]]:
        """Take in one record of the stream at `offset`; a record at or below the last applied offset changes nothing."""
        if offset <= self.state.applied_offset:
            return Outcome.REPLAYED, []
        self.state.applied_offset = offset
        if isinstance(record, Trade):
            outcome, events = self._apply_trade(record, offset)
        elif isinstance(record, TimeMark):
            outcome, events = self._apply_mark(record, offset)
        else:
            outcome, events = self._apply_gap(record, offset)
        self.changed = self.changed or outcome is Outcome.APPLIED
        return outcome, events

    def updates(self) -> list[CandleEvent]:
        """UPDATE events of the open candles that changed since they were last asked for, oldest candle first."""
        keys, self._dirty = sorted(self._dirty, key=itemgetter(1)), set()
        return [self._open_event(key, CandleEventKind.UPDATE) for key in keys if key in self.state.open]

    # runs

    def window(self) -> Window:
        """What the next records must be to do nothing but merge into the open candles."""
        state, seen = self.state, self.state.seen
        return Window(state.applied_offset, seen.last, seen.without_holes_above, *self._open_stretch(), state.latest)

    def merge_run(self, run: Run) -> None:
        """Take in a run of the last window given, as `apply` would take in its records one by one."""
        state = self.state
        state.applied_offset, state.seen.last = run.applied_offset, run.last_id
        if run.candle is not None:
            state.latest_trade = max(state.latest_trade, run.candle.last.event_time)
            for key in self._keys_at(run.candle.first.event_time):
                self._set_open(key, merge(state.open[key].candle, run.candle), run.source_offset)
                self._dirty.add(key)
            self.changed = True
        if self._watermark.advance(run.latest):
            state.latest, self.changed = run.latest, True

    def _open_stretch(self) -> _Stretch:
        if self._stretch is None:
            self._stretch = self._find_stretch()
        return self._stretch

    def _find_stretch(self) -> _Stretch:
        """All of it is held by the newest open candle of every interval; it is empty if one has none, or no room for runs."""
        newest: dict[str, int] = {}
        closes_at = NEVER
        has_room = True
        for key, held in self.state.open.items():
            name, open_time = key
            if name in self._names:  # it is no longer, where the configuration has changed
                newest[name] = max(open_time, newest.get(name, 0))
            closes_at = min(closes_at, self._grids[name].settled_at(open_time) + self._watermark.grace)
            has_room = has_room and _has_room_for_runs(held.candle)
        if self._carry and (self.state.open or self.state.closed):
            closes_at = min(closes_at, *(self._next_settled_at(grid) + self._watermark.grace for _, grid in self._bars))
        if not (has_room and self._observes_all and len(newest) == len(self._names)):
            return _Stretch(0, 0, closes_at)
        begins, ends = zip(*(self._stretch_of_last_trade(key) for key in newest.items()), strict=True)
        return _Stretch(max(begins), min(ends), closes_at)

    def _stretch_of_last_trade(self, key: CandleKey) -> Stretch:
        name, open_time = key
        return self._grids[name].stretch_at(open_time, self.state.open[key].candle.last.event_time)

    def _next_settled_at(self, grid: Grid) -> int:
        """When the watermark closes the next bar, with or without trades; NEVER after the last one of a calendar."""
        following = next(grid.between(self._watermark.time, NEVER), None)
        return NEVER if following is None else grid.settled_at(following)

    def window_holds(self) -> bool:
        """Whether the window last given goes on as the runs since then left it; if not, it is to be asked for again."""
        return self._stretch is not None

    # kept elsewhere

    @property
    def keepable(self) -> bool:
        """Whether plain arithmetic does: bars divide the UTC day, open candles lie on them, nothing is carried."""
        grids, open_candles = self._grids, self.state.open
        if self._calendar is not None or self._carry:
            return False
        return all(grids[name].open_time(open_time) == open_time for name, open_time in open_candles)

    @property
    def longest(self) -> int:
        """No two trades of a candle of the series are further apart (microseconds)."""
        return max(grid.longest for grid in self._grids.values())

    def take_back(self, changed: bool, dirty: set[CandleKey]) -> None:
        """Go on with a state that somebody else went on with: whether it is to be stored, and the candles that changed."""
        self.changed, self._dirty = changed, dirty
        self._watermark = Watermark(self.state.latest, self._watermark.grace)
        self._stretch = None

    # trades

    def _apply_trade(self, trade: Trade, offset: int) -> tuple[Outcome, list[CandleEvent]]:
        if self._calendar is not None and self._calendar.day_at(trade.event_time) is None:
            return Outcome.OFF_SESSION if self._calendar.covers(trade.event_time) else Outcome.OFF_CALENDAR, []
        if trade.event_time < self._watermark.time - self._horizon:
            return Outcome.TOO_LATE, []
        addition, keys = candle_of(trade), self._keys_at(trade.event_time)
        if not self._has_room_for(addition, keys):
            return Outcome.TOO_LARGE, self._take_gap(trade.event_time, trade.event_time + 1, offset) or []
        verdict = self.state.seen.add(trade.trade_id)
        if verdict is not Verdict.NEW:
            return Outcome.DUPLICATE if verdict is Verdict.DUPLICATE else Outcome.TOO_OLD, []
        self._observe(trade)
        events = [event for key in keys for event in self._add(key, addition, offset)]
        events += self._advance(trade.event_time, offset)
        return Outcome.APPLIED, events

    def _observe(self, trade: Trade) -> None:
        state, time = self.state, trade.event_time
        state.latest_trade = max(state.latest_trade, time)
        if not self._observes_all:
            before = state.observed_from
            state.observed_from = {interval.name: before.get(interval.name, time) for interval in self._intervals}
            self._observes_all = True
            self._stretch = None
        if self._calendar is not None:  # an open candle goes on in another session, perhaps
            self._stretch = None

    def _has_room_for(self, addition: Candle, keys: Sequence[CandleKey]) -> bool:
        candles = (self._candle_at(key) for key in keys)
        return all(candle is None or candle.has_room_for(addition) for candle in candles)

    def _candle_at(self, key: CandleKey) -> Candle | None:
        holder = self.state.open.get(key) or (self._closed.get(key) if self._is_past(key) else None)
        return holder.candle if holder else None

    def _add(self, key: CandleKey, addition: Candle, offset: int) -> list[CandleEvent]:
        if self._is_past(key):
            return self._correct(key, addition, offset)
        before = self.state.open.get(key)
        if before is None:
            self._set_open(key, addition, offset)
            return [self._open_event(key, CandleEventKind.NEW)]
        self._set_open(key, merge(before.candle, addition), offset)
        self._dirty.add(key)
        return []

    def _set_open(self, key: CandleKey, candle: Candle, offset: int) -> None:
        if key not in self.state.open or not _has_room_for_runs(candle):
            self._stretch = None
        self.state.open[key] = OpenCandle(candle, offset)

    def _correct(self, key: CandleKey, addition: Candle, offset: int) -> list[CandleEvent]:
        before = self._closed.get(key)
        if before is None:
            gap, complete = self._flags(key)
            made = ClosedCandle(addition, 1, offset, complete, gap)
            return [self._close(key, made, CandleEventKind.CORRECTION), *self._carry_on(key, offset)]
        if before.source_offset >= offset:
            self._note_closed(key)
            return self._carry_on(key, offset, is_replay=True)
        candle = merge(before.candle, addition) if before.candle.trade_count else addition
        after = before._replace(candle=candle, revision=before.revision + 1, source_offset=offset)
        return [self._close(key, after, CandleEventKind.CORRECTION), *self._carry_on(key, offset)]

    # marks

    def _apply_mark(self, mark: TimeMark, offset: int) -> tuple[Outcome, list[CandleEvent]]:
        if mark.time <= self.state.latest:
            return Outcome.UNCHANGED, []
        return Outcome.APPLIED, self._advance(mark.time, offset)

    def _apply_gap(self, mark: GapMark, offset: int) -> tuple[Outcome, list[CandleEvent]]:
        begin, end = self._last_certain_time(mark.end) if mark.begin is None else mark.begin, mark.end
        if begin >= end or end <= self._watermark.time - self._horizon:
            return Outcome.UNCHANGED, []
        events = self._take_gap(begin, end, offset, healed=mark.healed)
        return (Outcome.UNCHANGED, []) if events is None else (Outcome.APPLIED, events)

    def _take_gap(self, begin: int, end: int, offset: int, *, healed: bool = False) -> list[CandleEvent] | None:
        """Corrections of closed candles; None when the gap says nothing new."""
        before = {key: self._has_gap(key) for key in self.state.open}
        if not (self.state.gaps.heal(begin, end) if healed else self.state.gaps.tell(begin, end)):
            return None
        self.changed = True
        for key, had_gap in before.items():
            if self._has_gap(key) != had_gap:
                self.state.open[key] = self.state.open[key]._replace(source_offset=offset)
                self._dirty.add(key)
        return self._reflag_closed(begin, end, offset)

    def _last_certain_time(self, end: int) -> int:
        """Until when trades were seen for certain, `end` if there were none: time marks may be ahead of the venue's clock."""
        return max(self.state.latest_trade, self.state.latest - MAX_CLOCK_SKEW) if self.state.latest else end

    def _reflag_closed(self, begin: int, end: int, offset: int) -> list[CandleEvent]:
        """A gap that becomes known, or is healed, after its candles closed corrects their flags."""
        events = []
        begin = max(begin, self._watermark.time - self._horizon)
        for key in self._keys_between(begin, min(end, self._watermark.time)):
            before = self._closed.get(key)
            gap, complete = self._flags(key)
            if before is None or before.source_offset >= offset or (before.gap, before.complete) == (gap, complete):
                continue
            revision = before.revision + 1 if before.candle.trade_count else _revision_without_trades(before)
            after = before._replace(revision=revision, source_offset=offset, complete=complete, gap=gap)
            events.append(self._close(key, after, CandleEventKind.CORRECTION))
        return events

    # closing

    def _advance(self, time: int, offset: int) -> list[CandleEvent]:
        if time <= self.state.latest:
            return []
        closes_at = self._open_stretch().closes_at  # which follows from the watermark before
        self._watermark.advance(time)
        self.state.latest = time
        if time < closes_at:
            return []
        past = [key for key in self.state.open if self._is_past(key)]
        if self._carry:
            past += self._empty_since(past)
            self._stretch = None
        past.sort(key=itemgetter(1))
        events = [self._close_past(key, offset) for key in past]
        self._forget_beyond_the_horizon()
        return events

    def _close_past(self, key: CandleKey, offset: int) -> CandleEvent:
        held = self.state.open.pop(key, None)
        self._stretch = None
        self._dirty.discard(key)
        earlier = self._closed.get(key)
        if earlier is not None and earlier.source_offset >= offset:
            # Closed, perhaps corrected too, by an earlier run whose state was lost with its last writes. It is told again, or
            # an UPDATE that this run has just repeated would stay the last word of a compacted topic.
            kind = CandleEventKind.CLOSE if earlier.revision == 1 else CandleEventKind.CORRECTION
            return self._close(key, earlier, kind)
        if held is None:
            name, newest = key[0], self.state.closed[key[0]][1]
            return self._carry_to(key, self._closed[name, newest], offset, CandleEventKind.CLOSE)
        gap, complete = self._flags(key)
        return self._close(key, ClosedCandle(held.candle, 1, offset, complete, gap), CandleEventKind.CLOSE)

    # intervals without trades

    def _empty_since(self, past: Sequence[CandleKey]) -> list[CandleKey]:
        """Bars without a trade that the watermark has passed; `past` are the open ones that it has."""
        found = []
        for name, grid in self._bars:
            before = [open_time for other, open_time in past if other == name]
            begin = self.state.closed[name][1] if name in self.state.closed else min(before, default=NEVER)
            for open_time in grid.between(max(begin, self._watermark.time - self._horizon), self._watermark.time):
                key = name, open_time
                if open_time > begin and key not in self.state.open and self._is_past(key):
                    found.append(key)
        return found

    def _carry_on(self, key: CandleKey, offset: int, *, is_replay: bool = False) -> list[CandleEvent]:
        """Correct, or make, the candles without trades that follow a closed one, up to the next with trades.

        One that fits already ends it, but in a replay: of the candles that a lost run has written only some may be there.
        """
        if not self._carry:
            return []
        events, source = [], self._closed[key]
        for open_time in self._grids[key[0]].between(key[1], self._watermark.time):
            following = key[0], open_time
            if open_time <= key[1] or not self._is_past(following):
                continue
            before = self._closed.get(following)
            if before is not None:
                self._note_closed(following)
                if before.candle.trade_count:
                    break
            if before is None or (before.source_offset < offset and before.candle != carried(source.candle)):
                events.append(self._carry_to(following, source, offset, CandleEventKind.CORRECTION))
            elif before.source_offset < offset and not is_replay:
                break
        return events

    def _carry_to(self, key: CandleKey, source: ClosedCandle, offset: int, kind: CandleEventKind) -> CandleEvent:
        """A new version of a candle without trades.

        Its versions are not counted beyond 2, the offset alone orders them: of a lost run, which may have told versions that
        are not known, no count would be right. One whose source such a run corrected at a later offset is no first version.
        """
        before = self._closed.get(key)
        revision = _revision_without_trades(before)
        if source.source_offset > offset:
            revision = 2
            kind = CandleEventKind.CORRECTION
        gap, complete = self._flags(key)
        return self._close(key, ClosedCandle(carried(source.candle), revision, offset, complete, gap), kind)

    # closed candles

    def _close(self, key: CandleKey, closed: ClosedCandle, kind: CandleEventKind) -> CandleEvent:
        self._closed[key] = closed
        self._note_closed(key)
        return self._event(
            key, closed.candle, kind, closed.revision, closed.source_offset, complete=closed.complete, gap=closed.gap
        )

    def _note_closed(self, key: CandleKey) -> None:
        oldest, newest = self.state.closed.get(key[0], (key[1], key[1]))
        self.state.closed[key[0]] = min(oldest, key[1]), max(newest, key[1])

    def _flags(self, key: CandleKey) -> tuple[bool, bool]:
        """(gap, complete) of a closed candle."""
        gap = self._has_gap(key)
        name, open_time = key
        begin = self._grids[name].stretches(open_time)[0].begin
        observed = name in self.state.observed_from and self.state.observed_from[name] < begin
        return gap, observed and not gap

    def _has_gap(self, key: CandleKey) -> bool:
        return any(self.state.gaps.touches(*stretch) for stretch in self._grids[key[0]].stretches(key[1]))

    def _forget_beyond_the_horizon(self) -> None:
        """Drop what no trade can touch any more: those that come are too late."""
        limit = self._watermark.time - self._horizon
        self.state.gaps.forget(limit - self.longest)
        for name in list(self.state.closed):
            self._forget_closed(name, limit)

    def _forget_closed(self, name: str, limit: int) -> None:
        grid, (oldest, newest) = self._grids[name], self.state.closed[name]
        for open_time in grid.between(oldest, newest + 1):
            if grid.settled_at(open_time) > limit or (self._carry and open_time == newest):  # its close may be carried yet
                self.state.closed[name] = open_time, newest
                return
            self._closed.pop((name, open_time), None)
        del self.state.closed[name]

    # keys and events

    def _keys_at(self, time: int) -> list[CandleKey]:
        return [(name, grid.open_time(time)) for name, grid in self._bars]

    def _keys_between(self, begin: int, end: int) -> Iterator[CandleKey]:
        for name, grid in self._bars:
            for open_time in grid.between(begin, end):
                yield name, open_time

    def _is_past(self, key: CandleKey) -> bool:
        return self._grids[key[0]].settled_at(key[1]) <= self._watermark.time

    def _open_event(self, key: CandleKey, kind: CandleEventKind) -> CandleEvent:
        held = self.state.open[key]
        return self._event(key, held.candle, kind, 0, held.source_offset, complete=False, gap=self._has_gap(key))

    def _event(
        self,
        key: CandleKey,
        candle: Candle,
        kind: CandleEventKind,
        revision: int,
        offset: int,
        *,
        complete: bool,
        gap: bool,
    ) -> CandleEvent:
        first, last, topic, partition = candle.first, candle.last, *self._source
        return CandleEvent(  # by position: there are many, and names cost as much as the rest
            self.instrument,
            key[0],
            key[1],
            self._grids[key[0]].close_time(key[1]),
            kind,
            revision,
            first.price,
            candle.high,
            candle.low,
            last.price,
            candle.volume,
            candle.amount,
            candle.vwap,
            candle.taker_buy_volume,
            candle.trade_count,
            first.trade_id,
            last.trade_id,
            revision > 0,
            complete,
            gap,
            last.event_time,
            candle.received_at,
            topic,
            partition,
            offset,
        )


def _grid(interval: Interval, calendar: TradingCalendar | None) -> Grid:
    return interval if calendar is None else calendar.bars(interval)


def _has_room_for_runs(candle: Candle) -> bool:
    most_volume, most_amount = _ROOM_FOR_RUNS
    return candle.volume < most_volume and candle.amount < most_amount


def _revision_without_trades(before: ClosedCandle | None) -> int:
    return max(before.revision, 2) if before else 1
