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
from market.kline_sides import HeldCandle, HeldKline, Side
from market.latest_price import Statement, Statements
from market.price_change import PriceState
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_minute import QualityMinute
from market.quality_monitor import QualityState
from market.quality_telling import Told
from market.quote import Quote
from market.rules.silence import Silence
from market.rules.times import Place
from market.seen_trades import SeenTrades
from processors.encoding import Encoders, encoders, plain
from processors.expiry import Reached
from processors.state_schemas import (
    BOOK_HEAD,
    CANDLE_SIDE,
    CLOSED_CANDLE,
    KLINE_SIDE,
    PRICE_STATE,
    QUALITY_STATE,
    REACHED,
    SERIES_STATE,
    STATEMENTS,
)
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


def encode_statements(statements: Statements) -> bytes:
    """Bytes of what the channels of one topic say of an instrument."""
    said = [
        one.quote._asdict() | {"offset": one.offset, "tells_book": one.tells_book} for one in statements.by_channel.values()
    ]
    return _head(statements.applied_offset) + plain.encode_state(STATEMENTS, {"said": said})


def decode_statements(data: bytes | None, instrument: str, source: tuple[str, int]) -> Statements:
    """What the channels of one topic say of an instrument, nothing of none; `source` is topic and partition."""
    if data is None:
        return Statements()
    offset, values = _read(STATEMENTS, data)
    by_channel = {}
    for said in values["said"]:
        place, tells_book = said.pop("offset"), said.pop("tells_book")
        by_channel[said["channel"]] = Statement(Quote(instrument=instrument, **said), tells_book, *source, place)
    return Statements(offset, by_channel)


def encode_quality(state: QualityState) -> bytes:
    """Bytes of what is remembered of an instrument's quality in a topic."""
    seen, silence, minute = state.seen, state.silence, state.minute
    body = plain.encode_state(
        QUALITY_STATE,
        {
            "latest": state.latest,
            "clock": state.clock,
            "last": {channel: place._asdict() for channel, place in state.last.items()},
            "last_id": seen.last,
            "floor_id": seen.floor,
            "holes": [{"first": first, "last": last} for first, last in seen.holes],
            "hashes": seen.hashes,
            "prices": state.prices,
            "heard_at": silence.heard_at,
            "is_stale": silence.is_stale,
            "gap_until": state.gap_until,
            "open_time": minute.open_time,
            "records": minute.records,
            "counts": minute.counts,
            "faulty": minute.faulty,
            "told": {rule: {"at": one.at, "held": one.held and one.held._asdict()} for rule, one in state.told.items()},
        },
    )
    return _head(state.applied_offset) + body


def decode_quality(data: bytes | None) -> QualityState:
    """What is remembered of an instrument's quality in a topic; the empty state of none."""
    if data is None:
        return QualityState()
    offset, values = _read(QUALITY_STATE, data)
    return QualityState(
        offset,
        values["latest"],
        values["clock"],
        {channel: Place(**place) for channel, place in values["last"].items()},
        SeenTrades(values["last_id"], values["floor_id"], _ranges(values["holes"]), values["hashes"]),
        values["prices"],
        Silence(values["heard_at"], values["is_stale"]),
        values["gap_until"],
        QualityMinute(values["open_time"], values["records"], values["counts"], values["faulty"]),
        {rule: Told(told["at"], _held_from(told["held"])) for rule, told in values["told"].items()},
    )


def encode_candle_side(side: Side[HeldCandle]) -> bytes:
    """Bytes of what is held of an instrument's candles for comparison."""
    return _head(side.applied_offset) + _encode_side(CANDLE_SIDE, side)


def decode_candle_side(data: bytes | None) -> Side[HeldCandle]:
    """What is held of an instrument's candles; nothing of none."""
    return _decode_side(CANDLE_SIDE, data, HeldCandle)


def encode_kline_side(side: Side[HeldKline]) -> bytes:
    """Bytes of what is held of an instrument's klines for comparison."""
    return _head(side.applied_offset) + _encode_side(KLINE_SIDE, side)


def decode_kline_side(data: bytes | None) -> Side[HeldKline]:
    """What is held of an instrument's klines; nothing of none."""
    return _decode_side(KLINE_SIDE, data, HeldKline)


def _encode_side(schema: Any, side: Side[Any]) -> bytes:
    held = [{"interval": interval, "open_time": open_time, **one._asdict()} for (interval, open_time), one in side.held.items()]
    return plain.encode_state(schema, {"time": side.time, "since": side.since, "held": held})


def _decode_side(schema: Any, data: bytes | None, kind: Any) -> Side[Any]:
    if data is None:
        return Side()
    offset, values = _read(schema, data)
    held = {(one.pop("interval"), one.pop("open_time")): kind(**one) for one in values["held"]}
    return Side(offset, values["time"], values["since"], held)


def _head(offset: int) -> bytes:
    return _HEAD.pack(VERSION, offset)


def _read(schema: Any, data: bytes) -> tuple[int, Any]:
    offset = reflected_offset(data)
    return offset, fastavro.schemaless_reader(BytesIO(data[_HEAD.size :]), schema, None)


def _ranges(values: list[dict[str, int]]) -> list[tuple[int, int]]:
    return [(value["first"], value["last"]) for value in values]


def _held_from(values: dict[str, Any] | None) -> QualityEvent | None:
    if values is None:
        return None
    return QualityEvent(**{**values, "rule": QualityRule(values["rule"]), "severity": Severity(values["severity"])})


def _candle_from(values: dict[str, Any]) -> Candle:
    return Candle(**{**values, "first": TradePoint(**values["first"]), "last": TradePoint(**values["last"])})
