"""Which records of latest prices make sense, and which of two is newer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.price import POINTS, PricePoint, PriceRecord, PriceSource, check_price
from tests.builders import START
from tests.price_parts import SOURCE, make_price

POINT = PricePoint(ONE, None, SOURCE)
RECORD = make_price()


def test_sound_record_passes_unchanged() -> None:
    assert check_price(RECORD) is RECORD


def test_record_that_says_nothing_is_sound() -> None:
    record = PriceRecord(RECORD.instrument, *(None,) * 15, START, 5, None)
    assert check_price(record) is record


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize(
    ("point", "field"),
    [
        (POINT._replace(price=0), "price"),
        (POINT._replace(price=10**38), "price"),
        (POINT._replace(size=0), "size"),
        (POINT._replace(source=SOURCE._replace(channel="")), "source.channel"),
        (POINT._replace(source=SOURCE._replace(topic="x" * 201)), "source.topic"),
        (POINT._replace(source=SOURCE._replace(received_at=START // 1000)), "source.received_at"),
        (POINT._replace(source=SOURCE._replace(exchange_time=START * 1000)), "source.exchange_time"),
        (POINT._replace(source=SOURCE._replace(offset=-1)), "source.offset"),
        (POINT._replace(source=SOURCE._replace(offset=2**63)), "source.offset"),
    ],
)
def test_price_that_cannot_be_is_refused_with_the_name_of_the_field(name: str, point: PricePoint, field: str) -> None:
    changed: dict[str, Any] = {name: point}
    with pytest.raises(DataValidationError) as caught:
        check_price(RECORD._replace(**changed))
    assert caught.value.field == f"{name}.{field}"
    assert caught.value.field in str(caught.value)


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (RECORD._replace(instrument="Bitcoin"), "instrument"),
        (RECORD._replace(bid=POINT._replace(source=SOURCE._replace(offset=1))), "ask.source"),
        (RECORD._replace(open_24h=0), "open_24h"),
        (RECORD._replace(high_24h=-1), "high_24h"),
        (RECORD._replace(low_24h=10**38), "low_24h"),
        (RECORD._replace(volume_24h=-1), "volume_24h"),
        (RECORD._replace(volume_24h=10**38), "volume_24h"),
        (RECORD._replace(amount_24h=-1), "amount_24h"),
        (RECORD._replace(amount_24h=10**50), "amount_24h"),
        (RECORD._replace(change_24h=-(10**38)), "change_24h"),
        (RECORD._replace(change_percent_24h=10**38), "change_percent_24h"),
        (RECORD._replace(source_24h=None), "source_24h"),
        (RECORD._replace(source_24h=SOURCE._replace(offset=-1)), "source_24h.offset"),
        (RECORD._replace(received_at=0), "received_at"),
        (RECORD._replace(quotes_offset=-1), "quotes_offset"),
        (RECORD._replace(trades_offset=2**63), "trades_offset"),
    ],
)
def test_record_that_cannot_be_is_refused_with_the_name_of_the_field(record: PriceRecord, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_price(record)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("offsets", "other", "newer"),
    [
        ((None, 3), (None, 2), True),
        ((0, 3), (None, 3), True),
        ((None, 3), (0, 3), False),
        ((5, 3), (5, 3), False),
        ((4, 2), (5, 3), False),
        ((4, 4), (5, 3), True),
    ],
)
def test_record_is_newer_when_it_takes_in_more_of_either_topic(
    offsets: tuple[int | None, int | None], other: tuple[int | None, int | None], newer: bool
) -> None:
    one, two = (RECORD._replace(quotes_offset=quotes, trades_offset=trades) for quotes, trades in (offsets, other))
    assert one.is_newer_than(two) is newer


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1), st.randoms(use_true_random=False))
def test_reader_that_lets_go_of_what_is_not_newer_ends_with_the_record_that_takes_in_all(
    prefixes: list[tuple[int, int]], shuffler: Any
) -> None:
    records = [RECORD._replace(quotes_offset=quotes, trades_offset=trades) for quotes, trades in [*prefixes, (9, 9)]]
    shuffler.shuffle(records)
    held = records[0]
    for record in records[1:]:
        held = record if record.is_newer_than(held) else held
    assert (held.quotes_offset, held.trades_offset) == (9, 9)


@pytest.mark.parametrize(("bid", "ask", "mid"), [(1, 2, 2), (2, 3, 2), (10, 20, 15), (None, 2, None), (1, None, None)])
def test_mid_is_between_bid_and_ask_where_there_are_both(bid: int | None, ask: int | None, mid: int | None) -> None:
    one, other = (None if price is None else PricePoint(price, None, SOURCE) for price in (bid, ask))
    assert RECORD._replace(bid=one, ask=other).mid == mid


def test_event_time_is_the_receive_time_where_the_venue_gives_none() -> None:
    assert PriceSource("ticker", START - 5, START, "t", 0, 0).event_time == START - 5
    assert PriceSource("ticker", None, START, "t", 0, 0).event_time == START
