"""The compiled reader of trades, where it was built and knows what trades and their points look like here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from market.trade import Trade
from sinks.store import Shortcut
from sinks.stores._influxdb_lines import Row

_FIELDS = (
    *("instrument", "trade_id", "sequence", "price", "size", "side", "exchange_time", "received_at"),
    *("first_trade_id", "last_trade_id", "trade_count", "published_at", "origin"),
)
_ROW = ("measurement", "series", "time", "fields", "preferred", "identity", "version", "tags", "figures")


def trade_reader(header: bytes, max_skew: int, series: Callable[[str, str | None], str]) -> Shortcut | None:
    """What reads trades whose values begin with this header; None where all records go the whole way.

    `series` gives the series of an instrument and side, or raises DataValidationError for one that is not to be stored.
    """
    if Trade._fields != _FIELDS or Row._fields != _ROW:
        return None  # a field was added, which the compiled reader does not know yet
    try:
        compiled = import_module("sinks.stores._influxdb_compiled")
    except ImportError:
        return None
    return cast("Shortcut", compiled.TradeReader(header, max_skew, series))
