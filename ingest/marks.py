"""Time marks and gap marks: what a trade stream must say beside its trades.

Pure: driven by trades, by lines going down, and by the feed's clock (receive times). What the marks mean to those who fold
the stream is told in `market.candle_series`. The rules:

- Before the first trade of an instrument after the feed starts stands a gap that reaches back to whatever the stream held
  before. No time mark comes earlier: it would hide where that gap begins.
- Each second of the feed's clock has a time mark for every instrument whose line is up, once its first trade was seen.
- After its line was down, the first new trade of an instrument is preceded by a gap since its last trade, unless their ids
  are numbers that follow each other.
- So is the first trade after a frame that may have been a trade and could not be read, where ids may have holes.
- Where the venue's trade ids have no holes, a hole is a gap too, whether the line was down or not; it is healed when the
  missing trades come late.
- Where they have, what was missed is known by its time alone: a gap is a stretch between two trades, and healed when whoever
  asked for that stretch says that all of it was told. So it is where numbers without holes show what was missed, but the venue
  does not tell trades again by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market.seen_trades import MAX_HASHES, SeenTrades, Verdict
from market.trade import GapMark, TimeMark, Trade

_SECOND = 1_000_000
_LONGEST_NUMBER = 18  # digits, as in `market.seen_trades`
_MOST_STRETCHES = 16  # of an instrument
_MOST_SUMMED_UP = 1_000  # of trades under one id; beyond it some would be taken for missing


class Missing(NamedTuple):
    """Trades of an instrument that are missing, by the numbers of the first and the last."""

    instrument: str
    first: int
    last: int


class Stretch(NamedTuple):
    """A stretch of time (microseconds, both ends part of it) between two trades of which there may have been more.

    `before` are ids of the last instant before them, `after` is the id of the first trade that came again.
    """

    instrument: str
    begin: int
    end: int
    before: frozenset[str]
    after: str


class _Hole(NamedTuple):
    """Ids that were skipped, and the gap that told of it."""

    first: int
    last: int
    gap: GapMark


class _Open(NamedTuple):
    """A stretch that is not healed yet, the gap that told of it, the ids that were told of it, and which numbers it lacks."""

    stretch: Stretch
    gap: GapMark
    told: set[str]
    numbers: tuple[int, int] | None


@dataclass(slots=True)
class Continuity:
    """What is known of one instrument's trades. `last_id` is None where ids are no numbers."""

    latest: int
    last_id: int | None
    is_up: bool = True
    was_down: bool = False
    seen: SeenTrades = field(default_factory=SeenTrades)
    holes: list[_Hole] = field(default_factory=list)
    never_filled: set[GapMark] = field(default_factory=set)
    at_latest: set[str] = field(default_factory=set)  # ids of the latest instant
    stretches: list[_Open] = field(default_factory=list)
    is_retold_by_id: bool = False  # holes in numbers are asked for as stretches
    refilled: dict[str, None] = field(default_factory=dict)  # ids of the last ones taken in that are no numbers

    def add(self, trade: Trade) -> Verdict:
        """Remember the trade's id, or ids; NEW when any of them is."""
        number = number_of(trade.trade_id)
        if number is not None:
            for earlier in range(_first_number(trade, number), number):
                self.seen.add(str(earlier))
        return self.seen.add(trade.trade_id)


class Marks:
    """The marks of one feed."""

    def __init__(self) -> None:
        self._instruments: dict[str, Continuity] = {}
        self._second: int | None = None
        self.due = -(1 << 63)  # before then `advance` gives nothing

    def advance(self, now: int) -> list[TimeMark]:
        """Time marks due when the feed's clock reaches `now`: one an instrument, at the last full second."""
        second = now // _SECOND
        if self._second is not None and second <= self._second:
            return []
        self._second, self.due = second, (second + 1) * _SECOND
        return self.finish(second * _SECOND)

    def finish(self, now: int, instruments: Iterable[str] | None = None) -> list[TimeMark]:
        """A last time mark at `now` for these instruments (all), as far as they are up."""
        names = self._instruments if instruments is None else instruments
        return [TimeMark(name, now) for name in names if name in self._instruments and self._instruments[name].is_up]

    def lost(self, instruments: Iterable[str]) -> None:
        """The line that carries the trades of these instruments is down."""
        for name in instruments:
            if name in self._instruments:
                self._instruments[name].is_up = False
                self._instruments[name].was_down = True

    def doubt(self, instruments: Iterable[str]) -> None:
        """A trade of these instruments may have been missed, though their line is up: it shows with the next trade."""
        for name in instruments:
            if name in self._instruments:
                self._instruments[name].was_down = True

    def restored(self, instruments: Iterable[str]) -> None:
        """Their line is up again: time marks go on, what was missed shows with the next trade."""
        for name in instruments:
            if name in self._instruments:
                self._instruments[name].is_up = True

    def before(self, trade: Trade, *, contiguous: bool, retold_as: Trade | None = None) -> list[GapMark] | None:
        """Gap marks that belong in the stream before this trade, None when it was told before.

        `contiguous`: the venue's trade ids have no holes. `retold_as`: as which the venue tells it again, where the id of
        `trade` is a number that it has in the stream alone.
        """
        known = self._instruments.get(trade.instrument)
        if known is None:
            self._instruments[trade.instrument] = known = Continuity(trade.event_time, None)
            known.at_latest.add((retold_as or trade).trade_id)
            known.add(trade)
            known.seen.holes.clear()  # ids before the first one seen are no hole
            _remember(known, trade)
            return [GapMark(trade.instrument, None, trade.event_time)]
        known.is_up = True
        before, number = known.seen.last, number_of(trade.trade_id)
        if trade.trade_id in known.refilled or known.add(trade) is Verdict.DUPLICATE:
            # What is told again after connecting are the latest trades: where ids are no numbers, this one shows that
            # nothing was missed before it. Numbers tell more with the next trade.
            known.was_down = known.was_down and number is not None
            return None
        if contiguous and number is not None and before >= 0:
            marks = _of_ids(known, trade, before, number)
            known.was_down = known.was_down and number <= before
            if retold_as is not None:
                known.is_retold_by_id = True
                known.stretches = [one for one in known.stretches if one.gap._replace(healed=True) not in marks]
                _open_stretches(known, retold_as, marks if number > before else (), (before + 1, number - 1))
                _remember_id(known, retold_as)
        else:
            marks = _since_last_line(known, trade) if known.was_down else []
            _open_stretches(known, trade, marks)
            _remember_id(known, trade)
        _remember(known, trade)
        return marks

    def is_old(self, trade: Trade) -> bool:
        """Whether a trade out of a list of the latest ones was told: all are that are older than the latest one told.

        For venues whose ids have holes: they are not remembered for long.
        """
        known = self._instruments.get(trade.instrument)
        if known is None:
            return False
        return trade.event_time < known.latest or (trade.event_time == known.latest and trade.trade_id in known.at_latest)

    def stretches(self) -> list[Stretch]:
        """The stretches of which trades may be missing, of instruments that are up."""
        return [one.stretch for known in self._instruments.values() if known.is_up for one in known.stretches]

    def refill(self, stretch: Stretch, trade: Trade) -> bool:
        """Take a trade of a stretch in; False where it was told before or the stretch is not open."""
        known = self._instruments.get(stretch.instrument)
        found = next((one for one in known.stretches if one.stretch == stretch), None) if known is not None else None
        if known is None or found is None or not stretch.begin <= trade.event_time <= stretch.end:
            return False
        if trade.trade_id in found.told:
            return False
        found.told.add(trade.trade_id)
        if number_of(trade.trade_id) is not None:
            known.add(trade)
        else:  # apart, as they would put those out of mind that the stream told since
            known.refilled[trade.trade_id] = None
            if len(known.refilled) > MAX_HASHES:
                del known.refilled[next(iter(known.refilled))]
        return True

    def close(self, stretch: Stretch, *, healed: bool) -> list[GapMark]:
        """Nothing more is asked of a stretch; its gap is told healed where all of it was told."""
        known = self._instruments.get(stretch.instrument)
        found = next((one for one in known.stretches if one.stretch == stretch), None) if known is not None else None
        if known is None or found is None:
            return []
        known.stretches.remove(found)
        if healed and found.numbers is not None:
            begin, end = found.numbers
            known.holes = [hole for hole in known.holes if hole.gap != found.gap]
            known.seen.holes = [(first, last) for first, last in known.seen.holes if first < begin or last > end]
        return [found.gap._replace(healed=True)] if healed else []

    def continuity(self, instrument: str) -> Continuity:
        """What is known of an instrument's trades, for `follows`. Raises KeyError before the first."""
        return self._instruments[instrument]

    def missing(self) -> list[Missing]:
        """Trades that gap marks tell to be missing, of instruments that are up."""
        return [
            Missing(instrument, first, last)
            for instrument, known in self._instruments.items()
            if known.is_up and known.holes and not known.is_retold_by_id
            for first, last in known.seen.holes
            if any(first <= hole.last and last >= hole.first for hole in known.holes)
        ]

    def is_missing(self, trade: Trade) -> bool:
        """Whether a gap mark tells a trade to be missing."""
        known, number = self._instruments.get(trade.instrument), number_of(trade.trade_id)
        if known is None or number is None:
            return False
        told = any(hole.first <= number <= hole.last for hole in known.holes)
        return told and any(first <= number <= last for first, last in known.seen.holes)


def numbered_by_sequence(trade: Trade) -> Trade:
    """The trade with its sequence for an id, for `Marks.before`: where sequences have no holes, whatever the ids are."""
    number = str(trade.sequence)
    return trade._replace(trade_id=number, first_trade_id=number, last_trade_id=number)


def number_of(trade_id: str) -> int | None:
    """The number that a trade id is, None for one that is none."""
    return int(trade_id) if trade_id.isascii() and trade_id.isdecimal() and len(trade_id) <= _LONGEST_NUMBER else None


def _first_number(trade: Trade, number: int) -> int:
    """The first id of a trade that the venue summed up under the id of the last one; aggregates of own ids have one each."""
    first = number_of(trade.first_trade_id)
    if first is None or trade.trade_id != trade.last_trade_id:
        return number
    return max(first, number - _MOST_SUMMED_UP)


def _open_stretches(known: Continuity, trade: Trade, gaps: Iterable[GapMark], numbers: tuple[int, int] | None = None) -> None:
    """Beyond the most that are kept the oldest stays a gap."""
    for gap in gaps:
        before, end = frozenset(known.at_latest), max(trade.event_time, known.latest)
        stretch = Stretch(trade.instrument, known.latest, end, before, trade.trade_id)
        known.stretches.append(_Open(stretch, gap, set(known.at_latest), numbers))
        del known.stretches[:-_MOST_STRETCHES]


def _remember_id(known: Continuity, trade: Trade) -> None:
    """Of trades whose ids show no holes."""
    if trade.event_time > known.latest:
        known.at_latest.clear()
    if trade.event_time >= known.latest:
        known.at_latest.add(trade.trade_id)
    for one in known.stretches:
        if one.stretch.begin <= trade.event_time <= one.stretch.end:
            one.told.add(trade.trade_id)


def _remember(known: Continuity, trade: Trade) -> None:
    known.latest = max(known.latest, trade.event_time)
    last = number_of(trade.last_trade_id)
    known.last_id = last if last is None or known.last_id is None else max(last, known.last_id)


def _since_last_line(known: Continuity, trade: Trade) -> list[GapMark]:
    first, last = number_of(trade.first_trade_id), number_of(trade.last_trade_id)
    if known.last_id is not None and first is not None and last is not None:
        if last <= known.last_id:
            return []  # sent again after connecting: says nothing of what came in between
        known.was_down = False
        if first <= known.last_id + 1:
            return []
    known.was_down = False
    return [_gap(trade, known.latest)]


def _of_ids(known: Continuity, trade: Trade, before: int, number: int) -> list[GapMark]:
    first = _first_number(trade, number)
    if first > before + 1:
        gap = _gap(trade, known.latest)
        known.holes.append(_Hole(before + 1, first - 1, gap))
        return [gap]
    return _healed(known) if known.holes and number < before else []


def _healed(known: Continuity) -> list[GapMark]:
    """Gaps all of whose trades have come. Holes found in one instant have equal gaps: the last of them to fill heals it."""
    open_, filled = [], []
    for hole in known.holes:
        if any(first <= hole.last and last >= hole.first for first, last in known.seen.holes):
            open_.append(hole)
        elif hole.first > known.seen.floor:
            filled.append(hole.gap)
        else:  # what lies below the floor is forgotten, not filled
            known.never_filled.add(hole.gap)
    known.holes = open_
    unhealed = known.never_filled.union(hole.gap for hole in open_)
    return [gap._replace(healed=True) for gap in dict.fromkeys(filled) if gap not in unhealed]


def _gap(trade: Trade, begin: int) -> GapMark:
    """From the last trade to this one; never empty, since between two trades of one instant one may be missing."""
    return GapMark(trade.instrument, begin, max(trade.event_time, begin + 1))
