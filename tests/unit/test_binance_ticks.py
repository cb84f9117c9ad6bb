"""Readers of Binance's trades and book tickers: the records, and the errors, that checking everything would give."""

import json
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Parsed
from ingest.feeds._binance_ticks import READERS
from ingest.feeds._records import Maker
from market.errors import DataValidationError
from market.quality import EARLIEST, LATEST, MAX_CLOCK_SKEW
from market.quote import Quote
from market.trade import Trade
from schemas.records import Record
from tests.builders import INSTRUMENT
from tests.ingest_parts import NOW

SYMBOL = "BTCUSDT"
DECIMALS = st.one_of(
    st.decimals(min_value=0, max_value=10**14, places=8).map(str),
    st.from_regex(r"\A[0-9]{0,27}(\.[0-9]{0,13})?\Z"),
    st.sampled_from(["0", "0.00000000", "-1", "1e5", "", ".5", "5.", "٣", "NaN", "9" * 26]),
)
IDS = st.one_of(st.integers(0, 30), st.integers(0, 2**64), st.sampled_from([2**31 - 1, 2**63 - 1, 2**63]))
TIMES = st.one_of(
    st.sampled_from([0, EARLIEST - 1, EARLIEST, NOW, LATEST - 1, LATEST, 2**62]),
    st.integers(NOW - 10**7, NOW + 10**7),
)
MILLIS = TIMES.map(lambda time: time // 1000)


def outcome(read: Any) -> Any:
    try:
        return read()
    except DataValidationError as error:
        return error.reason, error.field, str(error)


def read_by(channel: str, fields: dict[str, Any], at: int) -> Record:
    frame = json.dumps({"stream": f"btcusdt@{channel}", "data": {"s": SYMBOL, **fields}}).encode()
    told = READERS[channel](SYMBOL, INSTRUMENT, MAX_CLOCK_SKEW)(frame, at)
    assert not isinstance(told, Parsed)
    name, record = told
    assert name == channel
    return record


def assert_read_as(channel: str, fields: dict[str, Any], at: int, expected: Any) -> None:
    found = outcome(lambda: read_by(channel, fields, at))
    assert (type(found), found) == (type(expected), expected)


@given(DECIMALS, DECIMALS, IDS, MILLIS, TIMES, st.booleans())
def test_trades_are_read_as_checked(price: str, size: str, number: int, time: int, at: int, maker: bool) -> None:
    expected = outcome(
        lambda: Maker(INSTRUMENT, at, MAX_CLOCK_SKEW).trade(
            trade_id=str(number),
            sequence=number,
            price=price,
            size=size,
            side="sell" if maker else "buy",
            exchange_time=time * 1000,
        )
    )
    assert_read_as("trade", {"t": number, "p": price, "q": size, "T": time, "m": maker}, at, expected)


@given(DECIMALS, DECIMALS, IDS, IDS, IDS, MILLIS, TIMES)
def test_aggregates_are_read_as_checked(price: str, size: str, number: int, first: int, last: int, time: int, at: int) -> None:
    expected = outcome(
        lambda: Maker(INSTRUMENT, at, MAX_CLOCK_SKEW).trade(
            trade_id=str(number),
            sequence=number,
            price=price,
            size=size,
            side="buy",
            exchange_time=time * 1000,
            first_trade_id=str(first),
            last_trade_id=str(last),
            trade_count=last - first + 1,
        )
    )
    fields = {"a": number, "f": first, "l": last, "p": price, "q": size, "T": time, "m": False}
    assert_read_as("aggTrade", fields, at, expected)


@given(IDS, DECIMALS, DECIMALS, DECIMALS, DECIMALS, st.none() | MILLIS, TIMES)
def test_book_tickers_are_read_as_checked(
    number: int, bid: str, bid_size: str, ask: str, ask_size: str, time: int | None, at: int
) -> None:
    expected = outcome(
        lambda: Maker(INSTRUMENT, at, MAX_CLOCK_SKEW).quote(
            "bookTicker",
            None if time is None else time * 1000,
            sequence=number,
            bid=bid,
            bid_size=bid_size,
            ask=ask,
            ask_size=ask_size,
        )
    )
    fields = {"u": number, "b": bid, "B": bid_size, "a": ask, "A": ask_size} | ({} if time is None else {"T": time})
    assert_read_as("bookTicker", fields, at, expected)


@given(st.lists(st.lists(st.sampled_from(["1.5", "1.50", "2", "0", "", "5.", "-1", "x"]), min_size=4, max_size=4), max_size=12))
def test_a_book_ticker_is_read_whatever_was_told_before(books: list[list[str]]) -> None:
    def reader() -> Any:
        return READERS["bookTicker"](SYMBOL, INSTRUMENT, MAX_CLOCK_SKEW)

    frames = [json.dumps({"data": {"u": 400, "s": SYMBOL, **dict(zip("bBaA", book, strict=True))}}).encode() for book in books]
    read = reader()
    in_a_row = [outcome(partial(read, frame, NOW)) for frame in frames]
    assert in_a_row == [outcome(partial(reader(), frame, NOW)) for frame in frames]


def test_ordinary_ticks_are_records() -> None:
    trade = read_by("aggTrade", {"a": 7, "f": 3, "l": 5, "p": "1.5", "q": "2", "T": NOW // 1000, "m": True}, NOW)
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.price, trade.side, trade.trade_count) == ("7", 15 * 10**11, "sell", 3)
    quote = read_by("bookTicker", {"u": 400, "b": "1.1", "B": "2", "a": "1.2", "A": "0.0"}, NOW)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask_size, quote.exchange_time) == (11 * 10**11, None, None)
