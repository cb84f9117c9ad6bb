"""What must come of a trade stream, by plain arithmetic and without any of the product's code.

In go the records of one instrument with their offsets in the order of their partition, out come all versions that each of its
one-minute candles has on the way, and the price changes. The rules are those that the product documents: a trade counts once;
a minute closes when event time is two seconds past its end; what comes later corrects it, what comes a day later is refused;
of price changes at most one is told in 0.1 s, unless a hundred have gathered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

MINUTE = 60_000_000
GRACE = 2_000_000
HORIZON = 24 * 3_600 * 1_000_000
CLOCK_SKEW = 5_000_000
THROTTLE = 100_000
MOST_PENDING = 100
SCALE = 10**12

Version = tuple[int, int]
"""Revision and source offset."""


class PlainCandle(NamedTuple):
    """One version of a candle; prices and volumes at scale 12, the amount at scale 24."""

    kind: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    amount: int
    vwap: int
    taker_buy_volume: int | None
    trade_count: int
    first_trade_id: str
    last_trade_id: str
    is_closed: bool
    complete: bool
    gap: bool
    last_trade_time: int
    received_at: int


class PlainChange(NamedTuple):
    """A told change of price."""

    old_price: int
    new_price: int
    changes: int
    change_percent: int
    exchange_time: int | None
    received_at: int


@dataclass
class Minute:
    """A candle on its way: the sums of its trades so far, and its versions."""

    revision: int = 0
    offset: int = -1
    gap: bool = False
    complete: bool = False
    versions: dict[Version, PlainCandle] = field(default_factory=dict)
    _first: Any = None
    _last: Any = None
    _high: int = 0
    _low: int = 0
    _volume: int = 0
    _amount: int = 0
    _taker_buys: int | None = 0
    _count: int = 0
    _received_at: int = 0

    def add(self, trade: Any) -> None:
        """Count a trade."""
        self._first = trade if self._first is None else min(self._first, trade, key=_order)
        self._last = trade if self._last is None else max(self._last, trade, key=_order)
        self._high = max(self._high, trade.price)
        self._low = min(self._low, trade.price) if self._count else trade.price
        self._volume += trade.size
        self._amount += trade.price * trade.size
        if self._taker_buys is not None:
            self._taker_buys = None if trade.side is None else self._taker_buys + (trade.size if trade.side == "buy" else 0)
        self._count += trade.trade_count
        self._received_at = max(self._received_at, trade.received_at)

    def tell(self, kind: str, offset: int, *, gap: bool, complete: bool) -> None:
        """Note that the candle has a new version."""
        self.offset, self.gap, self.complete = offset, gap, complete
        self.versions[self.revision, offset] = PlainCandle(
            kind,
            self._first.price,
            self._high,
            self._low,
            self._last.price,
            self._volume,
            self._amount,
            round(Fraction(self._amount, self._volume)),
            self._taker_buys,
            self._count,
            self._first.first_trade_id,
            self._last.last_trade_id,
            self.revision > 0,
            complete,
            gap,
            _event_time(self._last),
            self._received_at,
        )

    @property
    def latest(self) -> Version:
        """The version that is the truth."""
        return self.revision, self.offset


@dataclass
class Instrument:
    """All that comes of the records of one instrument."""

    minutes: dict[int, Minute] = field(default_factory=dict)
    changes: dict[int, PlainChange] = field(default_factory=dict)
    """By the offset of the record that triggered them."""
    refused: list[int] = field(default_factory=list)
    """Offsets of trades beyond the horizon."""
    outcomes: Counter[str] = field(default_factory=Counter)
    _latest: int = 0
    _latest_trade: int = 0
    _seen: set[str] = field(default_factory=set)
    _observed_from: int | None = None
    _gaps: list[tuple[int, int]] = field(default_factory=list)
    _healed: list[tuple[int, int]] = field(default_factory=list)

    @property
    def _passed(self) -> int:
        return self._latest - GRACE

    def apply(self, offset: int, record: Any) -> None:
        """Take in the record at an offset."""
        if hasattr(record, "price"):
            self._trade(offset, record)
        elif hasattr(record, "healed"):
            self._gap(offset, record)
        else:
            self._time(offset, record.time)

    def _trade(self, offset: int, trade: Any) -> None:
        time = _event_time(trade)
        if time < self._passed - HORIZON:
            self.outcomes["too_late"] += 1
            self.refused.append(offset)
            return
        if trade.trade_id in self._seen:
            self.outcomes["duplicate"] += 1
            return
        self.outcomes["counted"] += 1
        self._seen.add(trade.trade_id)
        self._latest_trade = max(self._latest_trade, time)
        self._observed_from = time if self._observed_from is None else self._observed_from
        self._add(offset, trade, time - time % MINUTE)
        self._time(offset, time)

    def _add(self, offset: int, trade: Any, open_time: int) -> None:
        minute = self.minutes.get(open_time)
        is_first = minute is None
        minute = minute or self.minutes.setdefault(open_time, Minute())
        minute.add(trade)
        if open_time + MINUTE > self._passed:
            minute.tell("NEW" if is_first else "UPDATE", offset, gap=self._has_gap(open_time), complete=False)
        elif is_first:
            minute.revision = 1
            minute.tell("CORRECTION", offset, gap=self._has_gap(open_time), complete=self._is_complete(open_time))
        else:
            minute.revision += 1
            minute.tell("CORRECTION", offset, gap=minute.gap, complete=minute.complete)

    def _time(self, offset: int, time: int) -> None:
        self._latest = max(self._latest, time)
        for open_time, minute in self.minutes.items():
            if minute.revision == 0 and open_time + MINUTE <= self._passed:
                minute.revision = 1
                minute.tell("CLOSE", offset, gap=self._has_gap(open_time), complete=self._is_complete(open_time))

    def _gap(self, offset: int, mark: Any) -> None:
        # A gap without a begin reaches back to what was seen for certain: time marks may be ahead of the venue's clock.
        certain = max(self._latest_trade, self._latest - CLOCK_SKEW) if self._latest else mark.end
        stretch = begin, end = certain if mark.begin is None else mark.begin, mark.end
        is_healed = any(healed[0] <= begin and end <= healed[1] for healed in self._healed)
        if begin >= end or end <= self._passed - HORIZON or is_healed:
            return
        if mark.healed:
            self._healed.append(stretch)
            self._gaps = [gap for gap in self._gaps if gap[0] < begin or gap[1] > end]
        else:
            self._gaps.append(stretch)
        for open_time, minute in self.minutes.items():
            gap, complete = self._has_gap(open_time), self._is_complete(open_time)
            if minute.revision == 0 and gap != minute.gap:
                minute.tell("UPDATE", offset, gap=gap, complete=False)
            elif minute.revision and (gap, complete) != (minute.gap, minute.complete) and _meets(open_time, stretch):
                minute.revision += 1
                minute.tell("CORRECTION", offset, gap=gap, complete=complete)

    def _has_gap(self, open_time: int) -> bool:
        return any(_meets(open_time, gap) for gap in self._gaps)

    def _is_complete(self, open_time: int) -> bool:
        return self._observed_from is not None and self._observed_from < open_time and not self._has_gap(open_time)


def expect(records: Iterable[tuple[int, Any]]) -> Instrument:
    """What must come of the records of one instrument, given with their offsets."""
    records = list(records)
    found = Instrument()
    for offset, record in records:
        found.apply(offset, record)
    found.changes = _changes(records)
    return found


def _meets(open_time: int, stretch: tuple[int, int]) -> bool:
    return stretch[0] < open_time + MINUTE and open_time < stretch[1]


def _order(trade: Any) -> tuple[int, int]:
    return _event_time(trade), trade.sequence


def _event_time(trade: Any) -> int:
    return int(trade.received_at if trade.exchange_time is None else trade.exchange_time)


def _changes(records: Sequence[tuple[int, Any]]) -> dict[int, PlainChange]:
    found: dict[int, PlainChange] = {}
    last: Any = None
    told_price, told_at, told_event_time, pending = 0, 0, 0, 0
    for offset, record in records:
        if hasattr(record, "healed"):
            continue
        if hasattr(record, "price"):
            now, event_time = record.received_at, min(_event_time(record), record.received_at)
            passed = now - told_at
            if last is None:
                last, told_price = record, record.price
                continue
            if _order(record) <= _order(last):
                continue
            pending += record.price != last.price
            last = record
        else:
            event_time = record.time
            now, passed = max(event_time, last.received_at if last else 0), event_time - told_event_time
        if last is None or not pending or (passed < THROTTLE and pending < MOST_PENDING):
            continue
        if told_price != last.price:
            percent = round(Fraction((last.price - told_price) * 100 * SCALE, told_price))
            found[offset] = PlainChange(told_price, last.price, pending, percent, last.exchange_time, now)
            told_price, told_at, told_event_time = last.price, now, event_time
        pending = 0
    return found
