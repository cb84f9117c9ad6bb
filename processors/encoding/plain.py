"""Candle events and candle state to Avro by fastavro: what the compiled encoders must equal, and what stands in for them."""

from __future__ import annotations

from typing import Any

from market.candle import Candle, CandleEvent
from market.candle_series import ClosedCandle, SeriesState
from processors.states.candle_schemas import CLOSED_CANDLE, SERIES_STATE
from processors.states.form import encode
from processors.states.seen import seen_fields
from schemas.codec import encode_body


def encode_candle(event: CandleEvent) -> bytes:
    """Avro body of a candle event, as a codec frames it. Raises DataValidationError when a value does not fit its field."""
    return encode_body(event)


def encode_series(state: SeriesState) -> bytes:
    """Avro body of an instrument's candle state, without the offset it reflects. Raises as fastavro does."""
    return encode(
        SERIES_STATE,
        {
            "latest": state.latest,
            "latest_trade": state.latest_trade,
            "observed_from": state.observed_from,
            **seen_fields(state.seen),
            "open": [
                {"interval": key[0], "open_time": key[1], "source_offset": held.source_offset, "candle": _candle(held.candle)}
                for key, held in state.open.items()
            ],
            "closed": {name: {"first": oldest, "last": newest} for name, (oldest, newest) in state.closed.items()},
            "gaps": [gap._asdict() for gap in state.gaps.known],
            "gaps_floor": state.gaps.floor,
        },
    )


def encode_closed(closed: ClosedCandle) -> bytes:
    """Avro body of a closed candle, without the offset it reflects. Raises as fastavro does."""
    return encode(CLOSED_CANDLE, {**closed._asdict(), "candle": _candle(closed.candle)})


def _candle(candle: Candle) -> dict[str, Any]:
    return {**candle._asdict(), "first": candle.first._asdict(), "last": candle.last._asdict()}
