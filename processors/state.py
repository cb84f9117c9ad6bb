"""State of the computations to bytes and back.

A stored value is a version byte, the offset of the last source record it reflects (8 bytes, big-endian), and schemaless Avro.
The offset stands in front so that recovery can tell the newer of two values of any table without reading them.

State never leaves the tables and their changelogs, so its schemas are not registered. A change of a schema gets a new
version byte and a reader for the old one.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from io import BytesIO
from typing import Any

import fastavro

from market.book_tops import BookHead
from market.candle import Candle, TradePoint
from market.candle_series import ClosedCandle, OpenCandle, SeriesState
from market.depth import BookState, Level
from market.gaps import Gap, KnownGaps
from market.price_change import PriceState
from market.seen_trades import SeenTrades
from processors.encoding import Encoders, encoders, plain
from processors.expiry import Reached
from processors.state_schemas import BOOK_HEAD, CLOSED_CANDLE, PRICE_STATE, REACHED, SERIES_STATE
from schemas.depth_decoding import decode_levels
from schemas.depth_encoding import encode_levels

VERSION = 2

_HEAD = struct.Struct(">Bq")


class StateError(Exception):
    """Stored state is not of a version that this program reads."""


def reflected_offset(data: bytes) -> int:
    """Offset of the last source record that a stored value reflects. Raises StateError."""
    if len(data) < _HEAD.size or data[0] != VERSION:
        raise StateError(f"stored state begins with {data[:1]!r}, this program reads version {VERSION}")
    offset: int = _HEAD.unpack_from(data)[1]
    return offset


def encode_series(state: SeriesState, encoders: Encoders = encoders()) -> bytes:  # noqa: B008 - the best there are
    """Bytes of an instrument's candle state."""
    return _head(state.applied_offset) + encoders.encode_series(state)


def decode_series(data: bytes | None) -> SeriesState:
    """Candle state of an instrument; the empty state of none."""
    if data is None:
        return SeriesState()
    offset, values = _read(SERIES_STATE, data)
    return SeriesState(
        offset,
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


def encode_closed(closed: ClosedCandle, encoders: Encoders = encoders()) -> bytes:  # noqa: B008 - the best there are
    """Bytes of a closed candle."""
    return _head(closed.source_offset) + encoders.encode_closed(closed)


def decode_closed(data: bytes) -> ClosedCandle:
    """A closed candle."""
    offset, values = _read(CLOSED_CANDLE, data)
    return ClosedCandle(**{**values, "candle": _candle_from(values["candle"])}, source_offset=offset)


def encode_price(state: PriceState) -> bytes:
    """Bytes of an instrument's price state."""
    time, sequence = state.order or (None, None)
    body = plain.encode_state(
        PRICE_STATE,
        {
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
    return _head(state.applied_offset) + body


def decode_price(data: bytes | None) -> PriceState:
    """Price state of an instrument; the empty state of none."""
    if data is None:
        return PriceState()
    offset, values = _read(PRICE_STATE, data)
    time, sequence = values.pop("order_time"), values.pop("order_sequence")
    return PriceState(offset, None if time is None else (time, sequence), **values)


def encode_book_head(head: BookHead) -> bytes:
    """Bytes of what is remembered of a book besides its levels."""
    body = plain.encode_state(
        BOOK_HEAD,
        {
            "state": head.state.value,
            "sequence": head.sequence,
            "exchange_time": head.exchange_time,
            "told_state": head.told_state and head.told_state.value,
            "told_at": head.told_at,
        },
    )
    return _head(head.applied_offset) + body


def decode_book_head(data: bytes | None) -> BookHead:
    """What is remembered of a book; the empty state of none."""
    if data is None:
        return BookHead()
    offset, values = _read(BOOK_HEAD, data)
    told = values.pop("told_state")
    return BookHead(offset, BookState(values.pop("state")), **values, told_state=told and BookState(told))


def encode_reached(reached: Reached) -> bytes:
    """Bytes of how far a partition was read."""
    return _head(reached.offset) + plain.encode_state(REACHED, {"resumed_at": reached.resumed_at})


def decode_reached(data: bytes | None) -> Reached:
    """How far a partition was read; not at all where there is nothing."""
    if data is None:
        return Reached()
    offset, values = _read(REACHED, data)
    return Reached(offset, **values)


def encode_levels_page(reflected: int, encoded: Collection[bytes]) -> bytes:
    """Bytes of some levels of a book, each encoded by `schemas.depth_encoding`, that reflect messages up to an offset."""
    return _head(reflected) + encode_levels(encoded)


def decode_levels_page(data: bytes) -> tuple[int, Sequence[Level]]:
    """The offset up to which levels reflect messages, and the levels."""
    offset = reflected_offset(data)
    return offset, decode_levels(data, _HEAD.size)[0]


def _head(offset: int) -> bytes:
    return _HEAD.pack(VERSION, offset)


def _read(schema: Any, data: bytes) -> tuple[int, Any]:
    offset = reflected_offset(data)
    return offset, fastavro.schemaless_reader(BytesIO(data[_HEAD.size :]), schema, None)


def _ranges(values: list[dict[str, int]]) -> list[tuple[int, int]]:
    return [(value["first"], value["last"]) for value in values]


def _candle_from(values: dict[str, Any]) -> Candle:
    return Candle(**{**values, "first": TradePoint(**values["first"]), "last": TradePoint(**values["last"])})
