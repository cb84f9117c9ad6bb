"""Records as rows of trades and what is computed of them, and which rows of a batch are written. Pure.

A line's columns are those of its table in `_postgres_tables`, in that order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from market.candle import CandleEvent
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.feed_status import FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.portfolio import Portfolio
from market.portfolio_alert import Alert
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from market.valuation_record import Valuation, ValuationLine
from schemas.records import Record
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import (
    NULL,
    Row,
    escape,
    figure_or_null,
    flag,
    month_of,
    time_or_null,
    time_text,
)
from sinks.stores._postgres_judged_rows import quality_event_row, quality_score_row
from sinks.stores._postgres_portfolio_rows import alert_row, portfolio_row, valuation_line_row, valuation_row
from sinks.stores._postgres_stated_rows import feed_status_row, funding_row, kline_row, open_interest_row, quote_row


class RowMaker:
    """Makes the row of a record; None for records that leave none, such as time marks.

    `quote_period` is the time in microseconds of which one quote is kept for each channel of an instrument, and as much of its
    funding and open interest,
    `valuation_period` that of which one valuation and line is.
    """

    def __init__(self, quote_period: int, valuation_period: int = 10_000_000) -> None:
        self._makers: Mapping[type[Record], Callable[[Any, KafkaRecord], Row]] = {
            Trade: _trade,
            GapMark: _gap,
            CandleEvent: _candle,
            PriceChangedEvent: _price_change,
            Quote: partial(quote_row, period=quote_period),
            Kline: kline_row,
            Funding: partial(funding_row, period=quote_period),
            OpenInterest: partial(open_interest_row, period=quote_period),
            FeedStatus: feed_status_row,
            QualityEvent: quality_event_row,
            QualityScore: quality_score_row,
            Portfolio: portfolio_row,
            Valuation: partial(valuation_row, period=valuation_period),
            ValuationLine: partial(valuation_line_row, period=valuation_period),
            Alert: alert_row,
        }

    def __call__(self, record: Record, source: KafkaRecord) -> Row | None:
        """The row of a record."""
        maker = self._makers.get(type(record))
        return None if maker is None else maker(record, source)


def without_repetitions(rows: Iterable[Row]) -> list[Row]:
    """One row of each table and key: the one with the highest version, of equal ones the first."""
    kept: defaultdict[str, dict[tuple[str | int | None, ...], Row]] = defaultdict(dict)
    for row in rows:
        held = kept[row.table]
        other = held.setdefault(row.key, row)
        if other is not row and row.version > other.version:
            held[row.key] = row
    return [row for held in kept.values() for row in held.values()]


def _trade(trade: Trade, source: KafkaRecord) -> Row:
    event_time = trade.event_time
    trade_id = escape(trade.trade_id)
    happened = time_text(event_time)
    # There are more trades than all else: their figures have the form that costs least, 617e-12, and is as exact.
    line = (
        f"{trade.instrument}\t{trade_id}\t{happened}\t{trade.sequence}\t{trade.price}e-{SCALE}\t{trade.size}e-{SCALE}\t"
        f"{trade.side or NULL}\t{NULL if trade.exchange_time is None else happened}\t"
        f"{time_text(trade.received_at)}\t{time_or_null(trade.published_at)}\t{trade.origin or NULL}\t"
        f"{escape(trade.first_trade_id)}\t{escape(trade.last_trade_id)}\t{trade.trade_count}\t{source.partition}\t{source.offset}\n"
    )
    return Row("trades", (trade.instrument, trade_id, event_time), (), month_of(event_time), line)


def _candle(candle: CandleEvent, _source: KafkaRecord) -> Row:
    line = (
        f"{candle.instrument}\t{candle.interval}\t{time_text(candle.open_time)}\t{time_text(candle.close_time)}\t"
        f"{candle.kind.value}\t{candle.revision}\t{format_decimal(candle.open)}\t{format_decimal(candle.high)}\t"
        f"{format_decimal(candle.low)}\t{format_decimal(candle.close)}\t{format_decimal(candle.volume)}\t"
        f"{format_decimal(candle.amount, AMOUNT_SCALE)}\t{format_decimal(candle.vwap)}\t"
        f"{figure_or_null(candle.taker_buy_volume)}\t{candle.trade_count}\t{escape(candle.first_trade_id)}\t"
        f"{escape(candle.last_trade_id)}\t{flag(candle.is_closed)}\t{flag(candle.complete)}\t{flag(candle.gap)}\t"
        f"{time_text(candle.last_trade_time)}\t{time_text(candle.received_at)}\t{escape(candle.source_topic)}\t"
        f"{candle.source_partition}\t{candle.source_offset}\n"
    )
    key = candle.instrument, candle.interval, candle.open_time
    return Row("candles", key, candle.version, month_of(candle.open_time), line)


def _price_change(change: PriceChangedEvent, _source: KafkaRecord) -> Row:
    event_time = change.received_at if change.exchange_time is None else change.exchange_time
    line = (
        f"{change.instrument}\t{time_text(event_time)}\t{format_decimal(change.old_price)}\t"
        f"{format_decimal(change.new_price)}\t{format_decimal(change.change)}\t{format_decimal(change.change_percent)}\t"
        f"{change.changes}\t{flag(change.is_significant)}\t{time_or_null(change.exchange_time)}\t"
        f"{time_text(change.received_at)}\t{escape(change.source_topic)}\t{change.source_partition}\t{change.source_offset}\n"
    )
    key = change.source_topic, change.source_partition, change.source_offset, change.instrument, event_time
    return Row("price_changes", key, (), month_of(event_time), line)


def _gap(gap: GapMark, source: KafkaRecord) -> Row:
    line = (
        f"{gap.instrument}\t{time_or_null(gap.begin)}\t{time_text(gap.end)}\t{flag(gap.healed)}\t"
        f"{time_or_null(gap.published_at)}\t{source.partition}\t{source.offset}\n"
    )
    return Row("gaps", (gap.instrument, gap.begin, gap.end), (gap.healed,), None, line)
