"""Under which name the latest record of a kind is kept, and what makes a record a later one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from market.book_top import BookTop
from market.candle import CandleEvent
from market.feed_status import FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.portfolio import Portfolio
from market.price import PriceRecord
from market.quote import Kline, Quote
from market.trade import Trade
from market.valuation_record import Valuation
from schemas.records import Record
from schemas.topics import (
    BOOKS,
    CANDLES,
    FUNDING,
    KLINES,
    OPEN_INTEREST,
    POSITIONS,
    PRICES,
    QUOTES,
    STATUS,
    TRADES,
    VALUATIONS,
    Topic,
)

TOPICS: tuple[Topic, ...] = (
    *(TRADES, QUOTES, KLINES, FUNDING, OPEN_INTEREST, BOOKS, STATUS),
    *(CANDLES, PRICES, POSITIONS, VALUATIONS),
)

_LOWEST = -(2**63)
_DIGITS = 20  # of 2^64


class Latest(NamedTuple):
    """What a record is the latest of, and its version: of two of one name the higher one is the later."""

    name: str
    version: tuple[int, ...]


def latest_of(record: Record) -> Latest | None:
    """None for records that nothing is the latest of."""
    build = _KINDS.get(type(record))
    return None if build is None else Latest(*build(record))


def sortable(version: tuple[int, ...]) -> str:
    """A version as text that sorts as the version does: longs of equal width, from the lowest long on."""
    return "".join([f"{number - _LOWEST:0{_DIGITS}d}" for number in version])


def _price(price: PriceRecord) -> tuple[str, tuple[int, ...]]:
    # The offsets only rise, and a record with a higher one of either topic came of more records.
    known = [offset for offset in (price.quotes_offset, price.trades_offset) if offset is not None]
    return price.instrument, (sum(known) + len(known),)


_KINDS: Mapping[type[Any], Callable[[Any], tuple[str, tuple[int, ...]]]] = {
    Trade: lambda trade: (trade.instrument, (trade.event_time, trade.sequence)),
    Quote: lambda quote: (f"{quote.instrument}|{quote.channel}", (quote.received_at, quote.sequence or 0)),
    Kline: lambda kline: (f"{kline.instrument}|{kline.interval}", (kline.open_time, kline.received_at)),
    Funding: lambda funding: (f"{funding.instrument}|{funding.channel}", (funding.received_at,)),
    OpenInterest: lambda told: (f"{told.instrument}|{told.channel}", (told.received_at,)),
    CandleEvent: lambda candle: (f"{candle.instrument}|{candle.interval}", (candle.open_time, *candle.version)),
    BookTop: lambda book: (book.instrument, (book.source_offset,)),
    FeedStatus: lambda status: (f"{status.venue}|{status.channel}|{status.instrument}", (status.changed_at,)),
    PriceRecord: _price,
    Portfolio: lambda portfolio: (portfolio.portfolio_id, (portfolio.version,)),
    Valuation: lambda valuation: (valuation.portfolio_id, (valuation.generation, valuation.sequence)),
}
