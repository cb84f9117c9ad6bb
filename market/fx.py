"""Conversion of currencies by a graph of rates, each with its source and its time; exact rationals, nothing is rounded.

Rates come of instruments (binance:BTC-USDT quotes BTC in USDT) and of the configuration, where no feed gives them (USD in CNY).
A conversion takes one leg, as quoted or inverted, or two through a third currency; Lean's cash book searches the same paths.
Two currencies are never taken for one another: USDT is USD only by a rate. Where there is no path there is no rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from market.decimals import ONE
from market.errors import DataValidationError
from market.price import PriceRecord
from market.price_choice import Freshness

CONFIGURED = "config"
"""Source of a rate that the configuration states."""


class FxQuote(NamedTuple):
    """What one unit of `base` costs in `quote`, as one source has it.

    `source` is an instrument id, or `CONFIGURED`; `as_of` the time of the price in microseconds. `is_stale`: older than its
    market lets it be.
    """

    base: str
    quote: str
    rate: Fraction
    as_of: int
    source: str
    is_stale: bool = False


class FxRate(NamedTuple):
    """What one unit of a currency is in another one.

    `as_of` is the time of its older leg, None where both currencies are the same; `sources` are those of its legs, in order.
    """

    rate: Fraction
    as_of: int | None
    sources: tuple[str, ...]
    is_stale: bool = False


SAME = FxRate(Fraction(1), None, ())
"""From a currency to itself."""


class FxGraph:
    """The rates that hold at one moment.

    Of several paths the one counts that has fewer legs stated by the configuration, then fewer legs, then none that is stale,
    then the one whose legs stand first among `quotes`. So what is stated never takes the place of a market's rate, however old
    that is, nor do two fresh legs that of a direct rate; a rate that is too old says so. The choice depends on the order of the
    quotes and on what is stale, never on which of them moved last. Raises DataValidationError for a rate that is not above zero
    (`not_positive`) or of a currency in itself (`inconsistent`).
    """

    def __init__(self, quotes: Iterable[FxQuote]) -> None:
        self.quotes = tuple(quotes)
        self._legs: dict[str, list[tuple[int, str, FxRate]]] = {}
        self._found: dict[tuple[str, str], FxRate | None] = {}
        for place, quote in enumerate(self.quotes):
            _check(quote)
            rate = FxRate(quote.rate, quote.as_of, (quote.source,), quote.is_stale)
            self._legs.setdefault(quote.base, []).append((place, quote.quote, rate))
            self._legs.setdefault(quote.quote, []).append((place, quote.base, rate._replace(rate=1 / quote.rate)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FxGraph) and self.quotes == other.quotes

    def __hash__(self) -> int:
        return hash(self.quotes)

    def rate(self, source: str, target: str) -> FxRate | None:
        """What one unit of `source` is in `target`; None where no path of at most two legs leads there."""
        if source == target:
            return SAME
        pair = source, target
        if pair not in self._found:
            self._found[pair] = self._search(source, target)
        return self._found[pair]

    def _search(self, source: str, target: str) -> FxRate | None:
        paths = [((*_rank(leg), place, 0), leg) for place, reached, leg in self._legs.get(source, ()) if reached == target]
        for place, through, first in self._legs.get(source, ()):
            if through in (source, target):
                continue
            for later, reached, second in self._legs[through]:
                if reached == target:
                    path = _joined(first, second)
                    paths.append(((*_rank(path), place, later), path))
        return min(paths, key=lambda path: path[0])[1] if paths else None


def _rank(path: FxRate) -> tuple[int, int, bool]:
    return path.sources.count(CONFIGURED), len(path.sources), path.is_stale


def _joined(first: FxRate, second: FxRate) -> FxRate:
    times = [leg.as_of for leg in (first, second) if leg.as_of is not None]
    return FxRate(first.rate * second.rate, min(times), first.sources + second.sources, first.is_stale or second.is_stale)


def _check(quote: FxQuote) -> None:
    if quote.rate <= 0:
        raise DataValidationError(
            "not_positive", f"rate: {quote.base} in {quote.quote} by {quote.source} is {quote.rate}", field="rate"
        )
    if quote.base == quote.quote:
        raise DataValidationError("inconsistent", f"quote: {quote.source} quotes {quote.base} in itself", field="quote")


def quote_of(record: PriceRecord, base: str, quote: str, freshness: Freshness) -> FxQuote | None:
    """The rate that an instrument's prices give: the exact mean of bid and ask, else the last price; None without either.

    The mean is taken unless it is stale; then the later one of both, by its time, which may be stale itself.
    """
    mean = last = None
    if record.bid is not None and record.ask is not None:
        rate = Fraction(record.bid.price + record.ask.price, 2 * ONE)
        mean = FxQuote(base, quote, rate, record.bid.source.known_at, record.instrument)
    if record.last is not None:
        last = FxQuote(base, quote, Fraction(record.last.price, ONE), record.last.source.known_at, record.instrument)
    found = mean or last
    if mean is not None and last is not None and freshness.is_stale(mean.as_of) and last.as_of > mean.as_of:
        found = last
    return found and found._replace(is_stale=freshness.is_stale(found.as_of))


def configured_quote(base: str, quote: str, rate: int, as_of: int) -> FxQuote:
    """A rate (unscaled at scale 12) that the configuration states as of a time."""
    return FxQuote(base, quote, Fraction(rate, ONE), as_of, CONFIGURED)
