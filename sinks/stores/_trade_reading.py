"""What the compiled readers of trades have in common: which trades they know, and that they may be missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from market.trade import Trade

_FIELDS = (
    *("instrument", "trade_id", "sequence", "price", "size", "side", "exchange_time", "received_at"),
    *("first_trade_id", "last_trade_id", "trade_count", "published_at", "origin"),
)


def compiled_module(name: str) -> Any | None:
    """A module of this folder that reads trades, where it was built; None also where trades have other fields than it knows."""
    if Trade._fields != _FIELDS:
        return None
    try:
        return import_module(f"sinks.stores.{name}")
    except ImportError:
        return None
