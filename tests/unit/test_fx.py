"""Rates between currencies: paths, their choice, their times; against plain fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.fx import CONFIGURED, SAME, FxGraph, FxQuote, FxRate, configured_quote, quote_of
from market.price_choice import Freshness
from tests.builders import START
from tests.price_parts import SOURCE, make_price
from tests.valuing import positive_rates

FRESH = Freshness(START, 10)
NAMES = ("USD", "USDT", "BTC", "CNY")


@st.composite
def quotes(draw: st.DrawFn) -> list[FxQuote]:
    pair = st.permutations(NAMES).map(lambda names: names[:2])
    found = []
    for number in range(draw(st.integers(0, 7))):
        base, quote = draw(pair)
        at = START + draw(st.integers(0, 9))
        found.append(FxQuote(base, quote, draw(positive_rates), at, str(number), draw(st.booleans())))
    return found


@given(quotes(), st.permutations(NAMES).map(lambda names: names[:2]))
def test_rate_is_the_product_of_the_legs_it_names_and_as_old_as_the_older(found: list[FxQuote], pair: list[str]) -> None:
    source, target = pair
    rate = FxGraph(found).rate(source, target)
    if rate is None:
        reached = {source} | {
            end for quote in found for end in (quote.base, quote.quote) if source in (quote.base, quote.quote)
        }
        assert not any({quote.base, quote.quote} == {through, target} for quote in found for through in reached)
        return
    at, product = source, Fraction(1)
    legs = [found[int(name)] for name in rate.sources]
    for leg in legs:
        product *= leg.rate if leg.base == at else 1 / leg.rate
        at = leg.quote if leg.base == at else leg.base
    assert (at, product) == (target, rate.rate)
    assert rate.as_of == min(leg.as_of for leg in legs)
    assert rate.is_stale == any(leg.is_stale for leg in legs)
    assert len(legs) <= 2


@given(quotes(), st.permutations(NAMES).map(lambda names: names[:2]))
def test_way_back_is_the_inverse(found: list[FxQuote], pair: list[str]) -> None:
    graph = FxGraph(found)
    there, back = graph.rate(*pair), graph.rate(*reversed(pair))
    assert (there is None) == (back is None)
    if there is not None and back is not None and len(there.sources) == 1:
        assert there.rate * back.rate == 1


@given(quotes(), st.permutations(NAMES).map(lambda names: names[:2]))
def test_moving_prices_never_change_the_path(found: list[FxQuote], pair: list[str]) -> None:
    moved = [quote._replace(rate=quote.rate * 2, as_of=quote.as_of + 7) for quote in found]
    before, after = (FxGraph(each).rate(*pair) for each in (found, moved))
    assert (before and before.sources) == (after and after.sources)


def quote(base: str, target: str, rate: int, name: str, *, at: int = START, is_stale: bool = False) -> FxQuote:
    return FxQuote(base, target, Fraction(rate), at, name, is_stale)


def test_currency_is_itself_at_one() -> None:
    assert FxGraph([]).rate("USD", "USD") is SAME


def test_graphs_of_the_same_quotes_are_equal() -> None:
    assert FxGraph([quote("A", "B", 1, "a")]) == FxGraph([quote("A", "B", 1, "a")])
    assert FxGraph([quote("A", "B", 1, "a")]) != FxGraph([quote("A", "B", 2, "a")])
    assert len({FxGraph([quote("A", "B", 1, "a")]), FxGraph([quote("A", "B", 1, "a")])}) == 1


def test_missing_rate_is_none() -> None:
    assert FxGraph([quote("BTC", "USDT", 3, "a")]).rate("USDT", "USD") is None


def test_two_legs_have_the_time_of_the_older() -> None:
    rate = FxGraph([quote("BTC", "USDT", 3, "a", at=START + 1), quote("USD", "USDT", 2, "b", at=START)]).rate("BTC", "USD")
    assert rate is not None
    assert (rate.rate, rate.as_of, rate.sources) == (Fraction(3, 2), START, ("a", "b"))


def test_three_legs_are_too_many() -> None:
    legs = [quote("A", "B", 1, "a"), quote("B", "C", 1, "b"), quote("C", "D", 1, "c")]
    assert FxGraph(legs).rate("A", "D") is None


def chosen(*quotes: FxQuote) -> tuple[str, ...]:
    rate = FxGraph(quotes).rate("BTC", "USD")
    assert rate is not None
    return rate.sources


def test_one_leg_is_chosen_before_two_then_what_is_not_stale_then_the_earlier() -> None:
    first, second = quote("BTC", "USDT", 9, "first"), quote("USDT", "USD", 1, "second")
    direct, inverse = quote("BTC", "USD", 8, "direct"), quote("USD", "BTC", 7, "inverse")
    assert chosen(first, second, direct) == ("direct",)
    assert chosen(direct, inverse) == ("direct",)
    assert chosen(inverse, direct) == ("inverse",)
    assert chosen(first, second, direct._replace(is_stale=True)) == ("direct",)
    assert chosen(direct._replace(is_stale=True), inverse) == ("inverse",)
    assert chosen(direct._replace(is_stale=True), first._replace(is_stale=True), second) == ("direct",)


def test_stated_rate_counts_only_where_no_instruments_lead_there() -> None:
    first, second = quote("BTC", "USDT", 9, "first", is_stale=True), quote("USDT", "USD", 1, "second")
    stated = quote("BTC", "USD", 8, CONFIGURED)
    assert chosen(stated, first, second) == ("first", "second")
    assert chosen(stated, first) == (CONFIGURED,)
    assert chosen(second._replace(source=CONFIGURED), first) == ("first", CONFIGURED)
    assert chosen(
        quote("BTC", "EUR", 9, CONFIGURED), quote("EUR", "USD", 9, CONFIGURED), first, second._replace(base="EUR")
    ) == (
        CONFIGURED,
        "second",
    )


def test_rate_of_a_market_that_is_too_old_is_used_and_says_so() -> None:
    market, stated = quote("BTC", "USD", 9, "market", is_stale=True), quote("BTC", "USD", 8, CONFIGURED)
    rate = FxGraph([market, stated]).rate("BTC", "USD")
    assert rate == FxRate(Fraction(9), START, ("market",), is_stale=True)


@pytest.mark.parametrize("bad", [quote("A", "B", 0, "x"), quote("A", "B", -1, "x"), quote("A", "A", 1, "x")])
def test_rate_that_cannot_be_is_refused(bad: FxQuote) -> None:
    with pytest.raises(DataValidationError, match="x"):
        FxGraph([bad])


def test_instrument_quotes_the_exact_mean_of_bid_and_ask_else_the_last_price() -> None:
    record = make_price()
    assert record.bid is not None
    record = record._replace(bid=record.bid._replace(price=1), ask=record.bid._replace(price=2))
    found = quote_of(record, "BTC", "USDT", FRESH)
    assert found is not None
    assert (found.rate, found.source) == (Fraction(3, 2 * ONE), record.instrument)
    found = quote_of(record._replace(bid=None), "BTC", "USDT", FRESH)
    assert found is not None
    assert found.rate == 100
    assert quote_of(record._replace(bid=None, last=None), "BTC", "USDT", FRESH) is None


@pytest.mark.parametrize(
    ("quoted", "traded", "rate", "is_stale"),
    [
        (0, -5, 100, False),
        (-5, 0, 100, False),  # the mean is old, but within the limit
        (-11, 0, 7, False),
        (-12, -11, 7, True),
        (-11, -12, 100, True),
    ],
)
def test_last_price_goes_before_a_mean_that_is_too_old_and_older(quoted: int, traded: int, rate: int, is_stale: bool) -> None:
    record = make_price()
    assert record.bid is not None
    bid = record.bid._replace(source=SOURCE._replace(exchange_time=START + quoted, received_at=START + quoted))
    last = record.bid._replace(price=7 * ONE, source=SOURCE._replace(exchange_time=START + traded, received_at=START + traded))
    found = quote_of(record._replace(bid=bid, last=last), "BTC", "USDT", FRESH)
    assert found is not None
    assert (found.rate, found.is_stale) == (Fraction(rate), is_stale)


def test_configured_rate_says_so() -> None:
    assert configured_quote("USD", "CNY", 71 * ONE // 10, START) == FxQuote("USD", "CNY", Fraction(71, 10), START, CONFIGURED)
