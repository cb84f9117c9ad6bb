"""Which of all that a venue says about an instrument's prices counts: a fold that does not depend on the order of messages.

A venue spreads prices over several channels: book tops, tickers, trades. Of each channel the latest message is kept, by a total
order: event time (exchange time, else receive time), then the venue's sequence. A message of a sequence that was told before is
the same message, so the first one stays; where the venue gives no sequence, the one received last counts, then the higher
offset. What is kept is so the greatest of a set, whatever came first, came twice, or came in which batch.

Between channels the latest time counts, which is the event time, or the receive time where that is earlier: some channels give
no exchange time, and a venue's clock may run ahead of ours, but nothing happened after it was received. At equal times the
channel comes first whose message tells less besides (a book top before a ticker, a trade before a ticker), then the one whose
name is greater. This choice is made among:

- bid and ask: channels that have ever told a bid or an ask. They are taken from one message with their sizes. A side that it
  does not give is empty, and None; a book top with neither empties both. An older side beside a newer one would be a market
  that never was.
- last: channels whose latest message gives it. Mark price and index price: each likewise.
- the last 24 hours: channels whose latest message gives any figure of them. All are taken from one message. The change is the
  venue's, else last price less opening price of that message; its per cent the venue's, else that of the change.

So a message must give all that its channel tells: feeds complete what a venue sends as differences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from market.decimals import fits, ratio
from market.errors import DataValidationError
from market.price import FIGURES_24H, PricePoint, PriceRecord, PriceSource
from market.quote import Quote
from market.trade import Trade

TRADES = "trades"
"""Channel of the trade stream."""

_NOT_OF_TRADES = dict.fromkeys(("bid", "bid_size", "ask", "ask_size", *FIGURES_24H))


MOST_CHANNELS = 16
"""Channels of a topic that are remembered of an instrument; venues have two or three."""


class Statement(NamedTuple):
    """What a channel says: its latest message and where that lies. `tells_book`: it has told a bid or an ask, now or before."""

    quote: Quote
    tells_book: bool
    topic: str
    partition: int
    offset: int

    @property
    def source(self) -> PriceSource:
        """The message as the source of a price."""
        quote = self.quote
        return PriceSource(quote.channel, quote.exchange_time, quote.received_at, self.topic, self.partition, self.offset)


def statement_of(record: Quote | Trade, source: tuple[str, int, int]) -> Statement:
    """What a record says; `source` is its topic, partition and offset."""
    quote = record if isinstance(record, Quote) else _quote_of(record)
    return Statement(quote, quote.bid is not None or quote.ask is not None, *source)


def _quote_of(trade: Trade) -> Quote:
    return Quote(
        instrument=trade.instrument,
        channel=TRADES,
        sequence=trade.sequence,
        last=trade.price,
        last_size=trade.size,
        exchange_time=trade.exchange_time,
        received_at=trade.received_at,
        published_at=trade.published_at,
        **_NOT_OF_TRADES,
    )


def merge(one: Statement, other: Statement) -> Statement:
    """What a channel says after two statements of it: associative, commutative, idempotent."""
    latest = max(one, other, key=_order)
    return latest._replace(tells_book=one.tells_book or other.tells_book)


def _order(statement: Statement) -> tuple[int, bool, int, int, int]:
    """Place of a message in its channel; no two offsets have the same."""
    quote = statement.quote
    time = quote.received_at if quote.exchange_time is None else quote.exchange_time
    if quote.sequence is None:
        return time, False, 0, quote.received_at, statement.offset
    return time, True, quote.sequence, -quote.received_at, -statement.offset


@dataclass(slots=True)
class Statements:
    """What the channels of one topic say of an instrument; plain data.

    `applied_offset` is that of the last record that changed anything (-1: none).
    """

    applied_offset: int = -1
    by_channel: dict[str, Statement] = field(default_factory=dict)

    def take(self, statement: Statement) -> bool:
        """Merge what a record says; whether that changed anything.

        Raises DataValidationError (`too_many_channels`) when it is of a channel more than is remembered.
        """
        channel = statement.quote.channel
        before = self.by_channel.get(channel)
        if before is None and len(self.by_channel) >= MOST_CHANNELS:
            raise DataValidationError(
                "too_many_channels", f"channel: {channel!r:.80} is one more than {MOST_CHANNELS}", field="channel"
            )
        after = statement if before is None else merge(before, statement)
        if after == before:
            return False
        self.by_channel[channel] = after
        self.applied_offset = statement.offset
        return True


def latest_price(instrument: str, quotes: Statements, trades: Statements) -> PriceRecord:
    """The record of what both topics say. Raises ValueError when neither says anything."""
    said = [*quotes.by_channel.values(), *trades.by_channel.values()]
    day = _latest(one for one in said if _tells_day(one.quote))
    bid, ask = _book(_latest(one for one in said if one.tells_book))
    last = _latest(one for one in said if one.quote.last is not None)
    mark = _latest(one for one in said if one.quote.mark_price is not None)
    index = _latest(one for one in said if one.quote.index_price is not None)
    return PriceRecord(
        instrument=instrument,
        bid=bid,
        ask=ask,
        last=None if last is None else _point(last.quote.last, last.quote.last_size, last),
        mark_price=None if mark is None else _point(mark.quote.mark_price, None, mark),
        index_price=None if index is None else _point(index.quote.index_price, None, index),
        close=None,  # this and the next one no record of these topics tells
        previous_close=None,
        source_24h=None if day is None else day.source,
        received_at=max(one.quote.received_at for one in said),
        quotes_offset=_version(quotes),
        trades_offset=_version(trades),
        **_figures(day),
    )


def _version(statements: Statements) -> int | None:
    return None if statements.applied_offset < 0 else statements.applied_offset


def _latest(said: Iterable[Statement]) -> Statement | None:
    return max(said, key=_recency, default=None)


def _recency(statement: Statement) -> tuple[int, int, str]:
    """Place of a message among those of other channels."""
    quote = statement.quote
    return statement.source.known_at, -(statement.tells_book + (quote.last is not None) + _tells_day(quote)), quote.channel


def _tells_day(quote: Quote) -> bool:
    return any(getattr(quote, name) is not None for name in FIGURES_24H)


def _book(said: Statement | None) -> tuple[PricePoint | None, PricePoint | None]:
    if said is None:
        return None, None
    quote = said.quote
    return _point(quote.bid, quote.bid_size, said), _point(quote.ask, quote.ask_size, said)


def _point(price: int | None, size: int | None, said: Statement) -> PricePoint | None:
    return None if price is None else PricePoint(price, size, said.source)


def _figures(said: Statement | None) -> dict[str, int | None]:
    """The figures of the last 24 hours, the change and its per cent derived where only they are missing."""
    if said is None:
        return dict.fromkeys(FIGURES_24H)
    quote = said.quote
    change, percent = quote.change_24h, quote.change_percent_24h
    if change is None and quote.last is not None and quote.open_24h is not None:
        change = quote.last - quote.open_24h
    if percent is None and change is not None and quote.open_24h is not None:
        percent = ratio(100 * change, quote.open_24h)
        percent = percent if fits(percent) else None  # from next to nothing to a fortune: no field holds it
    given = {name: getattr(quote, name) for name in FIGURES_24H}
    return given | {"change_24h": change, "change_percent_24h": percent}
