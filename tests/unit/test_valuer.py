"""Portfolios valued at once: their totals are those of their lines, and every change of a price reaches who holds it."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.beginnings import Beginning
from market.decimals import ONE
from market.fx import FxQuote
from market.portfolio import Balance, Portfolio, PriceChoice, PriceOverride
from market.portfolio_totals import Totals, sum_lines
from market.position import Position, Settlement
from market.price import PricePoint, PriceRecord
from market.price_choice import OVERRIDE, ChosenPrice, Freshness, choose_price, reference_price
from market.traces import TRACES_KEPT, Trace, left_behind
from market.valuation import Mark, value_line
from processors.valuing.rates import RateSources
from processors.valuing.valuer import REFRESH, Valuer, choice_of
from tests.builders import START
from tests.price_parts import SOURCE, make_price
from tests.valuing import AMOUNT, make_portfolio, make_position

STALE_AFTER = 60_000_000
MINUTE, QUARTER_HOUR, DAY = 60_000_000, 900_000_000, 86_400_000_000
PAIRS = {"x:USDT-USD": ("USDT", "USD"), "x:USD-JPY": ("USD", "JPY")}
STATED = [FxQuote("USD", "CNY", Fraction(71, 10), START, "config")]
INSTRUMENTS = ("x:A-USD", "x:B-USDT", "x:C-JPY", "x:USDT-USD")


def new_valuer(*, compiled: bool = True) -> Valuer:
    return Valuer(RateSources(PAIRS, STATED, STALE_AFTER), lambda _: None, compiled=compiled)


def record(
    instrument: str, version: int, *, at: int, last: int | None = None, bid: int | None = None, day: int | None = None
) -> PriceRecord:
    """Prices at scale 12, the ask twice the bid; `day` is that of 24 hours before."""
    source = SOURCE._replace(exchange_time=at, received_at=at)

    def point(price: int | None) -> PricePoint | None:
        return None if price is None else PricePoint(price, None, source)

    return make_price()._replace(
        instrument=instrument,
        bid=point(bid),
        ask=point(None if bid is None else 2 * bid),
        last=point(last),
        mark_price=None,
        close=None,
        previous_close=None,
        open_24h=day,
        source_24h=None if day is None else source,
        quotes_offset=version,
        trades_offset=None,
    )


def expected(portfolio: Portfolio, valuer: Valuer, now: int) -> Totals:
    """Line by line, from the prices as they are, with nothing remembered."""
    rates = RateSources(PAIRS, STATED, STALE_AFTER).rates(valuer.board, now, lambda _: None)
    lines = [
        value_line(position, mark(portfolio, position, valuer.board, now), rates.now.rate(position.currency, "USD"))
        for position in (*portfolio.positions.values(), *(trace.flat for trace in portfolio.traces))
    ]
    return sum_lines(portfolio, lines, rates)


def mark(portfolio: Portfolio, position: Position, board: Mapping[str, PriceRecord], now: int) -> Mark:
    found, policy = board.get(position.instrument), portfolio.policy
    override = portfolio.overrides.get(position.instrument)
    freshness = Freshness(now, policy.stale_after)
    price = choose_price(found, policy.prices, freshness, is_long=position.quantity > 0, override=override)
    return Mark(price if position.quantity else None, found and reference_price(found, now))


moments = st.integers(START - DAY - REFRESH * 120, START + 2 * REFRESH)


@st.composite
def positions(draw: st.DrawFn, number: int) -> Position:
    quantity = draw(st.integers(-9, 9).map(lambda whole: whole * ONE) | st.integers(-(10**20), 10**20))
    return make_position(
        f"p{number}",
        quantity,
        draw(st.integers(-(10**27), 10**27)) if quantity else 0,
        instrument=draw(st.sampled_from(INSTRUMENTS)),
        currency=draw(st.sampled_from(("USD", "USDT", "JPY", "EUR"))),
        multiplier=draw(st.sampled_from((ONE, ONE // 7))),
        settlement=draw(st.sampled_from(Settlement)),
        opened_at=draw(moments),
        updated_at=draw(moments),
        realised_pnl=draw(st.sampled_from((0, 0, AMOUNT))),
        before=draw(st.none() | st.builds(Beginning, moments, st.sampled_from((0, ONE, -3)), st.sampled_from((0, AMOUNT)))),
    )


@st.composite
def portfolios(draw: st.DrawFn) -> Portfolio:
    held = [draw(positions(number)) for number in range(draw(st.integers(0, 5)))]
    choices = draw(st.sampled_from([(PriceChoice.SIDE, PriceChoice.LAST), (PriceChoice.LAST,)]))
    portfolio = make_portfolio(*held, balances={"USDT": Balance(3 * AMOUNT)} if draw(st.booleans()) else {})
    overrides = {}
    if draw(st.booleans()):
        expires = START + draw(st.integers(0, 5 * REFRESH))
        overrides["x:A-USD"] = PriceOverride("x:A-USD", 5 * ONE, "ann", "risk", "why", START, expires)
    policy = portfolio.policy._replace(prices=choices, stale_after=draw(st.sampled_from((REFRESH, STALE_AFTER))))
    traces: tuple[Trace, ...] = ()
    for number in range(draw(st.integers(0, 2))):
        traces = left_behind(traces, draw(positions(number))._replace(quantity=0, cost=0))
    return portfolio._replace(
        traces=traces, portfolio_id=draw(st.sampled_from(("ours", "theirs", "yours"))), policy=policy, overrides=overrides
    )


def touched_by(valuer: Valuer, now: int) -> set[str]:
    valuer.revalue(now)
    return valuer.take_touched()


figures = st.none() | st.integers(1, 9).map(lambda price: price * ONE) | st.integers(1, 10**30)
moves = st.tuples(st.sampled_from(INSTRUMENTS), figures, figures, figures)
steps = st.one_of(
    moves,
    portfolios(),
    st.sampled_from(("ours", "theirs")),
    st.sampled_from((1, REFRESH // 2, REFRESH, 61 * REFRESH, 60 * MINUTE)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25), st.booleans())
def test_totals_are_always_those_of_the_lines_and_what_changed_is_told(found: list[object], compiled: bool) -> None:
    valuer, now, told = new_valuer(compiled=compiled), START, dict[str, Totals]()
    for number, step in enumerate([*found, REFRESH]):
        if isinstance(step, Portfolio):
            valuer.put_portfolio(step)
        elif isinstance(step, str):
            valuer.drop_portfolio(step)
            told.pop(step, None)
        elif isinstance(step, int):
            now += step
            touched = touched_by(valuer, now)
            told |= {portfolio_id: valuer.totals(portfolio_id) for portfolio_id in touched}
            assert told == {one: valuer.totals(one) for one in valuer.portfolios}
            if now == valuer.refreshed_at:
                assert told == {one: expected(portfolio, valuer, now) for one, portfolio in valuer.portfolios.items()}
        elif isinstance(step, tuple):
            instrument, last, bid, day = step
            valuer.put_price(record(instrument, number, at=now, last=last, bid=bid, day=day))


def simple(quantity: int = 1, instrument: str = "x:A-USD", currency: str = "USD") -> Portfolio:
    return make_portfolio(make_position(quantity=quantity * ONE, instrument=instrument, currency=currency, opened_at=START))


@pytest.mark.parametrize("compiled", [True, False])
def test_price_reaches_those_who_hold_it_and_nobody_else(compiled: bool) -> None:
    valuer = new_valuer(compiled=compiled)
    valuer.put_portfolio(simple())
    valuer.put_portfolio(simple(instrument="x:B-USDT")._replace(portfolio_id="theirs"))
    assert touched_by(valuer, START) == {"ours", "theirs"}
    valuer.put_price(record("x:A-USD", 1, at=START, last=7 * ONE))
    assert touched_by(valuer, START + 1) == {"ours"}
    assert valuer.totals("ours").rounded(valuer.totals("ours").net) == 7 * AMOUNT
    assert touched_by(valuer, START + 2) == set()


def test_rate_reaches_those_who_need_it() -> None:
    valuer = new_valuer()
    valuer.put_price(record("x:B-USDT", 1, at=START, last=7 * ONE))
    valuer.put_portfolio(simple(instrument="x:B-USDT", currency="USDT"))
    valuer.put_portfolio(simple()._replace(portfolio_id="theirs"))
    assert "ours" in touched_by(valuer, START)
    assert valuer.totals("ours").left_out == ("one",)
    valuer.put_price(record("x:USDT-USD", 1, at=START, last=2 * ONE))
    assert touched_by(valuer, START + 1) == {"ours"}
    assert touched_by(valuer, START + 2 + REFRESH) == set()
    assert valuer.totals("ours").rounded(valuer.totals("ours").net) == 14 * AMOUNT


def test_older_record_of_prices_changes_nothing() -> None:
    valuer = new_valuer()
    valuer.put_portfolio(simple())
    valuer.put_price(record("x:A-USD", 5, at=START, last=7 * ONE))
    valuer.put_price(record("x:A-USD", 4, at=START, last=6 * ONE))
    valuer.revalue(START)
    assert valuer.totals("ours").rounded(valuer.totals("ours").net) == 7 * AMOUNT


def test_price_that_nobody_told_again_grows_stale() -> None:
    valuer = new_valuer()
    valuer.put_portfolio(simple())
    valuer.put_price(record("x:A-USD", 1, at=START, last=7 * ONE))
    assert "ours" in touched_by(valuer, START)
    assert touched_by(valuer, START + STALE_AFTER + 1) == {"ours"}
    assert valuer.totals("ours").stale == 1


def test_choice_of_a_position_has_its_direction_and_the_policy_of_its_portfolio() -> None:
    for prices, is_long in ((PriceChoice.SIDE, PriceChoice.LAST), False), ((PriceChoice.LAST,), True):
        portfolio = simple(-1)
        portfolio = portfolio._replace(policy=portfolio.policy._replace(prices=prices))
        choice = choice_of(portfolio, portfolio.positions["one"])
        assert (choice.instrument, choice.is_long, choice.choices) == ("x:A-USD", is_long, prices)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("first", [3 * ONE, None])
def test_position_counts_from_its_cost_until_a_day_has_passed(first: int | None, compiled: bool) -> None:
    valuer = new_valuer(compiled=compiled)
    opened_at = START - START % QUARTER_HOUR - DAY + QUARTER_HOUR - 1
    opened = make_position(
        quantity=ONE, cost=5 * AMOUNT, instrument="x:A-USD", opened_at=opened_at, before=Beginning(opened_at, 0, 0)
    )
    before = make_position("before", quantity=ONE, instrument="x:A-USD", opened_at=START - 2 * DAY)
    effects = []
    valuer.put_price(record("x:A-USD", 1, at=START, last=7 * ONE, day=first))
    valuer.put_portfolio(make_portfolio(opened, before))
    for number in range(3):
        at = START + number * QUARTER_HOUR
        valuer.put_price(record("x:A-USD", 2 + number, at=at, last=7 * ONE, day=3 * ONE))
        valuer.revalue(at)
        totals = valuer.totals("ours")
        assert totals == expected(valuer.portfolios["ours"], valuer, at)
        effects.append(totals.rounded(totals.price_effect))
    assert effects == [6 * AMOUNT, 8 * AMOUNT, 8 * AMOUNT]


def test_columns_of_overrides_that_nobody_has_any_more_are_dropped() -> None:
    valuer = new_valuer()
    for number in range(50):
        override = PriceOverride("x:A-USD", 5 * ONE, "ann", "risk", "why", START + number, START + DAY + number % 2)
        portfolio = simple()._replace(overrides={"x:A-USD": override})
        valuer.put_portfolio(portfolio)
        valuer.put_portfolio(portfolio._replace(portfolio_id="theirs"))
        valuer.revalue(START + number * REFRESH)
        assert valuer.columns <= 3  # the price of now, the one of before, the reference
    assert valuer.lines("ours")[0].mark.price == ChosenPrice(5 * ONE, OVERRIDE, "ann", START + 49)
    assert valuer.totals("ours").oldest is None
    valuer.drop_portfolio("ours")
    valuer.drop_portfolio("theirs")
    valuer.put_price(record("x:A-USD", 1, at=START, last=7 * ONE))
    valuer.revalue(START + 51 * REFRESH)
    assert valuer.columns == 0
    valuer.put_portfolio(simple(instrument="x:B-USDT"))
    valuer.revalue(START + 51 * REFRESH)
    assert (valuer.columns, valuer.totals("ours").left_out) == (2, ("one",))


def test_override_names_who_set_it_for_the_portfolio_though_others_share_its_price() -> None:
    valuer = new_valuer()
    for name, actor in ("ours", "ann"), ("theirs", "bob"):
        override = PriceOverride("x:A-USD", 5 * ONE, actor, "risk", "why", START, START + DAY)
        valuer.put_portfolio(simple()._replace(portfolio_id=name, overrides={"x:A-USD": override}))
    valuer.revalue(START)
    prices = [valuer.lines(name)[0].mark.price for name in ("ours", "theirs")]
    assert [price and price.source for price in prices] == ["ann", "bob"]
    assert valuer.columns == 2


def test_rate_that_nobody_told_again_makes_its_lines_stale() -> None:
    valuer = new_valuer()
    valuer.put_price(record("x:USDT-USD", 1, at=START, last=2 * ONE))
    valuer.put_portfolio(simple(instrument="x:B-USDT", currency="USDT"))
    valuer.revalue(START)
    now = START + STALE_AFTER + 1
    valuer.put_price(record("x:B-USDT", 1, at=now, last=7 * ONE))
    valuer.revalue(now)
    assert valuer.totals("ours").stale == 1
    assert valuer.lines("ours")[0].reason == "rate is stale"


@pytest.mark.parametrize("compiled", [True, False])
def test_removed_position_counts_in_its_day_and_not_in_the_next(compiled: bool) -> None:
    valuer = new_valuer(compiled=compiled)
    at = START - START % QUARTER_HOUR
    gone = make_position(
        "gone", quantity=0, instrument="x:A-USD", opened_at=at - 1, realised_pnl=4 * AMOUNT, before=Beginning(at - 1, 0, 0)
    )
    valuer.put_portfolio(make_portfolio()._replace(traces=left_behind((), gone)))
    valuer.put_price(record("x:A-USD", 1, at=at, last=7 * ONE, day=3 * ONE))
    valuer.revalue(at)
    totals = valuer.totals("ours")
    assert (totals.rounded(totals.price_effect), totals.lines, valuer.lines("ours")) == (4 * AMOUNT, 0, [])
    valuer.put_price(record("x:A-USD", 2, at=at + DAY, last=7 * ONE, day=3 * ONE))
    valuer.revalue(at + DAY)
    assert valuer.totals("ours").price_effect == 0
    valuer.revalue(at + TRACES_KEPT)
    assert valuer.portfolios["ours"].traces == ()
    assert valuer.totals("ours").price_effect == 0


def test_removed_position_without_a_reference_leaves_the_day_unknown_until_it_is_forgotten() -> None:
    valuer = new_valuer()
    gone = make_position("gone", quantity=0, instrument="x:A-USD", opened_at=START - 1, before=Beginning(START - 1, 0, 0))
    valuer.put_portfolio(make_portfolio()._replace(traces=left_behind((), gone)))
    valuer.revalue(START)
    assert valuer.totals("ours").price_effect is None
    assert "ours" in touched_by(valuer, START - 1 + TRACES_KEPT)
    assert valuer.totals("ours").price_effect == 0
