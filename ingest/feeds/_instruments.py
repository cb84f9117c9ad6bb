"""Instruments of a venue's symbols: as the venue lists them, else told from their form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ingest.feed import Listings
from market.errors import DataValidationError
from market.instrument import check_instrument

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
"""Of delivery days, as venues write them."""


class Instruments:
    """The instruments of one market, each looked up once. `listings` may grow meanwhile."""

    def __init__(self, listings: Listings, market: str, instrument_of: Callable[[str], str]) -> None:
        """`instrument_of` tells the instrument from the symbol's form; it raises DataValidationError where it cannot."""
        self._listings = listings
        self._market = market
        self._instrument_of = instrument_of
        self._known: dict[str, str] = {}

    def of(self, symbol: str) -> str:
        """Instrument of a symbol. Raises DataValidationError."""
        known = self._known.get(symbol)
        if known is None:
            listed = self._listings.get(self._market, {}).get(symbol)
            known = self._known[symbol] = listed or self._instrument_of(symbol)
        return known


def by_symbol(symbols: Iterable[str], instrument_of: Callable[[str], str]) -> dict[str, str]:
    """Instruments of symbols that a venue lists; those without one are left out, since frames of them are refused by name."""
    found = {}
    for symbol in symbols:
        try:
            found[symbol] = instrument_of(symbol)
        except DataValidationError:
            continue
    return found


def instrument_of_pair(venue: str, product: str) -> str:
    """Instrument of a product such as BTC-USD. Raises DataValidationError."""
    base, _, quote = product.partition("-")
    if not base or not quote or "-" in quote:
        raise DataValidationError("unknown_symbol", f"{product!r:.80} is no product such as BTC-USD", field="product_id")
    return check_instrument(f"{venue}:{product}")


def day_of(delivery: str) -> str:
    """Day (260925) of a delivery as venues write it: 25SEP26, 5SEP26. Raises DataValidationError (`unknown_symbol`)."""
    day, month, year = delivery[:-5], delivery[-5:-2], delivery[-2:]
    try:
        told = datetime(2000 + int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC)
    except ValueError:
        raise DataValidationError("unknown_symbol", f"{delivery!r:.40} is no day such as 25SEP26", field="symbol") from None
    return told.strftime("%y%m%d")


def delivery_of(day: str) -> str:
    """A day (260905) as venues write it that leave out a leading zero: 5SEP26."""
    return f"{int(day[4:])}{MONTHS[int(day[2:4]) - 1]}{day[:2]}"
