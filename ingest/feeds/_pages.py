"""Pages of history out of what venues answer: what lies before the end, and where the next page begins.

By number or by time: where answers are told oldest first each goes on where the one before it ended, otherwise the venue is
asked for one stretch of time after another. What is told newest first goes backwards within such a stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from ingest.rest_venue import Page, Place
from market.errors import DataValidationError
from market.funding import Funding
from market.interval import HOUR, parse_interval
from market.open_interest import OpenInterest
from market.quote import Kline
from market.trade import Trade
from schemas.records import Record

_MILLISECOND = 1_000
_STRETCH = 300_000_000  # of trades asked for together, where they are told newest first


def trades_page(records: Sequence[Record], end: int, most: int) -> Page:
    """Trades before `end`; the next page begins behind the last number. `most` is how many an answer holds at most."""
    trades = [record for record in records if isinstance(record, Trade)]
    wanted = [trade for trade in trades if trade.event_time < end]
    if len(trades) < most or len(wanted) < len(trades):
        return Page(wanted, None)
    last = trades[-1]
    return Page(wanted, Place(last.event_time, last.sequence + 1))


def klines_page(records: Sequence[Record], end: int, most: int) -> Page:
    """Closed klines that open before `end`; the next page begins a millisecond behind the last open time."""
    klines = [record for record in records if isinstance(record, Kline)]
    before = [kline for kline in klines if kline.open_time < end]
    wanted = [kline for kline in before if kline.is_closed]
    if len(klines) < most or len(wanted) < len(klines):
        return Page(wanted, None, is_whole=len(wanted) == len(before))
    return Page(wanted, Place(klines[-1].open_time + _MILLISECOND))


class Window(NamedTuple):
    """A stretch of time of which an answer tells everything: `most` intervals from a place on, up to `end`."""

    begin: int
    until: int
    end: int
    interval: int

    @classmethod
    def at(cls, place: Place, end: int, interval: str, most: int) -> Self:
        """The one that begins at a place, of so many intervals such as 1m."""
        micros = parse_interval(interval).micros
        return cls(place.time, min(place.time + most * micros, end), end, micros)

    @classmethod
    def of_funding(cls, place: Place, end: int, most: int) -> Self:
        """The one of so many payments of funding at most, which no venue makes more often than every hour."""
        return cls.at(place, end, "1h", most - 1)  # none is late by more than some milliseconds

    def payments(self, records: Sequence[Record]) -> Page:
        """The payments of funding in the window; the next one begins where it ends.

        A last one is whole where it was told an hour after its end: a payment may be told some time after it was made.
        """
        paid = (record for record in records if isinstance(record, Funding) and self._has(record.exchange_time))
        found = sorted(paid, key=lambda record: record.exchange_time or 0)
        if self.until < self.end:
            return Page(found, Place(self.until))
        return Page(found, None, is_whole=any(record.received_at >= self.end + HOUR for record in found))

    def points(self, records: Sequence[Record]) -> Page:
        """The open interest in the window, a point an interval; the next window begins where it ends.

        A last one is whole where it has the last point before the end.
        """
        held = (record for record in records if isinstance(record, OpenInterest) and self._has(record.exchange_time))
        found = sorted(held, key=lambda record: record.exchange_time or 0)
        if self.until < self.end:
            return Page(found, Place(self.until))
        last = found[-1].exchange_time if found else None
        return Page(found, None, is_whole=last is not None and last + self.interval >= self.end)

    def _has(self, time: int | None) -> bool:
        return time is not None and self.begin <= time < self.until

    def page(self, records: Sequence[Record]) -> Page:
        """The closed klines of the window; the next one begins where it ends.

        A last one is not whole unless a closed kline reaches the end: what is not told may be not over yet, or not told yet.
        """
        klines = sorted(
            (record for record in records if isinstance(record, Kline) and self.begin <= record.open_time < self.until),
            key=lambda kline: kline.open_time,
        )
        closed = [kline for kline in klines if kline.is_closed]
        if self.until < self.end:
            return Page(closed, Place(self.until))
        return Page(closed, None, is_whole=bool(closed) and closed[-1].open_time + self.interval >= self.end)


def not_told(text: str) -> DataValidationError:
    """That a venue does not tell its past as far back as was asked."""
    return DataValidationError("no_history", text)


def numbered_page(records: Sequence[Record], first: int, end: int) -> Page:
    """The trades before `end` from a number on; the next page begins behind the last of them, until there are no more."""
    numbered = (record for record in records if isinstance(record, Trade) and record.sequence >= first)
    trades = sorted(numbered, key=lambda trade: trade.sequence)
    wanted = [trade for trade in trades if trade.event_time < end]
    if not trades or len(wanted) < len(trades):
        return Page(wanted, None)
    return Page(wanted, Place(trades[-1].event_time, trades[-1].sequence + 1))


def latest_page(venue: str, records: Sequence[Record], place: Place, end: int, most: int) -> Page:
    """The trades between a place and `end` out of the latest ones, of which a venue tells at most so many.

    Raises DataValidationError (`no_history`) where they do not reach back so far.
    """
    trades = [record for record in records if isinstance(record, Trade)]
    if len(trades) >= most and trades[0].event_time >= place.time:
        raise not_told(f"{venue} tells the last {most} trades alone, and these do not reach back so far")
    return Page([trade for trade in trades if place.time <= trade.event_time < end], None)


def latest_payments(venue: str, records: Sequence[Record], place: Place, end: int, most: int) -> Page:
    """The payments of funding between a place and `end` out of the latest ones, of which a venue tells at most so many.

    Raises DataValidationError (`no_history`) where they do not reach back so far.
    """
    paid = [record for record in records if isinstance(record, Funding)]
    oldest = min((record.exchange_time or 0 for record in paid), default=0)
    if len(paid) >= most and oldest > place.time:
        raise not_told(f"{venue} tells the last {most} payments alone, and these do not reach back so far")
    return Window(place.time, end, end, HOUR).payments(paid)


def stretch_until(place: Place, end: int) -> int:
    """Where the stretch of time ends of which the page at a place is, where trades are told newest first."""
    return min(place.time + _STRETCH, end)


def backward_page(
    records: Sequence[Record], place: Place, end: int, most: int, number: Callable[[Sequence[Trade]], int], venue: str
) -> Page:
    """A page of a stretch that is told newest first; the next one is of the same stretch where an answer is full.

    Its place has the number that `number` gives for the trades of this one. The oldest instant of a full answer may go on in
    the next one, which tells all of it: so it is left out here. Raises DataValidationError (`no_history`) where an instant has
    more trades than an answer holds.
    """
    until = stretch_until(place, end)
    trades = [record for record in records if isinstance(record, Trade)]
    is_full = len(trades) >= most and trades[0].event_time >= place.time
    kept = [trade for trade in trades if trade.event_time > trades[0].event_time] if is_full else trades
    if is_full and not kept:
        raise not_told(f"{venue} tells no more than {most} trades of one instant")
    wanted = [trade for trade in kept if place.time <= trade.event_time < until]
    if is_full:
        return Page(wanted, Place(place.time, number(kept)))
    return Page(wanted, Place(until) if until < end else None)
