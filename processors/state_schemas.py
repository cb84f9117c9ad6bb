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
