"""The best bid and offer of several venues, against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from market.composite import CHANNEL, Composite
from market.quote import Quote
from market.stated import check_quote
from tests.builders import START

SOURCES = ("binance:BTC-USDT", "okx:BTC-USDT", "kraken:BTC-USDT")
STALE = 5_000_000
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2_000_000),
        st.sampled_from([*SOURCES, "gateio:BTC-USDT"]),
        st.one_of(st.none(), st.integers(1, 9)),
        st.one_of(st.none(), st.integers(1, 9)),
        st.integers(1, 5),
    ),
    max_size=60,
)


def top(instrument: str, bid: int | None, ask: int | None, size: int, at: int) -> Quote:
    sizes = (size if bid else None, size if ask else None)
    return Quote(instrument, "bookTicker", None, bid, sizes[0], ask, sizes[1], *(None,) * 9, None, at)


def composite() -> Composite:
    return Composite("composite:BTC-USDT", SOURCES, STALE)


def test_best_prices_are_of_different_venues_and_equal_ones_add_up() -> None:
    quotes = composite()
    quotes.take(top(SOURCES[0], 5, 8, 1, START))
    quotes.take(top(SOURCES[1], 6, 9, 2, START + 1))
    told = quotes.take(top(SOURCES[2], 6, 8, 4, START + 2))
    assert told is not None
    assert (told.instrument, told.channel, told.received_at) == ("composite:BTC-USDT", CHANNEL, START + 2)
    assert (told.bid, told.bid_size, told.ask, told.ask_size) == (6, 6, 8, 5)
    check_quote(told)


def test_a_venue_that_fell_silent_is_left_out() -> None:
    quotes = composite()
    quotes.take(top(SOURCES[0], 9, 10, 1, START))
    quotes.take(top(SOURCES[1], 5, 6, 1, START + 1_000_000))
    assert quotes.tell(START + STALE - 1) is None
    told = quotes.tell(START + STALE)
    assert told is not None
    assert (told.bid, told.ask) == (5, 6)
    nothing = quotes.tell(START + 2 * STALE)
    assert nothing is not None
    assert (nothing.bid, nothing.ask) == (None, None)


def test_a_venue_that_was_left_out_does_not_come_back_by_the_late_quote_of_another() -> None:
    quotes = composite()
    quotes.take(top(SOURCES[0], 9, 10, 1, START))
    quotes.tell(START + STALE)
    told = quotes.take(top(SOURCES[1], 5, 6, 1, START + STALE - 1))
    assert told is not None
    assert (told.bid, told.ask, told.received_at) == (5, 6, START + STALE)


@given(EVENTS)
def test_it_is_the_best_of_what_is_fresh_and_told_when_it_changes(
    events: list[tuple[int, str, int | None, int | None, int]],
) -> None:
    quotes, now = composite(), START
    told: tuple[int | None, ...] = (None,) * 4
    tops: dict[str, tuple[int | None, int | None, int, int]] = {}
    for pause, instrument, bid, ask, size in events:
        now += pause
        found = quotes.take(top(instrument, bid, ask, size, now))
        if instrument not in SOURCES or (bid is None and ask is None):
            assert found is None
            continue
        tops[instrument] = bid, ask, size, now
        fresh = [one for one in tops.values() if now - one[3] < STALE]
        best_bid = max((one[0] for one in fresh if one[0]), default=None)
        best_ask = min((one[1] for one in fresh if one[1]), default=None)
        bid_size = sum(one[2] for one in fresh if one[0] == best_bid) if best_bid else None
        ask_size = sum(one[2] for one in fresh if one[1] == best_ask) if best_ask else None
        wanted = best_bid, bid_size, best_ask, ask_size
        if wanted == told:
            assert found is None
        else:
            assert found is not None
            assert (found.bid, found.bid_size, found.ask, found.ask_size) == wanted
        told = wanted
