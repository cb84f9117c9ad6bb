"""The compiled reader of trades, where it was built and knows what trades and their table look like here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from market.trade import Trade
from sinks.store import Shortcut
from sinks.stores._postgres_tables import TRADES

_FIELDS = (
    *("instrument", "trade_id", "sequence", "price", "size", "side", "exchange_time", "received_at"),
    *("first_trade_id", "last_trade_id", "trade_count", "published_at", "origin"),
)
_COLUMNS = (
    *("instrument", "trade_id", "event_time", "sequence", "price", "size", "side", "exchange_time", "received_at"),
    *("published_at", "origin", "first_trade_id", "last_trade_id", "trade_count", "source_partition", "source_offset"),
)


def trade_reader(header: bytes, max_skew: int) -> Shortcut | None:
    """What reads trades whose values begin with this header; None where all records go the whole way."""
    if Trade._fields != _FIELDS or TRADES.columns != _COLUMNS:
        return None  # a field was added, which the compiled reader does not know yet
    try:
        compiled = import_module("sinks.stores._postgres_compiled")
    except ImportError:
        return None
    return cast("Shortcut", compiled.TradeReader(header, max_skew))
