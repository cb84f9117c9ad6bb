"""Which of an instrument's prices values a position, how old it may be, and against which one the day is measured.

A portfolio's policy lists prices in an order (nautilus_trader falls back in the same way). The first that is there and not
stale is taken; where all are stale, the first that is there. A price that somebody put in the market's place comes before
all, until it expires, and is never stale.

Age is counted while the instrument's market is open: on a Sunday the closing price of Friday is as old as it was at the close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from market.interval import DAY, HOUR, QUARTER_HOUR
from market.portfolio import PriceChoice, PriceOverride
from market.price import PricePoint, PriceRecord, PriceSource
from market.session import TradingCalendar

REFERENCE_KEPT = HOUR
"""Microseconds for which a venue's figures of 24 hours are taken for those of now: venues tell them every few seconds."""

OVERRIDE = "OVERRIDE"
"""How a price is called that somebody put in the market's place."""


class ChosenPrice(NamedTuple):
    """A price at scale 12 and where it comes from.

    `choice` is a PriceChoice, or `OVERRIDE`; `source` the channel that told it (bookTicker, trades), or who overrode it.
    `time` is when it was known first by either clock (microseconds), or when it was overridden.
    """

    price: int
    choice: str
    source: str
    time: int
    is_stale: bool = False


class Reference(NamedTuple):
    """The price (scale 12) that a day is measured from, and when that day began (microseconds).

    `kind` is `previous_close`, or `open_24h`: the price of 24 hours ago, where a market never closes. That day begins
    with the quarter hour that it lies in, since of a position that is traded it is known what it was then.
    """

    price: int
    began_at: int
    kind: str


class Freshness(NamedTuple):
    """When a price is stale: `stale_after` (microseconds) of the market's open time before `now`.

    A market without a calendar never closes.
    """

    now: int
    stale_after: int
    calendar: TradingCalendar | None = None

    def is_stale(self, time: int) -> bool:
        """Whether a price of that time is stale now."""
        if self.now - time <= self.stale_after:
            return False
        return self.calendar is None or self.calendar.trading_time(time, self.now) > self.stale_after


def choose_price(
    record: PriceRecord | None,
    choices: Sequence[PriceChoice],
    freshness: Freshness,
    *,
    is_long: bool,
    override: PriceOverride | None = None,
) -> ChosenPrice | None:
    """The price of a position; None where nothing that is wanted is there."""
    if override is not None and freshness.now < override.expires_at:
        return ChosenPrice(override.price, OVERRIDE, override.actor, override.set_at)
    if record is None:
        return None
    stale = None
    for choice in choices:
        found = _price(record, choice, is_long=is_long)
        if found is None:
            continue
        if not freshness.is_stale(found.time):
            return found
        stale = stale or found._replace(is_stale=True)
    return stale


def _price(record: PriceRecord, choice: PriceChoice, *, is_long: bool) -> ChosenPrice | None:
    if choice is PriceChoice.MID:
        mid = record.mid
        return None if mid is None or record.bid is None else _chosen(mid, choice, record.bid.source)
    point = _point(record, choice, is_long=is_long)
    return None if point is None else _chosen(point.price, choice, point.source)


def _point(record: PriceRecord, choice: PriceChoice, *, is_long: bool) -> PricePoint | None:
    if choice is PriceChoice.SIDE:
        return record.bid if is_long else record.ask
    if choice is PriceChoice.MARK:
        return record.mark_price
    return record.last if choice is PriceChoice.LAST else record.close


def _chosen(price: int, choice: PriceChoice, source: PriceSource) -> ChosenPrice:
    return ChosenPrice(price, choice.value, source.channel, source.known_at)


def reference_price(record: PriceRecord, now: int, calendar: TradingCalendar | None = None) -> Reference | None:
    """The price that the day of `now` is measured from: the previous close, else the venue's price of 24 hours before.

    One that is not of this day counts as none: a previous close that was told before the day began is that of an earlier
    session, and figures of 24 hours that are older than `REFERENCE_KEPT` are of another 24 hours.
    """
    if record.previous_close is not None:
        began_at = _day_began_at(now, calendar)
        if record.previous_close.source.known_at >= began_at:
            return Reference(record.previous_close.price, began_at, "previous_close")
    if record.open_24h is None or record.source_24h is None:
        return None
    known_at = record.source_24h.known_at
    if now - known_at <= REFERENCE_KEPT:
        began_at = known_at - DAY
        return Reference(record.open_24h, began_at - began_at % QUARTER_HOUR, "open_24h")
    return None


def _day_began_at(now: int, calendar: TradingCalendar | None) -> int:
    """When the trading day began that `now` is in, or that was the last before it; of the UTC day without a calendar."""
    return now - now % DAY if calendar is None else calendar.day_began_at(now)
