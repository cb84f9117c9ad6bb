"""Records as lines of PostgreSQL's COPY text: exact, straight from unscaled integers and microseconds. Pure.

A line's columns are those of its table in `_postgres_tables`, in that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from market.candle import CandleEvent
from market.decimals import AMOUNT_SCALE, format_decimal
from market.price_change import PriceChangedEvent
from market.trade import GapMark, Trade
from schemas.records import Record
from sinks.store import KafkaRecord

_NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000


class Row(NamedTuple):
    """A line for a table. `version` orders the rows of one key; `month` is year × 12 + month - 1 of a partitioned table."""

    table: str
    key: tuple[str | int | None, ...]
    version: tuple[int, ...]
    month: int | None
    line: str


def row_of(record: Record, source: KafkaRecord) -> Row | None:
    """The row of a record; None for records that leave none, such as time marks."""
    if isinstance(record, Trade):
        return _trade(record, source)
    if isinstance(record, CandleEvent):
        return _candle(record)
    if isinstance(record, PriceChangedEvent):
        return _price_change(record)
    return _gap(record, source) if isinstance(record, GapMark) else None


def without_repetitions(rows: Iterable[Row]) -> list[Row]:
    """One row of each table and key: the one with the highest version, of equal ones the first."""
    kept: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = row.table, *row.key
        other = kept.get(key)
        if other is None or row.version > other.version:
            kept[key] = row
    return list(kept.values())


def time_text(micros: int) -> str:
    """An instant as PostgreSQL reads it, to the microsecond."""
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{_second_text(seconds)}.{fraction:06d}+00"


def month_of(micros: int) -> int:
    """The month an instant lies in, counted as year × 12 + month - 1, UTC."""
    return _month_of_day(micros // _DAY)


def escape(text: str) -> str:
    """A text as COPY reads it."""
    return text.translate(_ESCAPES)


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=1024)
def _month_of_day(day: int) -> int:
    date = _EPOCH + timedelta(days=day)
    return date.year * 12 + date.month - 1


def _maybe_time(micros: int | None) -> str:
    return _NULL if micros is None else time_text(micros)


def _flag(value: bool) -> str:
    return "t" if value else "f"


def _trade(trade: Trade, source: KafkaRecord) -> Row:
    event_time = trade.event_time
    trade_id = escape(trade.trade_id)
    line = (
        f"{trade.instrument}\t{trade_id}\t{time_text(event_time)}\t{trade.sequence}\t{format_decimal(trade.price)}\t"
        f"{format_decimal(trade.size)}\t{trade.side or _NULL}\t{_maybe_time(trade.exchange_time)}\t"
        f"{time_text(trade.received_at)}\t{_maybe_time(trade.published_at)}\t{escape(trade.first_trade_id)}\t"
        f"{escape(trade.last_trade_id)}\t{trade.trade_count}\t{source.partition}\t{source.offset}\n"
    )
    return Row("trades", (trade.instrument, trade_id, event_time), (), month_of(event_time), line)


def _candle(candle: CandleEvent) -> Row:
    buys = candle.taker_buy_volume
    line = (
        f"{candle.instrument}\t{candle.interval}\t{time_text(candle.open_time)}\t{time_text(candle.close_time)}\t"
        f"{candle.kind.value}\t{candle.revision}\t{format_decimal(candle.open)}\t{format_decimal(candle.high)}\t"
        f"{format_decimal(candle.low)}\t{format_decimal(candle.close)}\t{format_decimal(candle.volume)}\t"
        f"{format_decimal(candle.amount, AMOUNT_SCALE)}\t{format_decimal(candle.vwap)}\t"
        f"{_NULL if buys is None else format_decimal(buys)}\t{candle.trade_count}\t{escape(candle.first_trade_id)}\t"
        f"{escape(candle.last_trade_id)}\t{_flag(candle.is_closed)}\t{_flag(candle.complete)}\t{_flag(candle.gap)}\t"
        f"{time_text(candle.last_trade_time)}\t{time_text(candle.received_at)}\t{escape(candle.source_topic)}\t"
        f"{candle.source_partition}\t{candle.source_offset}\n"
    )
    key = candle.instrument, candle.interval, candle.open_time
    return Row("candles", key, candle.version, month_of(candle.open_time), line)


def _price_change(change: PriceChangedEvent) -> Row:
    event_time = change.received_at if change.exchange_time is None else change.exchange_time
    line = (
        f"{change.instrument}\t{time_text(event_time)}\t{format_decimal(change.old_price)}\t"
        f"{format_decimal(change.new_price)}\t{format_decimal(change.change)}\t{format_decimal(change.change_percent)}\t"
        f"{change.changes}\t{_flag(change.is_significant)}\t{_maybe_time(change.exchange_time)}\t"
        f"{time_text(change.received_at)}\t{escape(change.source_topic)}\t{change.source_partition}\t{change.source_offset}\n"
    )
    key = change.source_topic, change.source_partition, change.source_offset, change.instrument, event_time
    return Row("price_changes", key, (), month_of(event_time), line)


def _gap(gap: GapMark, source: KafkaRecord) -> Row:
    line = (
        f"{gap.instrument}\t{_maybe_time(gap.begin)}\t{time_text(gap.end)}\t{_flag(gap.healed)}\t"
        f"{_maybe_time(gap.published_at)}\t{source.partition}\t{source.offset}\n"
    )
    return Row("gaps", (gap.instrument, gap.begin, gap.end), (gap.healed,), None, line)
