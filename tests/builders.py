"""Makers of market records for tests: short to call, every field settable."""

from __future__ import annotations

from hypothesis import strategies as st

from market.decimals import ONE
from market.trade import Side, Trade

INSTRUMENT = "binance:BTC-USDT"
MINUTE = 60_000_000
START = 1_723_161_600_000_000
"""A full minute: 2024-08-09 00:00:00 UTC."""


def make_trade(
    number: int = 1,
    *,
    at: int = START,
    price: int = 100,
    size: int = 1,
    side: Side | None = "buy",
    received_at: int | None = None,
    instrument: str = INSTRUMENT,
) -> Trade:
    """A trade with whole-number price and size; `at` is its exchange time in microseconds."""
    return Trade(
        instrument=instrument,
        trade_id=str(number),
        sequence=number,
        price=price * ONE,
        size=size * ONE,
        side=side,
        exchange_time=at,
        received_at=at if received_at is None else received_at,
        first_trade_id=str(number),
        last_trade_id=str(number),
    )


@st.composite
def trades(draw: st.DrawFn, *, minutes: int = 5, max_size: int = 60) -> list[Trade]:
    """Trades with distinct ids in id order, times rising within a few minutes."""
    steps = draw(st.lists(st.integers(0, minutes * MINUTE // 20), max_size=max_size))
    time, found = START, []
    for number, step in enumerate(steps, start=1):
        time += step
        found.append(
            make_trade(
                number,
                at=time,
                price=draw(st.integers(1, 10**6)),
                size=draw(st.integers(1, 10**6)),
                side=draw(st.sampled_from(["buy", "sell", None])),
            )
        )
    return found
