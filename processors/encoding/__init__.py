"""Avro bodies of what a commit writes for each instrument it touched: candle events and the state behind them.

`encode_candle`, `encode_series` and `encode_closed` are compiled where the extension was built, else fastavro's; the bytes are
the same. A record's header, and the version and offset in front of stored state, are the caller's.
"""

from __future__ import annotations

from processors.encoding import plain

try:
    from processors.encoding.compiled import encode_candle, encode_closed, encode_series
except ImportError:  # it is built where there is a compiler
    from processors.encoding.plain import encode_candle, encode_closed, encode_series

__all__ = ["encode_candle", "encode_closed", "encode_series", "plain"]
