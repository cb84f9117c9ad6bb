"""Candles as their agent keeps them: the state of an instrument's open ones, and each closed one."""

from __future__ import annotations

from typing import Any

from market.candle import Candle, TradePoint
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.gaps import Gap, KnownGaps
from processors.encoding import Encoders, encoders
from processors.states.candle_schemas import CLOSED_CANDLE, SERIES_STATE
from processors.states.form import head, read
from processors.states.seen import seen_from


def encode_series(state: SeriesState, encoders: Encoders = encoders()) -> bytes:  # noqa: B008 - the best there are
    """Bytes of an instrument's candle state."""
    return head(state.applied_offset) + encoders.encode_series(state)


def decode_series(data: bytes | None) -> SeriesState:
    """Candle state of an instrument; the empty state of none."""
    if data is None:
        return SeriesState()
    offset, values = read(SERIES_STATE, data)
    return SeriesState(
        offset,
        values["latest"],
        values["latest_trade"],
        values["observed_from"],
        seen_from(values),
        {
            (held["interval"], held["open_time"]): OpenCandle(_candle_from(held["candle"]), held["source_offset"])
            for held in values["open"]
        },
        {name: (value["first"], value["last"]) for name, value in values["closed"].items()},
        KnownGaps([Gap(**gap) for gap in values["gaps"]], values["gaps_floor"]),
    )


def encode_closed(closed: ClosedCandle, encoders: Encoders = encoders()) -> bytes:  # noqa: B008 - the best there are
    """Bytes of a closed candle."""
    return head(closed.source_offset) + encoders.encode_closed(closed)


def decode_closed(data: bytes) -> ClosedCandle:
    """A closed candle."""
    offset, values = read(CLOSED_CANDLE, data)
    return ClosedCandle(**{**values, "candle": _candle_from(values["candle"])}, source_offset=offset)


def _candle_from(values: dict[str, Any]) -> Candle:
    return Candle(**{**values, "first": TradePoint(**values["first"]), "last": TradePoint(**values["last"])})
