"""What is remembered of an instrument's price."""

from __future__ import annotations

from market.price_change import PriceState
from processors.states.form import MAYBE_LONG, PRICE, define, encode, head, read

PRICE_STATE = define(
    "PriceState",
    order_time=MAYBE_LONG,
    order_sequence=MAYBE_LONG,
    price=PRICE,
    exchange_time=MAYBE_LONG,
    received_at="long",
    told_price=PRICE,
    told_at="long",
    told_event_time="long",
    pending="int",
)


def encode_price(state: PriceState) -> bytes:
    """Bytes of an instrument's price state."""
    time, sequence = state.order or (None, None)
    body = encode(
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
    return head(state.applied_offset) + body


def decode_price(data: bytes | None) -> PriceState:
    """Price state of an instrument; the empty state of none."""
    if data is None:
        return PriceState()
    offset, values = read(PRICE_STATE, data)
    time, sequence = values.pop("order_time"), values.pop("order_sequence")
    return PriceState(offset, None if time is None else (time, sequence), **values)
