"""The tables the PostgreSQL store writes, and the statements that bring a batch into them.

A batch goes as text by COPY into a staging table that is emptied at each commit, and from there by one statement into the
table. `newer` says what happens to a row that is there already: without it the row stays (a trade is a fact); with it the
row is replaced by one whose values in these columns are higher (the versions of a candle; a gap that is healed). A digest in
a key is computed by the database of a column that is too long for an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.sql import SQL, Composed, Identifier


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its natural key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    newer: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """Name of the staging table."""
        return f"stage_{self.name}"


TRADES = Table(
    "trades",
    (
        *("instrument", "trade_id", "event_time", "sequence", "price", "size", "side", "exchange_time", "received_at"),
        *("published_at", "origin", "first_trade_id", "last_trade_id"),
        *("trade_count", "source_partition", "source_offset"),
    ),
    key=("instrument", "trade_id", "event_time"),
)
CANDLES = Table(
    "candles",
    (
        *("instrument", "interval", "open_time", "close_time", "kind", "revision", "open", "high", "low", "close", "volume"),
        *("amount", "vwap", "taker_buy_volume", "trade_count", "first_trade_id", "last_trade_id", "is_closed", "complete"),
        *("gap", "last_trade_time", "received_at", "source_topic", "source_partition", "source_offset"),
    ),
    key=("instrument", "interval", "open_time"),
    newer=("revision", "source_offset"),
)
PRICE_CHANGES = Table(
    "price_changes",
    (
        *("instrument", "event_time", "old_price", "new_price", "change", "change_percent", "changes", "is_significant"),
        *("exchange_time", "received_at", "source_topic", "source_partition", "source_offset"),
    ),
    key=("source_topic", "source_partition", "source_offset", "instrument", "event_time"),
)
GAPS = Table(
    "gaps",
    ("instrument", "begin_time", "end_time", "healed", "published_at", "source_partition", "source_offset"),
    key=("instrument", "begin_time", "end_time"),
    newer=("healed",),
)

QUOTES = Table(
    "quotes",
    (
        *("instrument", "channel", "period_time", "sequence", "bid", "bid_size", "ask", "ask_size", "last", "last_size"),
        *("open_24h", "high_24h", "low_24h", "volume_24h", "amount_24h", "change_24h", "change_percent_24h"),
        *("exchange_time", "received_at", "published_at", "source_partition", "source_offset", "mark_price", "index_price"),
    ),
    key=("instrument", "period_time", "channel"),
    newer=("received_at",),
)
KLINES = Table(
    "klines",
    (
        *("instrument", "interval", "open_time", "open", "high", "low", "close", "volume", "amount", "trade_count"),
        *("taker_buy_volume", "first_trade_id", "last_trade_id", "is_closed", "exchange_time", "received_at"),
        *("published_at", "source_partition", "source_offset"),
    ),
    key=("instrument", "interval", "open_time"),
    newer=("is_closed", "received_at"),
)
FUNDING = Table(
    "funding",
    (
        *("instrument", "channel", "period_time", "rate", "next_funding_time", "interval_seconds", "mark_price"),
        *("index_price", "exchange_time", "received_at", "published_at", "source_partition", "source_offset"),
    ),
    key=("instrument", "period_time", "channel"),
    newer=("received_at",),
)
OPEN_INTEREST = Table(
    "open_interest",
    (
        *("instrument", "channel", "period_time", "open_interest", "notional", "exchange_time", "received_at"),
        *("published_at", "source_partition", "source_offset"),
    ),
    key=("instrument", "period_time", "channel"),
    newer=("received_at",),
)
FEED_STATUS = Table(
    "feed_status",
    (
        *("venue", "channel", "instrument", "state", "reason", "changed_at", "published_at", "source"),
        *("source_partition", "source_offset"),
    ),
    key=("instrument", "changed_at", "venue", "channel", "state", "reason_digest"),
)
QUALITY_EVENTS = Table(
    "quality_events",
    (
        *("instrument", "rule", "severity", "field", "observed", "expected", "occurrences", "detail", "event_time"),
        *("received_at", "interval", "open_time", "source_topic", "source_partition", "source_offset"),
    ),
    key=(
        *("instrument", "event_time", "source_topic", "source_partition", "source_offset", "rule", "field"),
        "detail_digest",
    ),
)
QUALITY_SCORES = Table(
    "quality_scores",
    (
        *("instrument", "open_time", "records", "counts", "faulty_seconds", "score", "received_at"),
        *("source_topic", "source_partition", "source_offset"),
    ),
    key=("instrument", "open_time", "source_topic"),
    newer=("received_at", "source_offset"),
)

_STAMPED = ("generation", "sequence")
_FIGURES = (
    *("position_version", "net_exposure", "gross_exposure", "unrealised_pnl", "realised_pnl", "income", "cash", "equity"),
    *("day_pnl", "day_price_effect", "day_fx_effect", "lines", "valued", "stale", "coverage_percent", "oldest_price_at"),
    *("left_out", "without_rate", "rates", "as_of", "day_end_at", "generation", "sequence", "valued_at"),
    *("source_partition", "source_offset"),
)
PORTFOLIOS = Table(
    "portfolios",
    (
        *("portfolio_id", "base_currency", "version", "policy", "balances", "positions", "created_at", "updated_at"),
        *("source_partition", "source_offset"),
    ),
    key=("portfolio_id",),
    newer=("version",),
)
VALUATIONS = Table(
    "valuations",
    ("portfolio_id", "period_time", "base_currency", *_FIGURES),
    key=("portfolio_id", "period_time"),
    newer=_STAMPED,
)
DAY_ENDS = Table(
    "day_ends",
    ("portfolio_id", "base_currency", *_FIGURES),
    key=("portfolio_id", "day_end_at"),
    newer=_STAMPED,
)
VALUATION_LINES = Table(
    "valuation_lines",
    (
        *("portfolio_id", "period_time", "position_id", "position_version", "instrument", "currency", "quantity"),
        *("multiplier", "cost", "state", "reason", "price", "price_choice", "price_source", "price_at", "reference_price"),
        *("reference_kind", "rate", "rate_as_of", "rate_sources", "rate_is_stale", "value"),
        *("unrealised_pnl", "base_value", "base_unrealised_pnl", "generation", "sequence", "valued_at"),
        *("source_partition", "source_offset"),
    ),
    key=("portfolio_id", "period_time", "position_id"),
    newer=_STAMPED,
)
ALERTS = Table(
    "alerts",
    (
        *("portfolio_id", "valued_at", "kind", "is_breached", "value", "threshold", "clears_at", "base_currency"),
        *("position_version", "oldest_price_at", "as_of", "source_partition", "source_offset"),
    ),
    key=("portfolio_id", "valued_at", "kind", "source_partition", "source_offset"),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        *(TRADES, CANDLES, PRICE_CHANGES, GAPS),
        *(QUOTES, KLINES, FUNDING, OPEN_INTEREST, FEED_STATUS, QUALITY_EVENTS, QUALITY_SCORES),
        *(PORTFOLIOS, VALUATIONS, DAY_ENDS, VALUATION_LINES, ALERTS),
    )
}


def create_stage(table: Table) -> Composed:
    """Make the staging table of this session."""
    return SQL("CREATE TEMPORARY TABLE {stage} (LIKE {table}) ON COMMIT DELETE ROWS").format(
        stage=Identifier(table.stage), table=Identifier(table.name)
    )


def copy_into_stage(table: Table) -> Composed:
    """Receive rows as text."""
    return SQL("COPY {stage} ({columns}) FROM STDIN").format(stage=Identifier(table.stage), columns=_names(table.columns))


def merge(table: Table) -> Composed:
    """Bring the staged rows into the table. No key may be staged twice."""
    return SQL("INSERT INTO {table} AS held ({columns}) SELECT {columns} FROM {stage} ON CONFLICT ({key}) DO {action}").format(
        table=Identifier(table.name),
        columns=_names(table.columns),
        stage=Identifier(table.stage),
        key=_names(table.key),
        action=_replace_older(table) if table.newer else SQL("NOTHING"),
    )


def _replace_older(table: Table) -> Composed:
    values = [column for column in table.columns if column not in table.key]
    return SQL("UPDATE SET {changes} WHERE ({new}) > ({old})").format(
        changes=SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(column)) for column in values),
        new=_names(table.newer, "excluded"),
        old=_names(table.newer, "held"),
    )


def _names(columns: tuple[str, ...], *prefix: str) -> Composed:
    return SQL(", ").join(Identifier(*prefix, column) for column in columns)
