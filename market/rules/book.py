"""The best prices of a book."""

from __future__ import annotations

from market.quality_event import QualityRule, Severity, of_price
from market.quote import Quote
from market.rules.finding import Finding


def crossed_book(quote: Quote) -> Finding | None:
    """CROSSED_BOOK when the bid is above the ask (ERROR: within one venue such orders trade) or equal to it (WARNING)."""
    if quote.bid is None or quote.ask is None or quote.bid < quote.ask:
        return None
    crossed = quote.bid > quote.ask
    return Finding(
        QualityRule.CROSSED_BOOK,
        Severity.ERROR if crossed else Severity.WARNING,
        "bid",
        of_price(quote.bid),
        of_price(quote.ask),
        f"the bid of a {quote.channel} is {'above' if crossed else 'at'} its ask",
    )
