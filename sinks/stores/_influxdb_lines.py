"""Records as lines of InfluxDB's line protocol, straight from unscaled integers and microseconds. Pure.

Each field has one type for ever, which its builder fixes: InfluxDB drops points whose fields have another type than those
before. Prices, sizes and amounts are floats, each the one nearest to the exact figure, since that is what InfluxDB computes
with and Grafana draws; exact figures are in the topics and in PostgreSQL. What a record does not give has no field. Times
other than the point's own are integers, in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from market.candle import CandleEvent
from market.decimals import AMOUNT_SCALE, SCALE
from market.errors import DataValidationError
from market.feed_status import FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import Trade
from market.valuation_record import Valuation
from schemas.records import Record

TICKS = ("trades", "quotes", "funding", "open_interest", "price_changes", "valuations")
"""Measurements of which every record is a point; the others hold a state, or the latest version of something."""

VERSIONS: Mapping[str, tuple[str, ...]] = {
    "candles": ("revision", "source_offset"),
    "klines": ("received_at",),
    "quality_scores": ("source_offset",),
}
"""Measurements with one point for each series and time, and the fields by which the highest version of it is the truth."""

_ONE = 10**SCALE
_ONE_AMOUNT = 10**AMOUNT_SCALE
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_TEXT_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


Tags = tuple[tuple[str, str], ...]
"""Name and value of each tag, in the order of their names."""


class Row(NamedTuple):
    """A point but for the digits of its time below the microsecond.

    `series` is measurement and tags as they stand in the line, `time` in microseconds. `identity` tells records of one series
    and time apart, and `preferred` is where among them this one would be. Rows with a `version` have their `tags` instead.
    `figures` are price, size and amount of a trade, which stand before its other fields.
    """

    measurement: str
    series: str
    time: int
    fields: str
    preferred: int = 0
    identity: Hashable = None
    version: tuple[int, ...] | None = None
    tags: Tags = ()
    figures: tuple[float, float, float] | None = None


def row_of(record: Record) -> Row | None:
    """The row of a record; None for records that leave none. Raises DataValidationError when a tag cannot be written."""
    build = _BUILDERS.get(type(record))
    return None if build is None else build(record)


def fields_of(rows: Sequence[Row]) -> list[str]:
    """All fields of each row. Trades are by far the most: one call of orjson writes their figures in a tenth of repr's time."""
    figures: list[float] = []
    for row in rows:
        if row.figures is not None:
            figures += row.figures
    numbers = iter(orjson.dumps(figures).decode()[1:-1].split(","))
    return [
        row.fields if row.figures is None else f"price={next(numbers)},size={next(numbers)},amount={next(numbers)},{row.fields}"
        for row in rows
    ]


@lru_cache(maxsize=65_536)
def series(measurement: str, *tags: tuple[str, str]) -> str:
    """Measurement and tags as a line begins.

    Raises DataValidationError for what line protocol cannot hold: an empty value, line ends, a backslash at the end.
    """
    parts = [measurement]
    for name, value in tags:
        if not value or value.endswith("\\") or not value.isprintable():
            raise DataValidationError("not_storable", f"{name}: {value!r:.80} cannot be a tag in InfluxDB", field=name)
        parts.append(f"{name}={value.translate(_TAG_ESCAPES)}")
    return ",".join(parts)


def text(value: str) -> str:
    """A string field's value."""
    return f'"{value if value.isalnum() else value.translate(_TEXT_ESCAPES)}"'


def price(unscaled: int) -> str:
    """A figure of scale 12 as the float nearest to it."""
    return repr(unscaled / _ONE)


def amount(unscaled: int) -> str:
    """A figure of scale 24 as the float nearest to it."""
    return repr(unscaled / _ONE_AMOUNT)


def whole(value: int) -> str:
    """An integer field's value."""
    return f"{value}i"


def flag(value: bool) -> str:
    """A boolean field's value."""
    return "t" if value else "f"


def _given(record: Any, kinds: Mapping[str, Callable[[Any], str]]) -> str:
    """The fields of a record that are not None."""
    values = ((name, getattr(record, name), kind) for name, kind in kinds.items())
    return ",".join([f"{name}={kind(value)}" for name, value, kind in values if value is not None])


@lru_cache(maxsize=65_536)
def trade_series(instrument: str, side: str | None) -> str:
    """The series of an instrument's trades of one side. Raises DataValidationError."""
    tags = ("instrument", instrument), ("side", side)
    return series("trades", *[(name, value) for name, value in tags if value is not None])


def _trade(trade: Trade) -> Row:
    time = trade.received_at if trade.exchange_time is None else trade.exchange_time
    begin = trade_series(trade.instrument, trade.side)
    fields = (
        f"trade_id={text(trade.trade_id)},sequence={trade.sequence}i,"
        f"trade_count={trade.trade_count}i,received_at={trade.received_at}i"
    )
    figures = trade.price / _ONE, trade.size / _ONE, trade.price * trade.size / _ONE_AMOUNT
    return Row("trades", begin, time, fields, trade.sequence, trade.trade_id, None, (), figures)


_QUOTE: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("bid", "bid_size", "ask", "ask_size", "last", "last_size", "open_24h", "high_24h", "low_24h"), price),
    "volume_24h": price,
    "amount_24h": amount,
    "change_24h": price,
    **dict.fromkeys(("change_percent_24h", "mark_price", "index_price"), price),
    "sequence": whole,
    "received_at": whole,
}


def _quote(quote: Quote) -> Row:
    time = quote.received_at if quote.exchange_time is None else quote.exchange_time
    begin = series("quotes", ("channel", quote.channel), ("instrument", quote.instrument))
    identity = quote[2:18] + quote[19:]  # without published_at
    return Row("quotes", begin, time, _given(quote, _QUOTE), quote.sequence or quote.received_at, identity)


_FUNDING: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("rate", "mark_price", "index_price"), price),
    **dict.fromkeys(("next_funding_time", "interval_seconds", "received_at"), whole),
}


def _funding(funding: Funding) -> Row:
    return _stated("funding", funding, _FUNDING)


_OPEN_INTEREST: Mapping[str, Callable[[Any], str]] = {"open_interest": price, "notional": amount, "received_at": whole}


def _open_interest(told: OpenInterest) -> Row:
    return _stated("open_interest", told, _OPEN_INTEREST)


def _stated(measurement: str, record: Funding | OpenInterest, kinds: Mapping[str, Callable[[Any], str]]) -> Row:
    """The row of what a channel states without a number of its own: the receive time gives the digits, read again the same."""
    time = record.received_at if record.exchange_time is None else record.exchange_time
    begin = series(measurement, ("channel", record.channel), ("instrument", record.instrument))
    return Row(measurement, begin, time, _given(record, kinds), record.received_at, record[2:-1])


def _price_change(change: PriceChangedEvent) -> Row:
    time = change.received_at if change.exchange_time is None else change.exchange_time
    fields = (
        f"old_price={change.old_price / _ONE!r},new_price={change.new_price / _ONE!r},change={change.change / _ONE!r},"
        f"change_percent={change.change_percent / _ONE!r},changes={change.changes}i,"
        f"is_significant={flag(change.is_significant)},received_at={change.received_at}i,"
        f"source_partition={change.source_partition}i,source_offset={change.source_offset}i"
    )
    begin = series("price_changes", ("instrument", change.instrument))
    return Row("price_changes", begin, time, fields, change.source_offset, change[-3:])


def _candle(candle: CandleEvent) -> Row:
    buys = candle.taker_buy_volume
    # A field that a later version lacks would keep the value of the one before: the flag says whether it counts.
    known = "taker_buy_known=f" if buys is None else f"taker_buy_known=t,taker_buy_volume={buys / _ONE!r}"
    fields = (
        f"open={candle.open / _ONE!r},high={candle.high / _ONE!r},low={candle.low / _ONE!r},close={candle.close / _ONE!r},"
        f"volume={candle.volume / _ONE!r},amount={candle.amount / _ONE_AMOUNT!r},vwap={candle.vwap / _ONE!r},{known},"
        f"trade_count={candle.trade_count}i,kind={text(candle.kind.value)},is_closed={flag(candle.is_closed)},"
        f"complete={flag(candle.complete)},gap={flag(candle.gap)},close_time={candle.close_time}i,"
        f"received_at={candle.received_at}i,revision={candle.revision}i,source_offset={candle.source_offset}i"
    )
    tags = ("instrument", candle.instrument), ("interval", candle.interval)
    return Row("candles", series("candles", *tags), candle.open_time, fields, version=candle.version, tags=tags)


_KLINE: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("open", "high", "low", "close", "volume", "taker_buy_volume"), price),
    "amount": amount,
    "trade_count": whole,
    "is_closed": flag,
    "received_at": whole,
}


def _kline(kline: Kline) -> Row:
    tags = ("instrument", kline.instrument), ("interval", kline.interval)
    fields = _given(kline, _KLINE)
    return Row("klines", series("klines", *tags), kline.open_time, fields, version=(kline.received_at,), tags=tags)


_QUALITY: Mapping[str, Callable[[Any], str]] = {
    "field": text,
    "observed": amount,
    "expected": amount,
    "occurrences": whole,
    "detail": text,
    "interval": text,
    "open_time": whole,
    "received_at": whole,
    "source_partition": whole,
    "source_offset": whole,
}


def _quality(event: QualityEvent) -> Row:
    tags = ("instrument", event.instrument), ("rule", event.rule.value), ("severity", event.severity.value)
    begin = series("quality", *tags, ("source_topic", event.source_topic))
    identity = event.field, event.detail, *event[-3:]
    return Row("quality", begin, event.event_time, _given(event, _QUALITY), event.source_offset, identity)


def _score(score: QualityScore) -> Row:
    broken = "".join(f",{rule.lower()}_count={count}i" for rule, count in sorted(score.counts.items()))
    fields = (
        f"score={score.score / _ONE!r},records={score.records}i,faulty_seconds={score.faulty_seconds}i,"
        f"received_at={score.received_at}i,source_offset={score.source_offset}i{broken}"
    )
    tags = ("instrument", score.instrument), ("source_topic", score.source_topic)
    begin = series("quality_scores", *tags)
    return Row("quality_scores", begin, score.open_time, fields, version=(score.source_offset,), tags=tags)


def _status(status: FeedStatus) -> Row:
    tags = ("channel", status.channel), ("instrument", status.instrument), ("venue", status.venue)
    fields = f"state={text(status.state.value)},reason={text(status.reason)}"
    identity = status.state.value, status.reason
    # Without a number of its own: after a restart, too, others of its microsecond would seldom get the same digits.
    return Row("status", series("status", *tags), status.changed_at, fields, crc32("|".join(identity).encode()), identity)


_VALUATION: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("net_exposure", "gross_exposure", "unrealised_pnl", "realised_pnl", "income", "cash", "equity"), amount),
    **dict.fromkeys(("day_pnl", "day_price_effect", "day_fx_effect"), amount),
    "coverage_percent": price,
    **dict.fromkeys(("lines", "valued", "stale", "position_version", "generation", "sequence"), whole),
}


def _valuation(valuation: Valuation) -> Row:
    begin = series("valuations", ("currency", valuation.base_currency), ("portfolio", valuation.portfolio_id))
    identity = valuation.generation, valuation.sequence
    fields = _given(valuation, _VALUATION)
    return Row("valuations", begin, valuation.valued_at, fields, valuation.sequence, identity)


_BUILDERS: Mapping[type[Any], Callable[[Any], Row]] = {
    Trade: _trade,
    Quote: _quote,
    Kline: _kline,
    Funding: _funding,
    OpenInterest: _open_interest,
    CandleEvent: _candle,
    PriceChangedEvent: _price_change,
    QualityEvent: _quality,
    QualityScore: _score,
    FeedStatus: _status,
    Valuation: _valuation,
}
