"""Schemas of candles in the tables."""

from __future__ import annotations

from processors.states.form import AMOUNT, MAYBE_PRICE, PRICE, array, define, mapping, record
from processors.states.seen import SEEN

_POINT = record("Point", event_time="long", sequence="long", price=PRICE, trade_id="string")
_CANDLE = record(
    "Candle",
    first=_POINT,
    last="Point",
    high=PRICE,
    low=PRICE,
    volume=PRICE,
    amount=AMOUNT,
    taker_buy_volume=MAYBE_PRICE,
    trade_count="long",
    received_at="long",
)

SERIES_STATE = define(
    "SeriesState",
    latest="long",
    latest_trade="long",
    observed_from=mapping("long"),
    **SEEN,
    open=array(record("Open", interval="string", open_time="long", source_offset="long", candle=_CANDLE)),
    closed=mapping("Range"),
    gaps=array(record("Gap", begin="long", end="long", healed="boolean")),
    gaps_floor="long",
)

CLOSED_CANDLE = define("ClosedCandle", candle=_CANDLE, revision="int", complete="boolean", gap="boolean")
