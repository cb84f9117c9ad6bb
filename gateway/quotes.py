"""The latest quote of an instrument, merged from all that its venue says about prices.

A venue spreads a quote over several message channels (book tops, tickers, trades). Within one channel the later message
counts, by its sequence or its time; between channels a field's value is the one received last. A field that a message does
not give keeps its value. So the result does not depend on how the channels' messages were interleaved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.messages import Source
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.quote import Quote
from market.trade import Trade

TRADES = "trades"
"""Channel name of what the trade stream tells."""

SEQUENCE_RESTART = 10_000_000
"""A lower sequence is old news, unless it comes this much later (microseconds): then the venue counts anew."""

GROUPS: dict[str, tuple[str, ...]] = {
    "book": ("bid", "bid_size", "ask", "ask_size"),
    "last": ("last", "last_size"),
    "day": (
        "open_24h",
        "high_24h",
        "low_24h",
        "volume_24h",
        "amount_24h",
        "change_24h",
        "change_percent_24h",
    ),
    "mark": ("mark_price", "index_price"),
}
"""Fields that belong together; each group has a source and times of its own."""

FIELDS = tuple(field for group in GROUPS.values() for field in group)
_SCALES = {field: AMOUNT_SCALE if field == "amount_24h" else SCALE for field in FIELDS}


class Stamp(NamedTuple):
    """Who said something, and when."""

    received_at: int
    channel: str
    exchange_time: int | None
    source: Source

    def describe(self) -> dict[str, Any]:
        """The stamp as answers carry it."""
        return {"channel": self.channel, "exchange_time": self.exchange_time, "received_at": self.received_at}


class Said(NamedTuple):
    """A field's value with its stamp."""

    stamp: Stamp
    value: int


class _Order(NamedTuple):
    """A message's place in its channel."""

    sequence: int | None
    exchange_time: int | None
    received_at: int

    def is_after(self, earlier: _Order) -> bool:
        if self.sequence is not None and earlier.sequence is not None:
            return self.sequence > earlier.sequence or self.received_at - earlier.received_at > SEQUENCE_RESTART
        if self.exchange_time is not None and earlier.exchange_time is not None:
            return (self.exchange_time, self.received_at) > (earlier.exchange_time, earlier.received_at)
        return self.received_at > earlier.received_at


class QuoteState:
    """What is known of one instrument's prices. Prices and sizes are unscaled integers."""

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self._updated: Stamp | None = None
        self._orders: dict[str, _Order] = {}
        self._last_trade: tuple[int, int] | None = None
        self._unmerged: tuple[Trade, Source] | None = None
        """The last trade, as long as nobody asks: of many in a row it alone counts."""
        self._said: dict[str, dict[str, Said]] = {field: {} for field in FIELDS}
        self._fields: dict[str, Said] = {}

    @property
    def updated(self) -> Stamp | None:
        """Who said the last thing that was news."""
        self._settle()
        return self._updated

    def take_quote(self, quote: Quote, source: Source) -> bool:
        """Merge a quote; False when it is not later than what its channel said before."""
        order = _Order(quote.sequence, quote.exchange_time, quote.received_at)
        before = self._orders.get(quote.channel)
        if before is not None and not order.is_after(before):
            return False
        self._settle()
        self._orders[quote.channel] = order
        given = {field: value for field in FIELDS if (value := getattr(quote, field)) is not None}
        self._merge(Stamp(quote.received_at, quote.channel, quote.exchange_time, source), given)
        return True

    def take_trade(self, trade: Trade, source: Source) -> bool:
        """Take the last price from a trade; False unless it is later, by event time and sequence, than the trades before.

        A trade fetched long after the fact is old news however late it comes, so no restart is believed here.
        """
        order = (trade.event_time, trade.sequence)
        if self._last_trade is not None and order <= self._last_trade:
            return False
        self._last_trade = order
        self._unmerged = trade, source
        return True

    def _settle(self) -> None:
        """Merge the last trade."""
        if self._unmerged is not None:
            (trade, source), self._unmerged = self._unmerged, None
            stamp = Stamp(trade.received_at, TRADES, trade.exchange_time, source)
            self._merge(stamp, {"last": trade.price, "last_size": trade.size})

    def _merge(self, stamp: Stamp, given: dict[str, int]) -> None:
        received_at, channel, fields = stamp.received_at, stamp.channel, self._fields
        for field, value in given.items():
            by_channel = self._said[field]
            said = by_channel[channel] = Said(stamp, value)
            before = fields.get(field)
            if before is not None and received_at <= before.stamp.received_at:
                said = max(by_channel.values(), key=_recency)
            fields[field] = said
        self._updated = stamp

    def describe(self) -> dict[str, Any]:
        """The quote as messages and answers carry it: decimals as text, None for what is not known."""
        self._settle()
        fields = self._fields
        body: dict[str, Any] = {"instrument": self.instrument}
        for field in FIELDS:
            said = fields.get(field)
            body[field] = None if said is None else format_decimal(said.value, _SCALES[field])
        body["sources"] = {group: self._group_source(names) for group, names in GROUPS.items()}
        return body

    def _group_source(self, names: tuple[str, ...]) -> dict[str, Any] | None:
        said = [self._fields[name] for name in names if name in self._fields]
        return max(said, key=_recency).stamp.describe() if said else None


def _recency(said: Said) -> tuple[int, str]:
    """Order between channels: by receive time, since our clock is the one thing they share."""
    return said.stamp.received_at, said.stamp.channel
