"""Records of what a venue's message says, from its own texts: exact, checked, and None for what it does not give.

Shared by the venues, which differ in how they name and order things, not in what a record is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, format_decimal, parse_decimal, parse_positive, parse_ratio
from market.depth import Depth, DepthKind, Level, check_depth
from market.errors import DataValidationError
from market.funding import Funding
from market.interval import parse_interval
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.stated import check_funding, check_kline, check_open_interest, check_quote
from market.trade import Side, Trade, check_trade

_LONGEST_MILLIS = 20


class Maker(NamedTuple):
    """Makes the records of one message. Each method raises DataValidationError naming the field at fault."""

    instrument: str
    received_at: int
    max_skew: int

    def trade(
        self,
        *,
        trade_id: str,
        sequence: int,
        price: str,
        size: str,
        side: Side | None,
        exchange_time: int | None,
        first_trade_id: str | None = None,
        last_trade_id: str | None = None,
        trade_count: int = 1,
    ) -> Trade:
        """A trade; `side` is the taker's, `trade_count` how many it sums up, the last of them `trade_id` unless told."""
        trade = Trade(
            self.instrument,
            trade_id,
            sequence,
            parse_positive(price, field="price"),
            parse_positive(size, field="size"),
            side,
            exchange_time,
            self.received_at,
            first_trade_id or trade_id,
            last_trade_id or trade_id,
            trade_count,
        )
        return check_trade(trade, max_skew=self.max_skew)

    def quote(
        self,
        channel: str,
        exchange_time: int | None,
        *,
        sequence: int | None = None,
        bid: str | None = None,
        bid_size: str | None = None,
        ask: str | None = None,
        ask_size: str | None = None,
        last: str | None = None,
        last_size: str | None = None,
        open_24h: str | None = None,
        high_24h: str | None = None,
        low_24h: str | None = None,
        volume_24h: str | None = None,
        amount_24h: str | None = None,
        change_24h: str | None = None,
        change_percent_24h: str | None = None,
        mark_price: str | None = None,
        index_price: str | None = None,
    ) -> Quote:
        """A quote of the venue's texts. A price or size of zero or of no text is one that is not there."""
        quote = Quote(
            self.instrument,
            channel,
            sequence,
            parse_decimal(bid, field="bid") or None if bid else None,
            parse_decimal(bid_size, field="bid_size") or None if bid_size else None,
            parse_decimal(ask, field="ask") or None if ask else None,
            parse_decimal(ask_size, field="ask_size") or None if ask_size else None,
            parse_decimal(last, field="last") or None if last else None,
            parse_decimal(last_size, field="last_size") or None if last_size else None,
            parse_decimal(open_24h, field="open_24h") or None if open_24h else None,
            parse_decimal(high_24h, field="high_24h") or None if high_24h else None,
            parse_decimal(low_24h, field="low_24h") or None if low_24h else None,
            parse_decimal(volume_24h, field="volume_24h") if volume_24h else None,
            amount_of(amount_24h, "amount_24h") if amount_24h else None,
            parse_decimal(change_24h, field="change_24h") if change_24h else None,
            parse_decimal(change_percent_24h, field="change_percent_24h") if change_percent_24h else None,
            exchange_time,
            self.received_at,
            mark_price=parse_decimal(mark_price, field="mark_price") or None if mark_price else None,
            index_price=parse_decimal(index_price, field="index_price") or None if index_price else None,
        )
        return check_quote(quote, max_skew=self.max_skew)

    def kline(
        self,
        interval: str,
        open_time: int,
        prices: Mapping[str, str],
        *,
        is_closed: bool,
        exchange_time: int | None,
        **given: Any,
    ) -> Kline:
        """A kline; `prices` are the texts of open, high, low and close, `given` its further fields as in the record."""
        kline = Kline(
            instrument=self.instrument,
            interval=interval,
            open_time=open_time,
            open=parse_positive(prices["open"], field="open"),
            high=parse_positive(prices["high"], field="high"),
            low=parse_positive(prices["low"], field="low"),
            close=parse_positive(prices["close"], field="close"),
            **{**_NOT_GIVEN, **given},
            is_closed=is_closed,
            exchange_time=exchange_time,
            received_at=self.received_at,
        )
        return check_kline(kline, max_skew=self.max_skew)

    def past_kline(self, interval: str, open_time: int, prices: Mapping[str, str], **given: Any) -> Kline:
        """A kline of an answer that does not say whether it is closed: it is when its time is past; else as `kline`."""
        is_closed = self.is_over(open_time, interval)
        return self.kline(interval, open_time, prices, is_closed=is_closed, exchange_time=None, **given)

    def is_over(self, open_time: int, interval: str) -> bool:
        """Whether an interval such as 1m is past, however far the clock that received it is ahead of the venue's."""
        return open_time + parse_interval(interval).micros + self.max_skew <= self.received_at

    def funding(
        self,
        channel: str,
        exchange_time: int | None,
        *,
        rate: str,
        next_funding_time: int | None = None,
        interval_seconds: int | None = None,
        mark_price: str | None = None,
        index_price: str | None = None,
    ) -> Funding:
        """Funding of the venue's texts. A rate of zero is one; a price or time of zero or of no text is not there.

        A rate with more than twelve places is rounded half-even.
        """
        funding = Funding(
            self.instrument,
            channel,
            parse_ratio(rate, field="rate"),
            next_funding_time or None,
            interval_seconds or None,
            parse_decimal(mark_price, field="mark_price") or None if mark_price else None,
            parse_decimal(index_price, field="index_price") or None if index_price else None,
            exchange_time,
            self.received_at,
        )
        return check_funding(funding, max_skew=self.max_skew)

    def payment(self, channel: str, paid_at: int, rate: str, mark_price: str | None = None) -> Funding:
        """Funding that was paid, at a time (microseconds)."""
        return self.funding(channel, paid_at, rate=rate, mark_price=mark_price)

    def open_interest(
        self, channel: str, exchange_time: int | None, *, open_interest: str, notional: str | None = None
    ) -> OpenInterest:
        """Open interest of the venue's texts, where zero says that nothing is held open."""
        told = OpenInterest(
            self.instrument,
            channel,
            parse_decimal(open_interest, field="open_interest"),
            amount_of(notional, "notional") if notional else None,
            exchange_time,
            self.received_at,
        )
        return check_open_interest(told, max_skew=self.max_skew)

    def depth(
        self,
        kind: DepthKind,
        bids: tuple[Level, ...],
        asks: tuple[Level, ...],
        exchange_time: int | None,
        *,
        first: int | None = None,
        last: int | None = None,
        previous: int | None = None,
        checksum: int | None = None,
    ) -> Depth:
        """A message about a book, with the venue's sequences and checksum where it gives them."""
        numbers = (first, last, previous, checksum)
        depth = Depth(self.instrument, kind, bids, asks, *numbers, exchange_time, self.received_at)
        return check_depth(depth, max_skew=self.max_skew)


_NOT_GIVEN: Mapping[str, None] = dict.fromkeys(
    ("volume", "amount", "trade_count", "taker_buy_volume", "first_trade_id", "last_trade_id")
)


def figure_or_none(text: str | None, field: str) -> int | None:
    """A figure that may be zero; an empty text is none."""
    return parse_decimal(text, field=field) if text else None


def amount_of(text: str, field: str) -> int:
    """An amount, at scale 24."""
    return parse_decimal(text, field=field, scale=AMOUNT_SCALE, precision=AMOUNT_PRECISION)


def percent_of(fraction: str | None, field: str) -> str | None:
    """Per cent, as decimal text, of a fraction: -4.04 of -0.0404; of no text none."""
    return format_decimal(parse_decimal(fraction, field=field) * 100) if fraction else None


def micros_of_millis(text: str, field: str) -> int:
    """Microseconds of milliseconds in decimal text (1619093543708.2642), further digits cut off."""
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(text) <= _LONGEST_MILLIS and (not fraction or fraction.isdecimal())):
        raise DataValidationError("bad_time", f"{field}: {text!r:.80} is no time in milliseconds", field=field)
    return int(whole) * 1000 + int(fraction[:3].ljust(3, "0"))
