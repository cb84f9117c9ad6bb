"""Pages of history out of what venues answer: what lies before the end, and where the next page begins.

For venues whose answers are told oldest first and continue where the one before ended, by number or by time.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.feed import Page, Place
from market.quote import Kline
from market.trade import Trade
from schemas.records import Record

_MILLISECOND = 1_000


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
