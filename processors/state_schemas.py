"""Avro schemas of the stored state, but for the offset it reflects, which stands before.

Units are those of the classes in `market` they hold.
"""

from __future__ import annotations

import json
from typing import Any

from schemas.records import parse

_PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12}
_AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 24}


def _record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields.items()]}


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_POINT = _record("Point", event_time="long", sequence="long", price=_PRICE, trade_id="string")
_RANGE = _record("Range", first="long", last="long")
_CANDLE = _record(
    "Candle",
    first=_POINT,
    last="Point",
    high=_PRICE,
    low=_PRICE,
    volume=_PRICE,
    amount=_AMOUNT,
    taker_buy_volume=["null", _PRICE],
    trade_count="long",
    received_at="long",
)

SERIES_STATE = parse(
    json.dumps(
        _record(
            "SeriesState",
            latest="long",
            latest_trade="long",
            observed_from={"type": "map", "values": "long"},
            last_id="long",
            floor_id="long",
            holes=_array(_RANGE),
            hashes=_array("long"),
            open=_array(_record("Open", interval="string", open_time="long", source_offset="long", candle=_CANDLE)),
            closed={"type": "map", "values": "Range"},
            gaps=_array(_record("Gap", begin="long", end="long", healed="boolean")),
            gaps_floor="long",
        )
    )
)

_TIME = ["null", "long"]
_FIGURE = ["null", _AMOUNT]
_HELD = _record(
    "Held",
    instrument="string",
    rule="string",
    severity="string",
    field=["null", "string"],
    observed=_FIGURE,
    expected=_FIGURE,
    occurrences="int",
    detail="string",
    event_time="long",
    received_at="long",
    interval=["null", "string"],
    open_time=_TIME,
    source_topic="string",
    source_partition="int",
    source_offset="long",
)

QUALITY_STATE = parse(
    json.dumps(
        _record(
            "QualityState",
            latest="long",
            clock="long",
            last={"type": "map", "values": _record("Place", event_time="long", sequence="long")},
            last_id="long",
            floor_id="long",
            holes=_array(_RANGE),
            hashes=_array("long"),
            prices=_array(_PRICE),
            heard_at="long",
            is_stale="boolean",
            gap_until="long",
            open_time=_TIME,
            records="long",
            counts={"type": "map", "values": "int"},
            faulty="long",
            told={"type": "map", "values": _record("Told", at="long", held=["null", _HELD])},
        )
    )
)

CLOSED_CANDLE = parse(json.dumps(_record("ClosedCandle", candle=_CANDLE, revision="int", complete="boolean", gap="boolean")))

PRICE_STATE = parse(
    json.dumps(
        _record(
            "PriceState",
            order_time=["null", "long"],
            order_sequence=["null", "long"],
            price=_PRICE,
            exchange_time=["null", "long"],
            received_at="long",
            told_price=_PRICE,
            told_at="long",
            told_event_time="long",
            pending="int",
        )
    )
)

_MAYBE_PRICE, _MAYBE_LONG = ["null", _PRICE], ["null", "long"]

STATEMENTS = parse(
    json.dumps(
        _record(
            "Statements",
            said=_array(
                _record(
                    "Statement",
                    offset="long",
                    tells_book="boolean",
                    channel="string",
                    sequence=_MAYBE_LONG,
                    bid=_MAYBE_PRICE,
                    bid_size=_MAYBE_PRICE,
                    ask=_MAYBE_PRICE,
                    ask_size=_MAYBE_PRICE,
                    last=_MAYBE_PRICE,
                    last_size=_MAYBE_PRICE,
                    open_24h=_MAYBE_PRICE,
                    high_24h=_MAYBE_PRICE,
                    low_24h=_MAYBE_PRICE,
                    volume_24h=_MAYBE_PRICE,
                    amount_24h=["null", _AMOUNT],
                    change_24h=_MAYBE_PRICE,
                    change_percent_24h=_MAYBE_PRICE,
                    exchange_time=_MAYBE_LONG,
                    received_at="long",
                    published_at=_MAYBE_LONG,
                )
            ),
        )
    )
)

_SIDE = {"time": "long", "since": {"type": "map", "values": "long"}}

CANDLE_SIDE = parse(
    json.dumps(
        _record(
            "CandleSide",
            **_SIDE,
            held=_array(
                _record(
                    "HeldCandle",
                    interval="string",
                    open_time="long",
                    open=_PRICE,
                    high=_PRICE,
                    low=_PRICE,
                    close=_PRICE,
                    volume=_PRICE,
                    amount=_AMOUNT,
                    taker_buy_volume=["null", _PRICE],
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
    )
)

KLINE_SIDE = parse(
    json.dumps(
        _record(
            "KlineSide",
            **_SIDE,
            held=_array(
                _record(
                    "HeldKline",
                    interval="string",
                    open_time="long",
                    open=_PRICE,
                    high=_PRICE,
                    low=_PRICE,
                    close=_PRICE,
                    volume=["null", _PRICE],
                    amount=["null", _AMOUNT],
                    taker_buy_volume=["null", _PRICE],
                    trade_count=["null", "long"],
                    is_closed="boolean",
                    restatements="int",
                    previous_close=["null", _PRICE],
                    received_at="long",
                    offset="long",
                    is_late="boolean",
                )
            ),
        )
    )
)

BOOK_HEAD = parse(
    json.dumps(
        _record(
            "BookHead",
            state="string",
            sequence=["null", "long"],
            exchange_time=["null", "long"],
            told_state=["null", "string"],
            told_at="long",
        )
    )
)

REACHED = parse(json.dumps(_record("Reached", resumed_at="long")))
