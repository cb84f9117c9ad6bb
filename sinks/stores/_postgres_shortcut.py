"""The compiled reader of trades, where it was built and knows what trades and their table look like here."""

from __future__ import annotations

from typing import cast

from sinks.store import Shortcut
from sinks.stores._postgres_tables import TRADES
from sinks.stores._trade_reading import compiled_module

_COLUMNS = (
    *("instrument", "trade_id", "event_time", "sequence", "price", "size", "side", "exchange_time", "received_at"),
    *("published_at", "origin", "first_trade_id", "last_trade_id", "trade_count", "source_partition", "source_offset"),
)


def trade_reader(header: bytes, max_skew: int) -> Shortcut | None:
    """What reads trades whose values begin with this header; None where all records go the whole way."""
    if TRADES.columns != _COLUMNS:
        return None  # a column was added, which the compiled reader does not know yet
    compiled = compiled_module("_postgres_compiled")
    return None if compiled is None else cast("Shortcut", compiled.TradeReader(header, max_skew))
