"""Trades read by the layout of those before them: what is read is what reading field by field gives."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.quality import MAX_CLOCK_SKEW
from market.trade import Trade
from processors.runs.decoding import Body, read_trade
from processors.runs.layouts import TradeReader
from schemas.topics import TRADES
from tests.builders import INSTRUMENT, START, make_trade
from tests.run_streams import CODEC, LAST_NUMBERS, unhurried

LIMIT = START + 60_000_000
BIT = st.integers(0, 7).map(lambda place: 1 << place)
SIDE = st.sampled_from(["buy", "sell", None])


def usual(number: int, **changed: Any) -> Trade:
    trade = make_trade(number, at=START + number % 1_000_000, received_at=START + number % 1_000_000 + 3_000)
    return trade._replace(published_at=START + 2_000_000, **changed)


@dataclass
class Reading:
    """A reader that has learnt the trade with number `last`, and what it makes of trades after it."""

    last: int

    def __post_init__(self) -> None:
        value = CODEC.encode(TRADES.name, usual(self.last))
        self.at = value.index(INSTRUMENT.encode()) + len(INSTRUMENT)
        self.reader = TradeReader(value[: self.at])
        assert self.reader.read(value, LIMIT, MAX_CLOCK_SKEW) is None
        assert self.by_fields(value) is not None
        self.reader.learn(value, self.last)

    def read(self, value: bytes) -> Body | None:
        return self.reader.read(value, LIMIT, MAX_CLOCK_SKEW)

    def by_fields(self, value: bytes) -> Body | None:
        same_kind = value.startswith(CODEC.encode(TRADES.name, usual(self.last))[: self.at])
        return read_trade(value, self.at, LIMIT, MAX_CLOCK_SKEW) if same_kind else None


def test_the_next_trade_is_read() -> None:
    reading = Reading(1_048_576)
    for number in range(1_048_577, 1_048_900):
        value = CODEC.encode(TRADES.name, usual(number))
        found = reading.read(value)
        assert found is not None
        assert found == reading.by_fields(value)


@pytest.mark.parametrize(
    "changed",
    [{"first_trade_id": "20010", "trade_count": 63}, {"side": "sell"}, {"price": 101 * 10**12}, {"sequence": 30_000}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_differs_in_its_figures_alone_is_read(changed: dict[str, Any]) -> None:
    reading = Reading(20_010)
    value = CODEC.encode(TRADES.name, usual(20_011, **changed))
    found = reading.read(value)
    assert found is not None
    assert found == reading.by_fields(value)


@pytest.mark.parametrize(
    "changed",
    [
        {"trade_id": "20012"},
        {"exchange_time": None},
        {"published_at": None},
        {"side": None},
        {"trade_count": 64},
        {"price": 1},
        {"sequence": 1},
        {"first_trade_id": "1"},
        {"first_trade_id": "2001\N{LATIN SMALL LETTER E WITH ACUTE}"},
        {"received_at": LIMIT + 1},
        {"exchange_time": START + 20_011 + 3_001 + MAX_CLOCK_SKEW},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_laid_out_otherwise_is_left(changed: dict[str, Any]) -> None:
    assert Reading(20_010).read(CODEC.encode(TRADES.name, usual(20_011)._replace(**changed))) is None


@unhurried
@given(LAST_NUMBERS, SIDE, st.lists(st.tuples(st.integers(0, 200), BIT), max_size=2), st.integers(0, 1), st.integers(1, 10**14))
def test_damaged_or_not_it_is_what_the_fields_say(
    last: int, side: Any, flips: list[tuple[int, int]], ahead: int, price: int
) -> None:
    reading = Reading(max(last, 1))
    for number in range(reading.last + 1, reading.last + 4):
        value = bytearray(CODEC.encode(TRADES.name, usual(number + ahead, side=side, price=price)))
        for place, bit in flips:
            value[place % len(value)] ^= bit
        found, by_fields = reading.read(bytes(value)), reading.by_fields(bytes(value))
        assert found is None or found == by_fields
        if by_fields is not None:
            reading.reader.learn(bytes(value), by_fields[0])
