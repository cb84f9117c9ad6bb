"""The compiled reader of trades, where it was built and knows what trades and their points look like here."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sinks.store import Shortcut
from sinks.stores._influxdb_lines import Row
from sinks.stores._trade_reading import compiled_module

_ROW = ("measurement", "series", "time", "fields", "preferred", "identity", "version", "tags", "figures")


def trade_reader(header: bytes, max_skew: int, series: Callable[[str, str | None], str]) -> Shortcut | None:
    """What reads trades whose values begin with this header; None where all records go the whole way.

    `series` gives the series of an instrument and side, or raises DataValidationError for one that is not to be stored.
    """
    if Row._fields != _ROW:
        return None  # a field was added, which the compiled reader does not know yet
    compiled = compiled_module("_influxdb_compiled")
    return None if compiled is None else cast("Shortcut", compiled.TradeReader(header, max_skew, series))
