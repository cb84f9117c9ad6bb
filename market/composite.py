"""The best bid and offer of several venues for one thing: a composite quote, with a cut for those that fell silent.

Each venue counts with its latest book top for as long as that is young by the receive clock; a venue that tells nothing for
longer is left out, since what it had said would stand as the best price for ever once the others have moved away. The best
bid may be above the best offer: between venues that is true for as long as nobody trades on it.
"""

from __future__ import annotations

from collections.abc import Collection

from market.quote import Quote

CHANNEL = "bbo"
"""Channel of a composite quote."""


class Composite:
    """The composite quote of one instrument of its own, out of those of its `sources`. Times are in microseconds."""

    def __init__(self, instrument: str, sources: Collection[str], stale_after: int) -> None:
        self.instrument = instrument
        self._sources = frozenset(sources)
        self._stale_after = stale_after
        self._tops: dict[str, Quote] = {}
        self._told: tuple[int | None, ...] = (None,) * 4
        self._at = 0

    def take(self, quote: Quote) -> Quote | None:
        """Take a quote in; the composite where it changes by it, which it does not by other instruments or without a top."""
        if quote.instrument not in self._sources or (quote.bid is None and quote.ask is None):
            return None
        before = self._tops.get(quote.instrument)
        if before is not None and before.received_at > quote.received_at:
            return None
        self._tops[quote.instrument] = quote
        return self.tell(quote.received_at)

    def tell(self, at: int) -> Quote | None:
        """The composite at a time, where that is another than was told last; at the latest one where this is earlier.

        Quotes of several feeds come out of order: going back in time would make one count again that is left out already.
        """
        at = self._at = max(self._at, at)
        fresh = [top for top in self._tops.values() if at - top.received_at < self._stale_after]
        bids = [(top.bid, top.bid_size) for top in fresh if top.bid is not None]
        asks = [(top.ask, top.ask_size) for top in fresh if top.ask is not None]
        bid = max((price for price, _ in bids), default=None)
        ask = min((price for price, _ in asks), default=None)
        found = bid, _size_at(bid, bids), ask, _size_at(ask, asks)
        if found == self._told:
            return None
        self._told = found
        nothing = (None,) * 9
        return Quote(self.instrument, CHANNEL, None, *found, *nothing, None, at)


def _size_at(best: int | None, levels: list[tuple[int, int | None]]) -> int | None:
    """What all venues together have at the best price; None where none of them tells it."""
    sizes = [size for price, size in levels if price == best and size is not None]
    return sum(sizes) if sizes else None
