"""Prices and references chosen by compiled code are those that the plain code chooses."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.portfolio import PriceChoice, PriceOverride
from market.price import PricePoint, PriceRecord
from market.price_choice import Freshness, choose_price, reference_price
from processors.built import compiled_module
from processors.valuing.columns import Choice
from tests.builders import START
from tests.price_parts import SOURCE, make_price

INSTRUMENT = "x:A-USD"
HOUR, DAY = 3_600_000_000, 86_400_000_000

times = st.sampled_from((START - DAY, START - HOUR - 1, START - HOUR, START - 60, START, START + 5)) | st.integers(0, 2**62)
sources = st.builds(
    lambda channel, exchange, received: SOURCE._replace(channel=channel, exchange_time=exchange, received_at=received),
    st.sampled_from(("bookTicker", "trades")),
    st.none() | times,
    times,
)
prices = st.integers(1, 9) | st.integers(1, 2**62) | st.integers(1, 10**38 - 1)
points = st.none() | st.builds(PricePoint, prices, st.none(), sources)
records = st.builds(
    lambda points, first, source: make_price()._replace(
        instrument=INSTRUMENT,
        **dict(zip(("bid", "ask", "last", "mark_price", "close", "previous_close"), points, strict=True)),
        open_24h=first,
        source_24h=source,
    ),
    st.tuples(points, points, points, points, points, st.none() | points),
    st.none() | prices,
    st.none() | sources,
)
overrides = st.builds(
    PriceOverride,
    st.just(INSTRUMENT),
    prices,
    st.just(""),
    st.just(""),
    st.just(""),
    st.just(0),
    st.integers(START - 1, START + 1),
)
choices = st.builds(
    Choice,
    st.just(INSTRUMENT),
    st.lists(st.sampled_from(PriceChoice), min_size=1, unique=True).map(tuple),
    st.sampled_from((0, 60, HOUR)),
    st.booleans(),
    st.none() | overrides,
)


def module() -> ModuleType:
    found = compiled_module("processors.valuing.choosing")
    if found is None:
        pytest.skip("the compiled code was not built")
    return found


@given(st.none() | records, choices)
def test_price_is_the_plain_one(record: PriceRecord | None, choice: Choice) -> None:
    board = {} if record is None else {INSTRUMENT: record}

    def plain(choice: Choice, now: int) -> Any:
        freshness = Freshness(now, choice.stale_after)
        return choose_price(board.get(INSTRUMENT), choice.choices, freshness, is_long=choice.is_long, override=choice.override)

    assert module().Prices(board, plain)(choice, START) == plain(choice, START)


@given(st.none() | records)
def test_reference_is_the_plain_one(record: PriceRecord | None) -> None:
    board = {} if record is None else {INSTRUMENT: record}

    def plain(instrument: str, now: int) -> Any:
        return record and reference_price(record, now)

    assert module().References(board, plain)(INSTRUMENT, START) == plain(INSTRUMENT, START)


def test_fresh_price_and_reference_take_no_plain_code() -> None:
    def plain(*_: object) -> None:
        raise AssertionError

    source = SOURCE._replace(exchange_time=None, received_at=START)
    point = PricePoint(3 * ONE, None, source)
    record = make_price()._replace(bid=point, ask=point, previous_close=None, open_24h=ONE, source_24h=source)
    board = {INSTRUMENT: record}
    price = module().Prices(board, plain)(Choice(INSTRUMENT, (PriceChoice.MID,), 60, True, None), START)
    assert (price.price, price.choice, price.time) == (3 * ONE, "MID", START)
    assert module().References(board, plain)(INSTRUMENT, START).price == ONE
