"""Which message counts for which price, in whatever order they come."""

from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.latest_price import MOST_CHANNELS, TRADES, Statement, Statements, latest_price, merge, statement_of
from market.price import PriceRecord, check_price
from market.quote import Quote
from market.trade import Trade
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_quote
from tests.price_parts import statements

TICKER: dict[str, Any] = {"channel": "ticker", "bid": 7 * ONE, "ask": 8 * ONE, "last": 7 * ONE, "open_24h": 5 * ONE}


def record_of(*records: Quote | Trade) -> PriceRecord:
    """The record of these, each at the next offset of its topic."""
    quotes, trades = Statements(), Statements()
    for offset, record in enumerate(records):
        topic = quotes if isinstance(record, Quote) else trades
        topic.take(statement_of(record, ("md.quotes" if isinstance(record, Quote) else "md.trades", 0, offset)))
    return check_price(latest_price(INSTRUMENT, quotes, trades))


def prices(record: PriceRecord) -> tuple[int | None, ...]:
    """Bid, ask and last in whole numbers."""
    return tuple(None if point is None else point.price // ONE for point in (record.bid, record.ask, record.last))


def test_book_top_ticker_and_trade_make_one_record() -> None:
    book = make_quote(at=START + 2, sequence=9, bid=10 * ONE, bid_size=ONE, ask=11 * ONE, ask_size=2 * ONE)
    record = record_of(book, make_quote(at=START, volume_24h=0, **TICKER), make_trade(5, at=START + 1, price=10, size=3))
    assert prices(record) == (10, 11, 10)
    assert record.ask is not None
    assert record.ask.size == 2 * ONE
    assert record.last is not None
    assert (record.last.size, record.last.source.channel, record.last.source.offset) == (3 * ONE, TRADES, 2)
    assert (record.open_24h, record.volume_24h, record.amount_24h) == (5 * ONE, 0, None)
    assert record.source_24h is not None
    assert (record.source_24h.channel, record.source_24h.topic, record.source_24h.offset) == ("ticker", "md.quotes", 1)
    assert (record.received_at, record.quotes_offset, record.trades_offset) == (START + 2, 1, 2)


def test_what_no_source_gives_is_none() -> None:
    record = record_of(make_trade(price=3))
    assert prices(record) == (None, None, 3)
    assert (record.mark_price, record.index_price, record.close, record.previous_close, record.source_24h) == (None,) * 5
    assert (record.open_24h, record.volume_24h, record.change_24h, record.quotes_offset) == (None,) * 4


def test_side_that_the_newest_book_top_does_not_give_is_empty_and_not_the_older_one() -> None:
    both, ticker = make_quote(bid=10 * ONE, ask=11 * ONE), make_quote(channel="ticker", bid=7 * ONE)
    assert prices(record_of(both, make_quote(at=START + 1, bid=9 * ONE))) == (9, None, None)
    assert prices(record_of(ticker, make_quote(at=START + 1, ask=11 * ONE))) == (None, 11, None)


def test_book_top_that_gives_neither_side_empties_both() -> None:
    book, ticker = make_quote(bid=10 * ONE, ask=11 * ONE), make_quote(at=START + 1, **TICKER)
    assert prices(record_of(book, ticker, make_quote(at=START + 2))) == (None, None, 7)
    assert prices(record_of(book, make_quote(at=START + 2), ticker._replace(received_at=START + 3))) == (7, 8, 7)


def test_channel_that_never_told_a_book_empties_none() -> None:
    record = record_of(make_quote(bid=10 * ONE, ask=11 * ONE), make_quote(channel="ticker", at=START + 1, last=ONE))
    assert prices(record) == (10, 11, 1)


def test_last_price_that_a_ticker_no_longer_gives_is_that_of_the_trades() -> None:
    ticker = make_quote(at=START + 9, **{**TICKER, "last": None})
    assert prices(record_of(make_trade(price=3), make_quote(at=START + 5, **TICKER), ticker)) == (7, 8, 3)


def test_latest_event_time_counts_not_the_latest_arrival() -> None:
    fetched_later = make_trade(1, at=START, price=3, received_at=START + 60_000_000)
    assert prices(record_of(make_trade(2, at=START + 1, price=4), fetched_later))[2] == 4
    delayed = make_quote(at=START + 900, exchange_time=START, **TICKER)
    assert prices(record_of(make_trade(2, at=START + 1, price=4), delayed))[2] == 4


def test_clock_that_runs_ahead_hides_no_channel_without_exchange_time() -> None:
    ahead = make_quote(at=START, exchange_time=START + 1_300_000, **TICKER)
    assert prices(record_of(ahead, make_quote(at=START + 1, bid=10 * ONE, ask=11 * ONE)))[:2] == (10, 11)


def test_within_the_trades_a_clock_that_runs_ahead_still_orders() -> None:
    first, second = (
        make_trade(1, at=START + 9, price=3, received_at=START + 2),
        make_trade(2, at=START + 10, price=4, received_at=START),
    )
    assert prices(record_of(second, first))[2] == 4


def test_sequence_orders_what_happened_at_one_time() -> None:
    assert prices(record_of(make_trade(2, price=4), make_trade(1, price=3)))[2] == 4
    tops = [make_quote(sequence=number, bid=number * ONE) for number in (7, 5)]
    assert prices(record_of(*tops))[0] == 7


def test_at_one_time_the_channel_that_tells_less_counts() -> None:
    ticker = make_quote(at=START, **TICKER)
    found: list[Quote | Trade] = [ticker, make_quote(bid=10 * ONE, ask=11 * ONE), make_trade(at=START, price=4)]
    for records in permutations(found):
        assert prices(record_of(*records)) == (10, 11, 4)


def test_mark_and_index_prices_are_each_the_latest_that_was_told() -> None:
    marked = make_quote(channel="markPrice", at=START + 5, exchange_time=START + 4, mark_price=6 * ONE, index_price=7 * ONE)
    ticker, top = make_quote(at=START + 6, **TICKER, mark_price=8 * ONE), make_quote(at=START + 9, bid=9 * ONE)
    for records in permutations([marked, ticker, top]):
        record = record_of(*records)
        assert record.mark_price is not None
        assert record.index_price is not None
        mark = record.mark_price
        assert (mark.price, mark.size, mark.source.offset) == (8 * ONE, None, records.index(ticker))
        source = record.index_price.source
        assert (record.index_price.price, source.channel, source.exchange_time) == (7 * ONE, "markPrice", START + 4)
        assert (source.topic, source.offset) == ("md.quotes", records.index(marked))
        assert prices(record) == (9, None, 7)


def test_message_told_twice_is_one_message() -> None:
    trade = make_trade(3, price=4)
    topic = Statements()
    assert topic.take(statement_of(trade, ("md.trades", 0, 5)))
    assert not topic.take(statement_of(trade._replace(received_at=START + 7), ("md.trades", 0, 6)))
    assert topic.applied_offset == 5


def test_without_sequence_the_later_of_two_messages_of_one_time_counts() -> None:
    one, other = (make_quote(exchange_time=START, bid=price * ONE) for price in (3, 4))
    assert prices(record_of(one, other))[0] == 4


@pytest.mark.parametrize(
    ("fields", "change", "percent"),
    [
        ({"last": 12, "open_24h": 10, "change_24h": 3, "change_percent_24h": 31}, 3, 31),
        ({"last": 12 * ONE, "open_24h": 10 * ONE}, 2 * ONE, 20 * ONE),
        ({"last": 9 * ONE, "open_24h": 12 * ONE, "change_percent_24h": 7}, -3 * ONE, 7),
        ({"open_24h": 8 * ONE, "change_24h": ONE}, ONE, 12 * ONE + ONE // 2),
        ({"last": 2 * ONE, "open_24h": 3 * ONE}, -ONE, -33_333_333_333_333),
        ({"last": 5 * ONE, "open_24h": 3 * ONE}, 2 * ONE, 66_666_666_666_667),
        ({"last": 12 * ONE, "volume_24h": 0}, None, None),
        ({"open_24h": 12 * ONE}, None, None),
        ({"last": 12 * ONE, "change_percent_24h": 7}, None, 7),
        ({"last": 10**37, "open_24h": 1}, 10**37 - 1, None),
    ],
)
def test_change_is_the_venues_else_derived_where_last_and_open_are_given(
    fields: dict[str, Any], change: int | None, percent: int | None
) -> None:
    record = record_of(make_quote(channel="ticker", **fields), make_trade(at=START + 1, price=50))
    assert (record.change_24h, record.change_percent_24h) == (change, percent)


def test_figures_of_the_last_day_are_of_one_message() -> None:
    record = record_of(make_quote(channel="ticker", volume_24h=5), make_quote(channel="mini", at=START + 1, amount_24h=6))
    assert (record.volume_24h, record.amount_24h) == (None, 6)


@given(statements(3))
def test_merge_is_associative_commutative_and_idempotent(found: list[Statement]) -> None:
    merged = reduce(merge, found)
    assert {reduce(merge, order) for order in permutations(found)} == {merged}
    assert {merge(merged, one) for one in found} == {merged}
    assert merge(found[0], reduce(merge, found[1:], found[0])) == merged


@given(statements(12), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_the_record(found: list[Statement], shuffler: Any) -> None:
    def record(statements: list[Statement]) -> PriceRecord:
        quotes, trades = Statements(), Statements()
        for statement in statements:
            (quotes if statement.topic == "md.quotes" else trades).take(statement)
        return latest_price(INSTRUMENT, quotes, trades)._replace(quotes_offset=None, trades_offset=None)

    repeated = found + shuffler.choices(found, k=len(found))
    shuffler.shuffle(repeated)
    assert record(repeated) == check_price(record(found))


def test_one_channel_too_many_is_refused_and_those_known_go_on() -> None:
    quotes = Statements()
    known = [statement_of(make_quote(at=START, channel=f"c{n}", bid=ONE), ("md.quotes", 0, n)) for n in range(MOST_CHANNELS)]
    assert all(quotes.take(one) for one in known)
    with pytest.raises(DataValidationError, match="one more than 16"):
        quotes.take(statement_of(make_quote(at=START, channel="another", bid=ONE), ("md.quotes", 0, 99)))
    assert quotes.take(statement_of(make_quote(at=START + 1, channel="c0", bid=2 * ONE), ("md.quotes", 0, 100)))
    assert len(quotes.by_channel) == MOST_CHANNELS
