"""What InfluxDB must hold of records: a model in plain Python, and what it does hold, asked by Flux."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from influxdb_client import InfluxDBClient

from market.candle import CandleEvent
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

TOTALS = (
    *("net_exposure", "gross_exposure", "unrealised_pnl", "realised_pnl", "income", "cash", "equity"),
    *("day_pnl", "day_price_effect", "day_fx_effect"),
)
AMOUNTS = {"amount", "amount_24h", "observed", "expected", "notional", *TOTALS}
PRICES = {
    *("price", "size", "bid", "bid_size", "ask", "ask_size", "last", "last_size", "open_24h", "high_24h", "low_24h"),
    *("volume_24h", "change_24h", "change_percent_24h", "open", "high", "low", "close", "volume", "taker_buy_volume", "vwap"),
    *("old_price", "new_price", "change", "change_percent", "score", "coverage_percent"),
    *("rate", "mark_price", "index_price", "open_interest"),
}
WHOLE = {
    *("sequence", "trade_count", "received_at", "close_time", "revision", "source_offset", "source_partition", "changes"),
    *("occurrences", "open_time", "records", "faulty_seconds"),
    *("lines", "valued", "stale", "position_version", "generation", "next_funding_time", "interval_seconds"),
}


class Kind(NamedTuple):
    """How a record becomes a point: measurement, tags, time (None: the exchange's or else the receiver's), fields."""

    measurement: str
    tags: tuple[str, ...]
    time: str | None
    fields: tuple[str, ...]
    versions: tuple[str, ...] = ()


KINDS: Mapping[type[Any], Kind] = {
    Trade: Kind(
        "trades",
        ("instrument", "side"),
        None,
        ("price", "size", "amount", "trade_id", "sequence", "trade_count", "received_at"),
    ),
    Quote: Kind("quotes", ("channel", "instrument"), None, (*Quote._fields[2:16], "received_at", "mark_price", "index_price")),
    Funding: Kind("funding", ("channel", "instrument"), None, (*Funding._fields[2:7], "received_at")),
    OpenInterest: Kind("open_interest", ("channel", "instrument"), None, ("open_interest", "notional", "received_at")),
    PriceChangedEvent: Kind(
        "price_changes",
        ("instrument",),
        None,
        (*PriceChangedEvent._fields[1:7], "received_at", "source_partition", "source_offset"),
    ),
    CandleEvent: Kind(
        "candles",
        ("instrument", "interval"),
        "open_time",
        (
            *("open", "high", "low", "close", "volume", "amount", "vwap", "taker_buy_volume", "trade_count", "kind"),
            *("is_closed", "complete", "gap", "close_time", "received_at", "revision", "source_offset"),
        ),
        ("revision", "source_offset"),
    ),
    Kline: Kind(
        "klines",
        ("instrument", "interval"),
        "open_time",
        ("open", "high", "low", "close", "volume", "amount", "taker_buy_volume", "trade_count", "is_closed", "received_at"),
        ("received_at",),
    ),
    QualityEvent: Kind(
        "quality",
        ("instrument", "rule", "severity", "source_topic"),
        "event_time",
        (
            *("field", "observed", "expected", "occurrences", "detail", "interval", "open_time", "received_at"),
            *("source_partition", "source_offset"),
        ),
    ),
    QualityScore: Kind(
        "quality_scores",
        ("instrument", "source_topic"),
        "open_time",
        ("score", "records", "faulty_seconds", "received_at", "source_offset"),
        ("source_offset",),
    ),
    FeedStatus: Kind("status", ("channel", "instrument", "venue"), "changed_at", ("state", "reason")),
    Valuation: Kind(
        "valuations",
        ("base_currency", "portfolio_id"),
        "valued_at",
        (*TOTALS, "coverage_percent", "lines", "valued", "stale", "position_version", "generation", "sequence"),
    ),
}
RENAMED = {"base_currency": "currency", "portfolio_id": "portfolio"}
"""Tags that have another name than the record's field."""


class Point(NamedTuple):
    """`time` in microseconds."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    time: int
    fields: tuple[tuple[str, Any], ...]


def point_of(record: Any) -> Point:
    """The point that a record should leave."""
    kind = KINDS[type(record)]
    tags = {RENAMED.get(name, name): str(value) for name in kind.tags if (value := getattr(record, name)) is not None}
    fields = {name: figure(name, value) for name in kind.fields if (value := getattr(record, name)) is not None}
    if isinstance(record, CandleEvent):
        fields["taker_buy_known"] = record.taker_buy_volume is not None
    if isinstance(record, QualityScore):
        fields |= {f"{rule.lower()}_count": count for rule, count in record.counts.items()}
    if kind.time is not None:
        time = getattr(record, kind.time)
    else:
        time = record.received_at if record.exchange_time is None else record.exchange_time
    return Point(kind.measurement, tuple(sorted(tags.items())), time, tuple(sorted(fields.items())))


def figure(name: str, value: Any) -> Any:
    """A field's value as InfluxDB should give it back."""
    if name in AMOUNTS:
        return float(Fraction(value, 10**24))
    if name in PRICES:
        return float(Fraction(value, 10**12))
    return int(value) if name in WHOLE else value if isinstance(value, bool) else str(value)


def points_of(records: Iterable[Record]) -> Counter[Point]:
    """What should be stored of records: of those with versions the last of the highest, of repeated ones one."""
    held: dict[Any, tuple[Any, Point]] = {}
    for record in records:
        if type(record) not in KINDS:
            continue
        kind, point = KINDS[type(record)], point_of(record)
        key: Any = point
        if kind.versions:
            key = point[:3]
        elif isinstance(record, Trade):
            key = *point[:3], record.trade_id
        version = tuple(getattr(record, name) for name in kind.versions)
        if key not in held or version >= held[key][0]:
            held[key] = version, point
    return Counter(point for _, point in held.values())


_ALL = """
from(bucket: bucket) |> range(start: 0, stop: 2200-01-01T00:00:00Z) |> drop(columns: ["_start", "_stop"])
|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
"""


def stored(client: InfluxDBClient, buckets: Iterable[str]) -> Counter[Point]:
    """All points of buckets. A candle's volume of takers counts only where it is known."""
    found: Counter[Point] = Counter()
    tags = {kind.measurement: [RENAMED.get(name, name) for name in kind.tags] for kind in KINDS.values()}
    for bucket in buckets:
        for table in client.query_api().query(_ALL, params={"bucket": bucket}):
            for record in table.records:
                values = {name: value for name, value in record.values.items() if value is not None}
                measurement = values.pop("_measurement")
                time = (values.pop("_time") - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
                of_tags = {name: values.pop(name) for name in tags[measurement] if name in values}
                del values["result"], values["table"]
                if values.get("taker_buy_known") is False:
                    values.pop("taker_buy_volume", None)
                found[Point(measurement, tuple(sorted(of_tags.items())), time, tuple(sorted(values.items())))] += 1
    return found
