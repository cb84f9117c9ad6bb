"""Avro bodies of what a commit writes for each instrument it touched: candle events and the state behind them.

The compiled encoders and the plain ones, which are fastavro's, give the same bytes. A record's header, and the version and
offset in front of stored state, are the caller's.
"""

from __future__ import annotations

from typing import Protocol, cast

from market.candle import CandleEvent
from market.candle_series import ClosedCandle, SeriesState
from processors.built import compiled_module
from processors.encoding import plain


class Encoders(Protocol):
    """What both modules have. They raise DataValidationError, or as fastavro does, for what does not fit its field."""

    def encode_candle(self, event: CandleEvent) -> bytes:
        """Body of a candle event."""

    def encode_series(self, state: SeriesState) -> bytes:
        """Body of an instrument's candle state, without the offset it reflects."""

    def encode_closed(self, closed: ClosedCandle) -> bytes:
        """Body of a closed candle, without the offset it reflects."""


def encoders(*, compiled: bool = True) -> Encoders:
    """The compiled encoders where they are wanted and were built, else the plain ones."""
    built = compiled_module("processors.encoding.compiled") if compiled else None
    return cast("Encoders", built or plain)
