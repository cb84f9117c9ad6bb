"""Records that came before: a trade by its id, a quote by all that the venue said."""

from __future__ import annotations

from market.quality_event import QualityRule, Severity
from market.quote import Quote
from market.rules.finding import Finding
from market.seen_trades import SeenTrades, Verdict
from market.trade import Trade


def repeated_trade(trade: Trade, seen: SeenTrades) -> Finding | None:
    """DUPLICATE for a trade id seen before; OUT_OF_ORDER for one so old that nobody remembers whether it was."""
    verdict = seen.add(trade.trade_id)
    if verdict is Verdict.NEW:
        return None
    if verdict is Verdict.DUPLICATE:
        return _finding(QualityRule.DUPLICATE, f"trade {trade.trade_id} came before")
    return _finding(
        QualityRule.OUT_OF_ORDER, f"trade {trade.trade_id} is older than the ids remembered, it may have come before"
    )


def repeated_quote(quote: Quote, seen: SeenTrades) -> Finding | None:
    """DUPLICATE for a quote that says what a recent one said, of the same moment.

    The moment is the venue's time and sequence; where it gives neither, the time of receipt: a venue may well say the same
    again later, so then only a record that was written twice is a duplicate.
    """
    moment = quote.received_at if quote.exchange_time is None and quote.sequence is None else 0
    said = quote._replace(received_at=moment, published_at=None)
    if seen.add(repr(tuple(said))) is Verdict.NEW:
        return None
    return _finding(QualityRule.DUPLICATE, f"a {quote.channel} of the same moment and content came before")


def _finding(rule: QualityRule, detail: str) -> Finding:
    return Finding(rule, Severity.WARNING, None, None, None, detail)
