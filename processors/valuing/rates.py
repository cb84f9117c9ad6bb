"""The rates that portfolios are converted at: of instruments by their latest prices, and what the configuration states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from market.decimals import ONE
from market.fx import FxGraph, FxQuote, quote_of
from market.portfolio_totals import Rates
from market.price import PriceRecord
from market.price_choice import Freshness, reference_price
from market.session import TradingCalendar

CalendarOf = Callable[[str], TradingCalendar | None]


class RateSources:
    """Where rates come from, in the order in which they are preferred; those stated count where instruments give no path.

    `pairs` has the base and quote currency of each instrument. A rate is stale `stale_after` microseconds (of its market's open
    time) after its price; one that is stated never is.
    """

    def __init__(self, pairs: Mapping[str, tuple[str, str]], stated: Sequence[FxQuote], stale_after: int) -> None:
        self.instruments = frozenset(pairs)
        self._pairs = pairs
        self._stated = tuple(stated)
        self._stale_after = stale_after

    def rates(self, board: Mapping[str, PriceRecord], now: int, calendar_of: CalendarOf) -> Rates:
        """The rates at these prices."""
        records = [(board[instrument], *pair) for instrument, pair in self._pairs.items() if instrument in board]
        return Rates(
            FxGraph((*self._now(records, now, calendar_of), *self._stated)),
            FxGraph((*self._then(records, now, calendar_of), *self._stated)),
        )

    def _now(self, records: Iterable[tuple[PriceRecord, str, str]], now: int, calendar_of: CalendarOf) -> Iterable[FxQuote]:
        for record, base, quote in records:
            found = quote_of(record, base, quote, Freshness(now, self._stale_after, calendar_of(record.instrument)))
            if found is not None:
                yield found

    @staticmethod
    def _then(records: Iterable[tuple[PriceRecord, str, str]], now: int, calendar_of: CalendarOf) -> Iterable[FxQuote]:
        for record, base, quote in records:
            found = reference_price(record, now, calendar_of(record.instrument))
            if found is not None:
                yield FxQuote(base, quote, Fraction(found.price, ONE), found.began_at, record.instrument)
