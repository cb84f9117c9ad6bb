"""Rows of what venues state: quotes, klines, funding, open interest, the state of their streams. Pure."""

from __future__ import annotations

from market.decimals import AMOUNT_SCALE, format_decimal
from market.feed_status import FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import (
    Row,
    escape,
    figure_or_null,
    flag,
    line,
    month_of,
    text_or_null,
    time_or_null,
    time_text,
    whole_or_null,
)


def quote_row(quote: Quote, source: KafkaRecord, *, period: int) -> Row:
    """The row of a quote; those of one channel received in one period (microseconds) share it, and the last received wins."""
    begin = quote.received_at - quote.received_at % period
    text = line(
        *(quote.instrument, escape(quote.channel), time_text(begin), whole_or_null(quote.sequence)),
        *map(figure_or_null, (quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.last, quote.last_size)),
        *map(figure_or_null, (quote.open_24h, quote.high_24h, quote.low_24h, quote.volume_24h)),
        *(figure_or_null(quote.amount_24h, AMOUNT_SCALE), figure_or_null(quote.change_24h)),
        *(figure_or_null(quote.change_percent_24h), time_or_null(quote.exchange_time), time_text(quote.received_at)),
        *(time_or_null(quote.published_at), str(source.partition), str(source.offset)),
        *map(figure_or_null, (quote.mark_price, quote.index_price)),
    )
    return Row("quotes", (quote.instrument, begin, quote.channel), (quote.received_at,), month_of(begin), text)


def kline_row(kline: Kline, source: KafkaRecord) -> Row:
    """The row of a kline: closed ones win over open ones, and then the last received."""
    text = line(
        *(kline.instrument, escape(kline.interval), time_text(kline.open_time)),
        *map(format_decimal, (kline.open, kline.high, kline.low, kline.close)),
        *(figure_or_null(kline.volume), figure_or_null(kline.amount, AMOUNT_SCALE), whole_or_null(kline.trade_count)),
        *(figure_or_null(kline.taker_buy_volume), text_or_null(kline.first_trade_id), text_or_null(kline.last_trade_id)),
        *(flag(kline.is_closed), time_or_null(kline.exchange_time), time_text(kline.received_at)),
        *(time_or_null(kline.published_at), str(source.partition), str(source.offset)),
    )
    key = kline.instrument, kline.interval, kline.open_time
    return Row("klines", key, (kline.is_closed, kline.received_at), month_of(kline.open_time), text)


def funding_row(funding: Funding, source: KafkaRecord, *, period: int) -> Row:
    """The row of funding; one for each channel and period, as with quotes, but by the exchange time where that is earlier.

    What was paid long ago is told at once.
    """
    begin = _begin(funding, period)
    text = line(
        *(funding.instrument, escape(funding.channel), time_text(begin), format_decimal(funding.rate)),
        *(time_or_null(funding.next_funding_time), whole_or_null(funding.interval_seconds)),
        *map(figure_or_null, (funding.mark_price, funding.index_price)),
        *(time_or_null(funding.exchange_time), time_text(funding.received_at), time_or_null(funding.published_at)),
        *(str(source.partition), str(source.offset)),
    )
    return Row("funding", (funding.instrument, begin, funding.channel), (funding.received_at,), month_of(begin), text)


def open_interest_row(told: OpenInterest, source: KafkaRecord, *, period: int) -> Row:
    """The row of open interest; one for each channel and period, as with funding."""
    begin = _begin(told, period)
    text = line(
        *(told.instrument, escape(told.channel), time_text(begin), format_decimal(told.open_interest)),
        *(figure_or_null(told.notional, AMOUNT_SCALE), time_or_null(told.exchange_time), time_text(told.received_at)),
        *(time_or_null(told.published_at), str(source.partition), str(source.offset)),
    )
    return Row("open_interest", (told.instrument, begin, told.channel), (told.received_at,), month_of(begin), text)


def _begin(told: Funding | OpenInterest, period: int) -> int:
    time = told.received_at if told.exchange_time is None else min(told.exchange_time, told.received_at)
    return time - time % period


def feed_status_row(status: FeedStatus, source: KafkaRecord) -> Row:
    """The row of a change of state; several at one time differ in state or reason."""
    text = line(
        *(escape(status.venue), escape(status.channel), status.instrument, status.state.value, escape(status.reason)),
        *(time_text(status.changed_at), time_or_null(status.published_at), text_or_null(status.source)),
        *(str(source.partition), str(source.offset)),
    )
    key = status.instrument, status.changed_at, status.venue, status.channel, status.state.value, status.reason
    return Row("feed_status", key, (), month_of(status.changed_at), text)
