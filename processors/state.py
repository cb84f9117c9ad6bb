"""State of the computations to bytes and back: schemaless Avro with a version byte in front.

State never leaves the tables and their changelogs, so its schemas are not registered. A change of a schema gets a new
version byte and a reader for the old one.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro

from market.candle import Candle, TradePoint
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.gaps import Gap, KnownGaps
from market.price_change import PriceState
from market.seen_trades import SeenTrades
from processors.state_schemas import CLOSED_CANDLE, PRICE_STATE, SERIES_STATE

VERSION = b"\x01"


class StateError(Exception):
    """Stored state is not of a version that this program reads."""


def encode_series(state: SeriesState) -> bytes:
    """Bytes of an instrument's candle state."""
    seen = state.seen
    return _write(
        SERIES_STATE,
        {
            "applied_offset": state.applied_offset,
            "latest": state.latest,
            "latest_trade": state.latest_trade,
            "observed_from": state.observed_from,
            "last_id": seen.last,
            "floor_id": seen.floor,
            "holes": [{"first": first, "last": last} for first, last in seen.holes],
            "hashes": seen.hashes,
            "open": [
                {"interval": key[0], "open_time": key[1], "source_offset": held.source_offset, "candle": _candle(held.candle)}
                for key, held in state.open.items()
            ],
            "closed": {name: {"first": oldest, "last": newest} for name, (oldest, newest) in state.closed.items()},
            "gaps": [gap._asdict() for gap in state.gaps.known],
            "gaps_floor": state.gaps.floor,
        },
    )


def decode_series(data: bytes | None) -> SeriesState:
    """Candle state of an instrument; the empty state of none."""
    if data is None:
        return SeriesState()
    values = _read(SERIES_STATE, data)
    return SeriesState(
        values["applied_offset"],
        values["latest"],
        values["latest_trade"],
        values["observed_from"],
        SeenTrades(values["last_id"], values["floor_id"], _ranges(values["holes"]), values["hashes"]),
        {
            (held["interval"], held["open_time"]): OpenCandle(_candle_from(held["candle"]), held["source_offset"])
            for held in values["open"]
        },
        {name: (value["first"], value["last"]) for name, value in values["closed"].items()},
        KnownGaps([Gap(**gap) for gap in values["gaps"]], values["gaps_floor"]),
    )


def encode_closed(closed: ClosedCandle) -> bytes:
    """Bytes of a closed candle."""
    return _write(CLOSED_CANDLE, {**closed._asdict(), "candle": _candle(closed.candle)})


def decode_closed(data: bytes) -> ClosedCandle:
    """A closed candle."""
    values = _read(CLOSED_CANDLE, data)
    return ClosedCandle(**{**values, "candle": _candle_from(values["candle"])})


def encode_price(state: PriceState) -> bytes:
    """Bytes of an instrument's price state."""
    time, sequence = state.order or (None, None)
    return _write(
        PRICE_STATE,
        {
            "applied_offset": state.applied_offset,
            "order_time": time,
            "order_sequence": sequence,
            "price": state.price,
            "exchange_time": state.exchange_time,
            "received_at": state.received_at,
            "told_price": state.told_price,
            "told_at": state.told_at,
            "told_event_time": state.told_event_time,
            "pending": state.pending,
        },
    )


def decode_price(data: bytes | None) -> PriceState:
    """Price state of an instrument; the empty state of none."""
    if data is None:
        return PriceState()
    values = _read(PRICE_STATE, data)
    time, sequence = values.pop("order_time"), values.pop("order_sequence")
    return PriceState(order=None if time is None else (time, sequence), **values)


def _write(schema: Any, values: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    buffer.write(VERSION)
    fastavro.schemaless_writer(buffer, schema, values)
    return buffer.getvalue()


def _read(schema: Any, data: bytes) -> Any:
    if data[:1] != VERSION:
        raise StateError(f"stored state has version {data[:1]!r}, this program reads {VERSION!r}")
    return fastavro.schemaless_reader(BytesIO(data[1:]), schema, None)


def _ranges(values: list[dict[str, int]]) -> list[tuple[int, int]]:
    return [(value["first"], value["last"]) for value in values]


def _candle(candle: Candle) -> dict[str, Any]:
    return {**candle._asdict(), "first": candle.first._asdict(), "last": candle.last._asdict()}


def _candle_from(values: dict[str, Any]) -> Candle:
    return Candle(**{**values, "first": TradePoint(**values["first"]), "last": TradePoint(**values["last"])})
