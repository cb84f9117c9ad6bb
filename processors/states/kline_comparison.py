"""What is held of an instrument's candles and klines to be compared."""

from __future__ import annotations

from typing import Any

from market.kline_sides import HeldCandle, HeldKline, Side
from processors.states.form import (
    AMOUNT,
    MAYBE_AMOUNT,
    MAYBE_LONG,
    MAYBE_PRICE,
    PRICE,
    array,
    define,
    encode,
    head,
    mapping,
    read,
    record,
)

_SIDE = {"time": "long", "since": mapping("long")}

CANDLE_SIDE = define(
    "CandleSide",
    **_SIDE,
    held=array(
        record(
            "HeldCandle",
            interval="string",
            open_time="long",
            open=PRICE,
            high=PRICE,
            low=PRICE,
            close=PRICE,
            volume=PRICE,
            amount=AMOUNT,
            taker_buy_volume=MAYBE_PRICE,
            trade_count="long",
            revision="int",
            source_offset="long",
            complete="boolean",
            gap="boolean",
            received_at="long",
            offset="long",
            is_late="boolean",
        )
    ),
)

KLINE_SIDE = define(
    "KlineSide",
    **_SIDE,
    held=array(
        record(
            "HeldKline",
            interval="string",
            open_time="long",
            open=PRICE,
            high=PRICE,
            low=PRICE,
            close=PRICE,
            volume=MAYBE_PRICE,
            amount=MAYBE_AMOUNT,
            taker_buy_volume=MAYBE_PRICE,
            trade_count=MAYBE_LONG,
            is_closed="boolean",
            restatements="int",
            previous_close=MAYBE_PRICE,
            received_at="long",
            offset="long",
            is_late="boolean",
        )
    ),
)


def encode_candle_side(side: Side[HeldCandle]) -> bytes:
    """Bytes of what is held of an instrument's candles for comparison."""
    return head(side.applied_offset) + _encode_side(CANDLE_SIDE, side)


def decode_candle_side(data: bytes | None) -> Side[HeldCandle]:
    """What is held of an instrument's candles; nothing of none."""
    return _decode_side(CANDLE_SIDE, data, HeldCandle)


def encode_kline_side(side: Side[HeldKline]) -> bytes:
    """Bytes of what is held of an instrument's klines for comparison."""
    return head(side.applied_offset) + _encode_side(KLINE_SIDE, side)


def decode_kline_side(data: bytes | None) -> Side[HeldKline]:
    """What is held of an instrument's klines; nothing of none."""
    return _decode_side(KLINE_SIDE, data, HeldKline)


def _encode_side(schema: Any, side: Side[Any]) -> bytes:
    held = [{"interval": interval, "open_time": open_time, **one._asdict()} for (interval, open_time), one in side.held.items()]
    return encode(schema, {"time": side.time, "since": side.since, "held": held})


def _decode_side(schema: Any, data: bytes | None, kind: Any) -> Side[Any]:
    if data is None:
        return Side()
    offset, values = read(schema, data)
    held = {(one.pop("interval"), one.pop("open_time")): kind(**one) for one in values["held"]}
    return Side(offset, values["time"], values["since"], held)
