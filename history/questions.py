"""What can be asked: the tables, the order of their rows, and how a row becomes a record. Pure.

Pages go by key, never by counting rows: a page begins behind the last key of the one before, so rows that come meanwhile make
none skipped and none shown twice. The order of each table is total, and its front is that of an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from psycopg.sql import SQL, Composed, Identifier

from history.cursors import KeyValue
from history.times import micros_of
from market.candle import CandleEvent, CandleEventKind
from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, parse_decimal
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.limits import LimitKind
from market.open_interest import OpenInterest
from market.portfolio_alert import Alert
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.topics import VALUATIONS as VALUATIONS_TOPIC

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A part of the order: an expression of SQL and the kind of its values; times are microseconds."""

    expression: SQL
    kind: type[KeyValue]
    is_time: bool = False


@dataclass(frozen=True, slots=True)
class Question(Generic[RecordT]):
    """Rows of a table as records of one type. `by` are the columns that must be given beside the time."""

    table: str
    record: Callable[..., RecordT]
    fields: tuple[str, ...]
    by: tuple[str, ...]
    order: tuple[KeyColumn, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns whose names are not those of their fields."""
    read_as: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """Fields that are more than what the database gives."""

    def statement(self, *, newest_first: bool, behind: bool) -> Composed:
        """The query: its parameters are the values of `by`, the times from and to, the key it goes on behind, and a limit."""
        names = SQL(", ").join(Identifier(self.columns.get(name, name)) for name in self.fields)
        keys = SQL(", ").join(column.expression for column in self.order)
        direction = SQL(" DESC, " if newest_first else ", ")
        order = direction.join(column.expression for column in self.order) + SQL(" DESC" if newest_first else "")
        bounds = [*(SQL("{} = %s").format(Identifier(name)) for name in self.by)]
        time = self.order[0].expression
        bounds += [SQL("{} >= %s").format(time), SQL("{} < %s").format(time)]
        if behind:
            places = SQL(", ").join(SQL("%s") for _ in self.order)
            bounds.append(SQL("({}) {} ({})").format(keys, SQL("<" if newest_first else ">"), places))
        return SQL("SELECT {names}, {keys} FROM {table} WHERE {bounds} ORDER BY {order} LIMIT %s").format(
            names=names, keys=keys, table=Identifier(self.table), bounds=SQL(" AND ").join(bounds), order=order
        )

    def record_of(self, row: tuple[Any, ...]) -> RecordT:
        """The record of a row of the query."""
        values = dict(zip(self.fields, row, strict=False))
        for name, convert in self.read_as.items():
            values[name] = convert(values[name])
        return self.record(**values)

    def key_of(self, row: tuple[Any, ...]) -> list[KeyValue]:
        """The key of a row of the query."""
        return list(row[len(self.fields) :])


def _time(expression: str) -> KeyColumn:
    return KeyColumn(SQL(expression), int, is_time=True)


def _text(expression: str) -> KeyColumn:
    return KeyColumn(SQL(expression), str)


def _whole(expression: str) -> KeyColumn:
    return KeyColumn(SQL(expression), int)


_SOURCE = (_text("source_topic"), _whole("source_partition"), _whole("source_offset"))

TRADES = Question(
    "trades",
    Trade,
    Trade._fields,
    ("instrument",),
    (_time("event_time"), _whole("sequence"), _text("trade_id")),
)
CANDLES = Question(
    "candles",
    CandleEvent,
    CandleEvent._fields,
    ("instrument", "interval"),
    (_time("open_time"),),
    read_as={"kind": CandleEventKind},
)
QUOTES = Question("quotes", Quote, Quote._fields, ("instrument",), (_time("period_time"), _text("channel")))
KLINES = Question("klines", Kline, Kline._fields, ("instrument", "interval"), (_time("open_time"),))
FUNDING = Question("funding", Funding, Funding._fields, ("instrument",), (_time("period_time"), _text("channel")))
OPEN_INTEREST = Question(
    "open_interest", OpenInterest, OpenInterest._fields, ("instrument",), (_time("period_time"), _text("channel"))
)
PRICE_CHANGES = Question(
    "price_changes", PriceChangedEvent, PriceChangedEvent._fields, ("instrument",), (_time("event_time"), *_SOURCE)
)
GAPS = Question(
    "gaps",
    GapMark,
    GapMark._fields,
    ("instrument",),
    (_time("end_time"), _time("coalesce(begin_time, 'epoch')")),  # no gap begins then
    columns={"begin": "begin_time", "end": "end_time"},
)
FEED_STATUS = Question(
    "feed_status",
    FeedStatus,
    FeedStatus._fields,
    ("instrument",),
    (_time("changed_at"), _whole("source_partition"), _whole("source_offset")),
    read_as={"state": FeedState},
)
QUALITY_EVENTS = Question(
    "quality_events",
    QualityEvent,
    QualityEvent._fields,
    ("instrument",),
    (_time("event_time"), *_SOURCE, _text("rule"), _text("coalesce(field, '')"), _text("detail_digest")),
    read_as={"rule": QualityRule, "severity": Severity},
)
QUALITY_SCORES = Question(
    "quality_scores", QualityScore, QualityScore._fields, ("instrument",), (_time("open_time"), _text("source_topic"))
)


def _rates(found: list[dict[str, Any]]) -> tuple[UsedRate, ...]:
    return tuple(map(_rate, found))


def _rate(found: dict[str, Any]) -> UsedRate:
    rate = parse_decimal(found["rate"], field="rate", scale=AMOUNT_SCALE, precision=AMOUNT_PRECISION)
    as_of = None if found["as_of"] is None else micros_of(found["as_of"])
    return UsedRate(found["currency"], rate, as_of, tuple(found["sources"]), found["is_stale"])


def _line(
    *, rate: int | None, rate_as_of: int | None, rate_sources: list[str] | None, rate_is_stale: bool | None, **values: Any
) -> ValuationLine:
    if rate is None:
        return ValuationLine(**values, rate=None)
    used = UsedRate(values["currency"], rate, rate_as_of, tuple(rate_sources or ()), bool(rate_is_stale))
    return ValuationLine(**values, rate=used)


_VALUATION = tuple(name for name in Valuation._fields if name not in {"board", "replies_offset", "limits"})  # not stored
_FIGURES: Mapping[str, Callable[[Any], Any]] = {"left_out": tuple, "without_rate": tuple, "rates": _rates}
_BY_PORTFOLIO = ("portfolio_id",)

VALUATIONS = Question(
    "valuations", partial(Valuation, board=()), _VALUATION, _BY_PORTFOLIO, (_time("period_time"),), read_as=_FIGURES
)
DAY_ENDS = Question(
    "day_ends", partial(Valuation, board=()), _VALUATION, _BY_PORTFOLIO, (_time("day_end_at"),), read_as=_FIGURES
)
VALUATION_LINES = Question(
    "valuation_lines",
    _line,
    (*ValuationLine._fields, "rate_as_of", "rate_sources", "rate_is_stale"),
    _BY_PORTFOLIO,
    (_time("period_time"), _text("position_id")),
    read_as={"state": LineState},
)
ALERTS = Question(
    "alerts",
    partial(Alert, source_topic=VALUATIONS_TOPIC.name),  # which all come from
    tuple(name for name in Alert._fields if name != "source_topic"),
    _BY_PORTFOLIO,
    (_time("valued_at"), _text("kind"), _whole("source_partition"), _whole("source_offset")),
    read_as={"kind": LimitKind},
)
