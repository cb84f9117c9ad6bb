"""From a venue's symbols to instrument codes where the venue writes base and quote in one word."""

from __future__ import annotations

from collections.abc import Sequence

from market.errors import DataValidationError


def split_symbol(symbol: str, quotes: Sequence[str]) -> tuple[str, str]:
    """Base and quote of a symbol such as BTCUSDT, by the quote assets a venue has.

    Raises DataValidationError: `unknown_symbol` when no quote asset ends it, `ambiguous_symbol` when several do (they are
    listed), because then only the venue's own list of instruments can tell.
    """
    found = [quote for quote in quotes if symbol.endswith(quote) and len(symbol) > len(quote)]
    if len(found) == 1:
        return symbol.removesuffix(found[0]), found[0]
    if not found:
        raise DataValidationError("unknown_symbol", f"{symbol!r:.80} ends with no known quote asset", field="symbol")
    readings = ", ".join(f"{symbol.removesuffix(quote)}-{quote}" for quote in found)
    raise DataValidationError("ambiguous_symbol", f"{symbol!r:.80} may mean {readings}", field="symbol")
