"""Merging what a venue says about prices into one quote."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Source
from gateway.quotes import SEQUENCE_RESTART, QuoteState
from market.decimals import ONE
from market.quote import Quote
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_quote

SOURCE = Source("md.quotes", 0, 7)


def merged(*quotes: Quote) -> dict[str, object]:
    state = QuoteState(INSTRUMENT)
    for quote in quotes:
        state.take_quote(quote, SOURCE)
    return state.describe()


def test_book_top_and_ticker_make_one_quote() -> None:
    quote = merged(
        make_quote(bid=10 * ONE, bid_size=ONE, ask=11 * ONE, ask_size=2 * ONE),
        make_quote(channel="ticker", at=START + 1, last=105 * ONE // 10, volume_24h=7 * ONE, amount_24h=70 * ONE * ONE),
    )
    assert (quote["bid"], quote["ask"], quote["last"]) == ("10", "11", "10.5")
    assert (quote["volume_24h"], quote["amount_24h"]) == ("7", "70")
    assert quote["open_24h"] is None


def test_what_a_message_does_not_say_keeps_its_value() -> None:
    quote = merged(make_quote(bid=10 * ONE, ask=11 * ONE), make_quote(at=START + 1, bid=9 * ONE))
    assert (quote["bid"], quote["ask"]) == ("9", "11")


def test_lower_sequence_of_a_channel_is_old_news() -> None:
    state = QuoteState(INSTRUMENT)
    assert state.take_quote(make_quote(sequence=2, bid=2 * ONE), SOURCE)
    assert not state.take_quote(make_quote(sequence=1, bid=ONE, at=START + 5), SOURCE)
    assert not state.take_quote(make_quote(sequence=2, bid=ONE, at=START + 5), SOURCE)
    assert state.describe()["bid"] == "2"


def test_lower_sequence_much_later_is_a_venue_counting_anew() -> None:
    quote = merged(make_quote(sequence=1000, bid=2 * ONE), make_quote(sequence=1, bid=ONE, at=START + SEQUENCE_RESTART + 1))
    assert quote["bid"] == "1"


def test_without_sequence_the_exchange_time_orders_a_channel() -> None:
    late = make_quote(exchange_time=START - 9, at=START + 1, bid=ONE)
    assert merged(make_quote(exchange_time=START, bid=2 * ONE), late)["bid"] == "2"


def test_between_channels_the_one_received_last_counts() -> None:
    ahead = make_quote(channel="ticker", exchange_time=START + 2_000_000, at=START, bid=ONE)  # a clock that runs ahead
    assert merged(ahead, make_quote(at=START + 1, bid=2 * ONE))["bid"] == "2"


def test_each_group_names_its_source() -> None:
    state = QuoteState(INSTRUMENT)
    state.take_quote(make_quote(bid=ONE), SOURCE)
    state.take_trade(make_trade(price=5, at=START + 3), SOURCE)
    sources = state.describe()["sources"]
    assert sources["book"] == {"channel": "bookTicker", "exchange_time": None, "received_at": START}
    assert sources["last"] == {"channel": "trades", "exchange_time": START + 3, "received_at": START + 3}
    assert sources["day"] is None
    state.take_quote(make_quote(channel="markPrice", at=START + 5, mark_price=6 * ONE, index_price=7 * ONE), SOURCE)
    told = state.describe()
    assert (told["bid"], told["mark_price"], told["index_price"]) == ("1", "6", "7")
    assert told["sources"]["mark"] == {"channel": "markPrice", "exchange_time": None, "received_at": START + 5}


def test_trade_sets_the_last_price() -> None:
    state = QuoteState(INSTRUMENT)
    state.take_quote(make_quote(channel="ticker", last=4 * ONE), SOURCE)
    state.take_trade(make_trade(price=5, size=3, at=START + 1), SOURCE)
    described = state.describe()
    assert (described["last"], described["last_size"]) == ("5", "3")


def test_late_trade_does_not_set_the_last_price_however_late_it_comes() -> None:
    state = QuoteState(INSTRUMENT)
    assert state.take_trade(make_trade(2, price=5, at=START + 1), SOURCE)
    assert not state.take_trade(make_trade(1, price=4, at=START, received_at=START + 10 * SEQUENCE_RESTART), SOURCE)
    assert state.describe()["last"] == "5"


def test_two_messages_of_one_instant_can_be_described() -> None:
    said_twice = make_quote(sequence=1, bid=ONE), make_quote(sequence=2, ask=ONE, exchange_time=START)
    assert merged(*said_twice)["sources"] is not None


@st.composite
def channel_messages(draw: st.DrawFn, channel: str) -> list[Quote]:
    """Messages of one channel, some out of order, some repeated, with fields given or not."""
    prices = st.one_of(st.none(), st.integers(1, 9).map(lambda price: price * ONE))
    found = []
    for number in range(draw(st.integers(0, 6))):
        at = START + draw(st.integers(0, 30)) * 500_000
        fields: dict[str, Any] = {name: draw(prices) for name in ("bid", "ask", "last", "high_24h")}
        sequence = draw(st.one_of(st.none(), st.just(number), st.integers(0, 5)))
        exchange_time = draw(st.one_of(st.none(), st.just(at - 1_000)))
        found.append(make_quote(channel=channel, at=at, sequence=sequence, exchange_time=exchange_time, **fields))
    return found


@given(st.data())
def test_the_quote_does_not_depend_on_how_channels_are_interleaved(data: st.DataObject) -> None:
    channels = [data.draw(channel_messages(name)) for name in ("bookTicker", "ticker", "miniTicker")]
    turns = data.draw(st.permutations([number for number, messages in enumerate(channels) for _ in messages]))
    queues = [iter(messages) for messages in channels]
    one_after_the_other = merged(*(quote for messages in channels for quote in messages))
    assert merged(*(next(queues[number]) for number in turns)) == one_after_the_other
