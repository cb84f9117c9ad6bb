"""Trading calendars as plain data, and the bars of an interval in them.

The rules of bars, all in the order of trading time:

- Bars are counted from the open of a session. A bar of one hour or more that is longer than the shortest session of its day
  is counted through the breaks of that day instead; no other bar spans a break, and none spans two days. So Shanghai's 1h bars
  begin at 09:30, 10:30, 13:00 and 14:00, its one 4h bar and its 1d bar are the whole day.
- The last bar before a break or the end of the day may be shorter than its interval.
- A bar's open time is its first trading instant, its close time the first instant after its last.
- Trades of an auction before the open belong to the first bar of the session, those of the close to its last bar, as far as
  `Auctions` reaches; such a bar is settled, and can close, only when the auction is over. Every other time belongs to no bar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from market.errors import DataValidationError
from market.grid import NOWHERE, Stretch
from market.interval import DAY, HOUR, MINUTE, Interval

_DAYS_HELD = 8
"""Days whose bars are kept, for each interval: candles are corrected for a day, and a weekend may lie between."""


class Session(NamedTuple):
    """Trading without a break: from `open` up to, and without, `close` (microseconds, UTC)."""

    open: int
    close: int


class TradingDay(NamedTuple):
    """The sessions of a day, ascending; `date` (2024-08-09) is the day's name in the venue's time zone."""

    date: str
    sessions: Sequence[Session]


class Auctions(NamedTuple):
    """How long (microseconds) before a session's open, and after its close, trades belong to it."""

    opening: int = 0
    closing: int = MINUTE


class Bar(NamedTuple):
    """A bar, and the times whose trades belong to it."""

    open_time: int
    close_time: int
    stretches: tuple[Stretch, ...]


class _Hours(NamedTuple):
    """A session with its auctions."""

    session: Session
    stretch: Stretch
    day: int


class TradingCalendar:
    """The trading days of a venue, ascending, without a hole: a day not among them has no session.

    `zone` is the name of the venue's time zone (Asia/Shanghai). Raises DataValidationError (`bad_calendar`) where sessions are
    empty or overlap, do not begin and end at full minutes, or a day lasts longer than 24 hours.
    """

    def __init__(self, name: str, zone: str, days: Sequence[TradingDay], auctions: Auctions = Auctions()) -> None:  # noqa: B008
        self.name = name
        self.zone = zone
        self.days = days
        self._hours = _hours_of(name, days, auctions)
        self._begins = [hours.stretch.begin for hours in self._hours]
        self._first = _first_hours(self._hours, len(days))
        self._opens = [hours.session.open for hours in self._hours]
        self._traded = [0, *accumulate(session.close - session.open for session, _, _ in self._hours)]
        self._bars: dict[Interval, SessionBars] = {}

    def covers(self, time: int) -> bool:
        """Whether the calendar says anything of `time`: from its first session to its last."""
        return self._begins[0] <= time < self._hours[-1].stretch.end

    def day_at(self, time: int) -> int | None:
        """Number of the day that a trade at `time` belongs to; None outside of all sessions and their auctions."""
        number = bisect_right(self._begins, time) - 1
        return self._hours[number].day if number >= 0 and time < self._hours[number].stretch.end else None

    def session_at(self, time: int) -> Session | None:
        """The session that is open at `time`; auctions outside of it do not count."""
        number = bisect_right(self._opens, time) - 1
        session = self._hours[number].session if number >= 0 else None
        return session if session is not None and time < session.close else None

    def next_open(self, time: int) -> int | None:
        """When the first session after `time` opens; None where the calendar has none any more."""
        number = bisect_right(self._opens, time)
        return self._opens[number] if number < len(self._opens) else None

    def days_from(self, time: int) -> Iterator[int]:
        """Numbers of the days from the one at, or before, `time` on."""
        number = max(bisect_right(self._begins, time) - 1, 0)
        return iter(range(self._hours[number].day, len(self.days)))

    def day_began_at(self, time: int) -> int:
        """When the day began that `time` is in, auction included, or that was the last before it."""
        return self._hours[self._first[next(self.days_from(time))]].stretch.begin

    def trading_time(self, begin: int, end: int) -> int:
        """Microseconds of trading between two times, auctions and breaks left out.

        Before the first session and after the last one, of which the calendar says nothing, time passes as elsewhere.
        """
        return self._clock(end) - self._clock(begin)

    def _clock(self, time: int) -> int:
        """What a clock shows that goes on in sessions only."""
        number = bisect_right(self._opens, time)
        if number == 0:
            return time - self._opens[0]
        session = self._hours[number - 1].session
        since = time - session.open
        return self._traded[number - 1] + (since if number == len(self._opens) else min(since, session.close - session.open))

    def bars(self, interval: Interval) -> SessionBars:
        """The bars of an interval."""
        if interval not in self._bars:
            self._bars[interval] = SessionBars(self, interval)
        return self._bars[interval]

    def cut(self, day: int, length: int) -> Iterator[Bar]:
        """The bars of a day, `length` in microseconds of trading time."""
        hours = self._hours[self._first[day] : self._first[day + 1]]
        if length >= HOUR and length > min(session.close - session.open for session, _, _ in hours):
            return _cut(hours, length)
        return (bar for one in hours for bar in _cut([one], length))


class SessionBars:
    """The bars of one interval in a trading calendar; see `market.grid.Grid`."""

    def __init__(self, calendar: TradingCalendar, interval: Interval) -> None:
        self._calendar = calendar
        self._interval = interval
        self._bars_of = lru_cache(_DAYS_HELD)(lambda day: tuple(calendar.cut(day, interval.micros)))

    @property
    def longest(self) -> int:
        """A bar may span the breaks of its day, and an auction on either side."""
        return 2 * DAY

    def open_time(self, time: int) -> int:
        """The bar that a trade at `time` belongs to. Raises DataValidationError outside of all sessions."""
        bar = self._bar_at(time)
        if bar is None:
            raise DataValidationError("off_session", f"{time} is in no trading session of {self._calendar.name}", field="time")
        return bar.open_time

    def close_time(self, open_time: int) -> int:
        """First instant after the bar's last."""
        return self._bar(open_time).close_time

    def settled_at(self, open_time: int) -> int:
        """When the auction after the bar is over, if it has one; else its close time."""
        return self._bar(open_time).stretches[-1].end

    def stretches(self, open_time: int) -> Sequence[Stretch]:
        """One for each session that the bar has a part in, with their auctions."""
        return self._bar(open_time).stretches

    def stretch_at(self, open_time: int, time: int) -> Stretch:
        """That of the bar's stretches which holds `time`; an empty one where none does."""
        bar = self._bar_at(time)
        if bar is None or bar.open_time != open_time:
            return NOWHERE
        return next(stretch for stretch in bar.stretches if stretch.begin <= time < stretch.end)

    def between(self, begin: int, end: int) -> Iterator[int]:
        """Bars that have a time in [begin, end), ascending."""
        for day in self._calendar.days_from(begin):
            for bar in self._bars_of(day):
                if bar.stretches[0].begin >= end:
                    return
                if any(stretch.begin < end and stretch.end > begin for stretch in bar.stretches):
                    yield bar.open_time

    def _bar_at(self, time: int) -> Bar | None:
        day = self._calendar.day_at(time)
        if day is None:
            return None
        bars = self._bars_of(day)
        return bars[bisect_right(bars, time, key=_begin) - 1]

    def _bar(self, open_time: int) -> Bar:
        bar = self._bar_at(open_time)
        if bar is not None and bar.open_time == open_time:
            return bar
        end = self._interval.close_time(open_time)  # made under another configuration
        return Bar(open_time, end, (Stretch(open_time, end),))


def _begin(bar: Bar) -> int:
    return bar.stretches[0].begin


def _hours_of(name: str, days: Sequence[TradingDay], auctions: Auctions) -> list[_Hours]:
    """All sessions with their auctions; where those of two meet, the closing one goes before."""
    sessions = [(number, session) for number, day in enumerate(days) for session in day.sessions]
    _check(name, days)
    ends = [min(session.close + auctions.closing, later.open) for (_, session), (_, later) in pairwise(sessions)]
    ends.append(sessions[-1][1].close + auctions.closing)
    begins = [max(session.open - auctions.opening, end) for (_, session), end in zip(sessions[1:], ends, strict=False)]
    begins.insert(0, sessions[0][1].open - auctions.opening)
    return [
        _Hours(session, Stretch(begin, end), number)
        for (number, session), begin, end in zip(sessions, begins, ends, strict=True)
    ]


def _check(name: str, days: Sequence[TradingDay]) -> None:
    if not days:
        raise DataValidationError("bad_calendar", f"{name}: the calendar has no days")
    latest = days[0].sessions[0].open if days[0].sessions else 0
    for day in days:
        if not day.sessions or day.sessions[-1].close - day.sessions[0].open > DAY:
            raise DataValidationError("bad_calendar", f"{name}: {day.date} has no session, or lasts longer than 24 hours")
        for session in day.sessions:
            if not latest <= session.open < session.close or session.open % MINUTE or session.close % MINUTE:
                raise DataValidationError("bad_calendar", f"{name}: {day.date} has a session {session.open} to {session.close}")
            latest = session.close


def _first_hours(hours: Sequence[_Hours], days: int) -> list[int]:
    """Where the sessions of each day begin, and where those of the last one end."""
    first = [0] * (days + 1)
    for number, (_, _, day) in enumerate(hours, start=1):
        first[day + 1] = number
    return first


def _cut(run: Sequence[_Hours], length: int) -> Iterator[Bar]:
    """Bars of `length` trading time through these sessions; the last one may be shorter."""
    parts: list[tuple[int, int, Stretch]] = []
    left = length
    for session, stretch, _ in run:
        begin = session.open
        while begin < session.close:
            end = min(begin + left, session.close)
            first = stretch.begin if begin == session.open else begin
            parts.append((begin, end, Stretch(first, stretch.end if end == session.close else end)))
            left -= end - begin
            begin = end
            if not left:
                yield _bar_of(parts)
                parts, left = [], length
    if parts:
        yield _bar_of(parts)


def _bar_of(parts: Sequence[tuple[int, int, Stretch]]) -> Bar:
    return Bar(parts[0][0], parts[-1][1], tuple(stretch for _, _, stretch in parts))
