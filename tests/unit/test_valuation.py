"""Lines and totals against plain fractions, and what becomes of figures that are not known."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.beginnings import Beginning
from market.decimals import ONE
from market.fx import FxGraph, FxQuote
from market.portfolio import Balance, Portfolio
from market.portfolio_totals import Rates, Totals, sum_lines, sum_parts
from market.position import Settlement
from market.price_choice import Reference
from market.valuation import EXACT_SCALE, Line, LineState, Mark, value_lines
from tests.builders import START
from tests.valuing import AMOUNT, graph_of, make_portfolio, make_position, make_price, marks, portfolios, rates, rates_of

DAY_BEGAN = START + 5


@st.composite
def valued(draw: st.DrawFn) -> tuple[Portfolio, list[Line], Rates]:
    portfolio, found = draw(portfolios()), draw(rates())
    drawn = [draw(marks()) for _ in portfolio.positions]
    return portfolio, value_lines(portfolio, drawn, found.now), found


def rounded(figure: Fraction | None) -> int | None:
    """Python rounds fractions half to even, too."""
    return None if figure is None else round(figure * AMOUNT)


class Oracle:
    """The formulae of the module, in fractions, without any sum of parts."""

    def __init__(self, portfolio: Portfolio, lines: list[Line], rates: Rates) -> None:
        self.lines = lines
        self.open = [line for line in lines if line.position.quantity]
        self.valued = [line for line in self.open if line.state in (LineState.PRICED, LineState.STALE)]
        self.rates, self.base, self.balances = rates, portfolio.base_currency, portfolio.balances

    def now(self, currency: str) -> Fraction:
        rate = self.rates.now.rate(currency, self.base)
        assert rate is not None
        return rate.rate

    def value(self, line: Line) -> Fraction:
        assert line.mark.price is not None
        return Fraction(line.mark.price.price, ONE) * self.size(line)

    def size(self, line: Line) -> Fraction:
        return Fraction(line.position.quantity, ONE) * Fraction(line.position.multiplier, ONE)

    def unrealised(self, line: Line) -> Fraction:
        return self.value(line) - Fraction(line.position.cost, AMOUNT)

    def converted(self, line: Line, amount: Fraction) -> Fraction:
        return amount * self.now(line.position.currency)

    def total(self, figures: list[Fraction]) -> Fraction | None:
        return sum(figures, Fraction(0)) if self.valued or not self.open else None

    @property
    def net(self) -> Fraction | None:
        return self.total([self.converted(line, self.value(line)) for line in self.valued])

    @property
    def gross(self) -> Fraction | None:
        return self.total([abs(self.converted(line, self.value(line))) for line in self.valued])

    @property
    def unrealised_pnl(self) -> Fraction | None:
        return self.total([self.converted(line, self.unrealised(line)) for line in self.valued])

    def balance(self, field: str) -> Fraction | None:
        held = {currency: balance for currency, balance in self.balances.items() if any(balance)}
        if any(self.rates.now.rate(currency, self.base) is None for currency in held):
            return None
        return sum(
            (Fraction(getattr(balance, field), AMOUNT) * self.now(currency) for currency, balance in held.items()), Fraction(0)
        )

    @property
    def equity(self) -> Fraction | None:
        cash = self.balance("cash")
        if cash is None or self.open != self.valued:
            return None
        return cash + sum(
            self.converted(line, self.value(line) if line.position.settlement is Settlement.CASH else self.unrealised(line))
            for line in self.valued
        )

    @staticmethod
    def began(line: Line) -> tuple[Fraction, Fraction] | None:
        """What was held when the day began, and paid for it."""
        position, reference = line.position, line.mark.reference
        if reference is None:
            return None
        paid = Fraction(position.cost - position.realised_pnl, AMOUNT)
        if position.updated_at < reference.began_at:
            return Fraction(position.quantity, ONE), paid
        later = [one for one in position.beginnings if one.at >= reference.began_at]
        return (Fraction(later[0].quantity, ONE), Fraction(later[0].paid, AMOUNT)) if later else None

    @property
    def day(self) -> tuple[Fraction | None, Fraction | None]:
        """Profit of the day as a whole, and the part of it that rates made."""
        if self.open != self.valued:
            return None, None
        whole = by_rates = Fraction(0)
        for line in self.lines:
            began, position, reference = self.began(line), line.position, line.mark.reference
            if began is None or reference is None:
                return None, None
            held = Fraction(reference.price, ONE) * began[0] * Fraction(position.multiplier, ONE)
            paid = Fraction(position.cost - position.realised_pnl, AMOUNT) - began[1]
            value = self.value(line) if position.quantity else Fraction(0)
            if not value and not held and not paid:
                continue
            rate = self.rates.now.rate(position.currency, self.base)
            if rate is None:
                return None, None
            if position.settlement is Settlement.MARGIN or not held:
                whole += (value - held - paid) * rate.rate
                continue
            then = self.rates.then.rate(position.currency, self.base)
            if then is None or then.sources != rate.sources:
                return None, None
            whole += (value - paid) * rate.rate - held * then.rate
            by_rates += held * (rate.rate - then.rate)
        return whole, by_rates


@given(valued())
def test_every_figure_of_a_portfolio_is_that_of_the_oracle(found: tuple[Portfolio, list[Line], Rates]) -> None:
    portfolio, lines, rates = found
    oracle, totals = Oracle(*found), sum_lines(portfolio, lines, rates)
    figures = {
        "net": oracle.net,
        "gross": oracle.gross,
        "unrealised": oracle.unrealised_pnl,
        "realised": oracle.balance("realised_pnl"),
        "cash": oracle.balance("cash"),
        "equity": oracle.equity,
    }
    assert {name: totals.rounded(getattr(totals, name)) for name in figures} == {
        name: rounded(figure) for name, figure in figures.items()
    }
    assert exact(totals, totals.income) == income(oracle)
    assert day_of(totals) == oracle.day
    assert totals.lines == len(oracle.open)
    assert totals.valued == len(oracle.valued)
    assert totals.oldest == min((line.mark.price.time for line in oracle.valued if line.mark.price), default=None)


def exact(totals: Totals, figure: int | None) -> Fraction | None:
    return None if figure is None else Fraction(figure, totals.unit)


def income(oracle: Oracle) -> Fraction | None:
    funding, dividends, fees = map(oracle.balance, ("funding", "dividends", "fees"))
    return None if funding is None or dividends is None or fees is None else funding + dividends - fees


def day_of(totals: Totals) -> tuple[Fraction | None, Fraction | None]:
    if totals.price_effect is None or totals.fx_effect is None:
        assert totals.price_effect is totals.fx_effect
        return None, None
    return exact(totals, totals.price_effect + totals.fx_effect), exact(totals, totals.fx_effect)


@given(valued())
def test_totals_are_the_sums_of_unrounded_lines(found: tuple[Portfolio, list[Line], Rates]) -> None:
    portfolio, lines, rates = found
    totals = sum_lines(portfolio, lines, rates)
    parts = [(line.part, line.rate.rate) for line in lines if line.part is not None and line.rate is not None]
    if totals.valued:
        scale = 10**EXACT_SCALE
        assert exact(totals, totals.net) == sum(Fraction(part.value, scale) * rate for part, rate in parts)
        assert exact(totals, totals.unrealised) == sum(Fraction(part.value - part.cost, scale) * rate for part, rate in parts)


@given(valued())
def test_figures_of_a_line_are_those_of_the_oracle(found: tuple[Portfolio, list[Line], Rates]) -> None:
    oracle = Oracle(*found)
    for line in oracle.valued:
        assert line.part is not None
        assert line.rounded(line.part.value) == rounded(oracle.converted(line, oracle.value(line)))
        assert line.rounded(line.part.value - line.part.cost) == rounded(oracle.converted(line, oracle.unrealised(line)))


@given(valued())
def test_order_of_the_parts_does_not_matter(found: tuple[Portfolio, list[Line], Rates]) -> None:
    portfolio, lines, rates = found
    parts = [line.part for line in lines if line.part is not None]
    assert sum_parts(portfolio, parts, rates) == sum_parts(portfolio, parts[::-1], rates)


def totals_of(portfolio: Portfolio, *given: Mark, rates: Rates | None = None) -> Totals:
    rates = rates or rates_of({})
    return sum_lines(portfolio, value_lines(portfolio, given, rates.now), rates)


def mark(price: int, **fields: bool) -> Mark:
    return Mark(make_price(price * ONE, **fields))


def test_line_without_a_price_counts_as_unknown_and_not_as_zero() -> None:
    portfolio = make_portfolio(make_position("known"), make_position("unknown"), balances={"USD": Balance(5 * AMOUNT)})
    totals = totals_of(portfolio, mark(100), Mark())
    assert totals.rounded(totals.net) == 100 * AMOUNT
    assert (totals.equity, totals.price_effect) == (None, None)
    assert totals.left_out == ("unknown",)
    assert totals.coverage_percent == 50 * ONE


def test_portfolio_of_unknown_lines_alone_has_no_figures() -> None:
    totals = totals_of(make_portfolio(make_position()), Mark())
    assert (totals.net, totals.gross, totals.unrealised, totals.coverage_percent) == (None, None, None, 0)


def test_empty_portfolio_is_worth_its_cash() -> None:
    totals = totals_of(make_portfolio(balances={"USD": Balance(5 * AMOUNT)}))
    assert totals.rounded(totals.equity) == 5 * AMOUNT
    assert (totals.net, totals.coverage_percent) == (0, 100 * ONE)


def test_currency_without_a_rate_is_named_and_never_taken_at_one() -> None:
    portfolio = make_portfolio(make_position(currency="CNY"), balances={"CNY": Balance(5 * AMOUNT), "EUR": Balance()})
    (line,) = value_lines(portfolio, [mark(100)], graph_of({}))
    assert (line.state, line.reason, line.rate) == (LineState.NO_FX, "no rate for CNY", None)
    totals = totals_of(portfolio, mark(100))
    assert totals.without_rate == ("CNY",)
    assert (totals.cash, totals.realised, totals.net) == (None, None, None)


@pytest.mark.parametrize(
    ("is_stale", "stale_rate", "state", "reason"),
    [
        (False, "", LineState.PRICED, ""),
        (True, "", LineState.STALE, "price is stale"),
        (False, "CNY", LineState.STALE, "rate is stale"),
    ],
)
def test_line_says_whether_price_or_rate_is_stale(is_stale: bool, stale_rate: str, state: LineState, reason: str) -> None:
    graph = graph_of({"CNY": Fraction(1, 7)}, stale=stale_rate)
    portfolio = make_portfolio(make_position(currency="CNY"))
    (line,) = value_lines(portfolio, [mark(100, is_stale=is_stale)], graph)
    assert (line.state, line.reason) == (state, reason)
    assert sum_lines(portfolio, [line], Rates(graph, graph)).stale == (state is LineState.STALE)


def test_flat_position_needs_no_price() -> None:
    portfolio = make_portfolio(make_position(quantity=0, opened_at=DAY_BEGAN - 1))
    totals = totals_of(portfolio, Mark(None, Reference(100 * ONE, DAY_BEGAN, "previous_close")))
    assert (totals.lines, totals.coverage_percent, totals.equity, totals.price_effect) == (0, 100 * ONE, 0, 0)


def test_days_profit_is_split_into_price_and_rate() -> None:
    position = make_position(quantity=10 * ONE, currency="CNY", opened_at=DAY_BEGAN - 1)
    found = Mark(make_price(110 * ONE), Reference(100 * ONE, DAY_BEGAN, "previous_close"))
    totals = totals_of(make_portfolio(position), found, rates=rates_of({"CNY": Fraction(15, 100)}, {"CNY": Fraction(14, 100)}))
    assert totals.rounded(totals.price_effect) == 15 * AMOUNT  # 100 CNY at 0.15
    assert totals.rounded(totals.fx_effect) == 10 * AMOUNT  # 1000 CNY that gained a cent each


@pytest.mark.parametrize(
    ("quantity", "cost", "before", "effect"),
    [
        (10, 900, (10, 900), 100),  # held
        (10, 1030, (9, 900), 10 * 110 - 9 * 100 - 130),  # one bought today, at 130
        (10, 1050, (0, 0), 50),  # opened today
        (0, -40, (1, 70), 110 - 100),  # closed today, at 110
        (-2, -200, (3, 250), 450 - 220 - 300),  # turned around today: five sold at 90
        (0, -5, (0, 0), 5),  # opened and closed today
    ],
)
def test_days_profit_is_known_whatever_was_traded_since_it_began(
    quantity: int, cost: int, before: tuple[int, int], effect: int
) -> None:
    began = Beginning(DAY_BEGAN + 1, before[0] * ONE, before[1] * AMOUNT)
    realised = -cost if not quantity else 0
    position = make_position(
        quantity=quantity * ONE,
        cost=cost * AMOUNT if quantity else 0,
        opened_at=DAY_BEGAN - 2,
        updated_at=DAY_BEGAN + 3,
        realised_pnl=realised * AMOUNT,
        before=began,
    )
    found = Mark(make_price(110 * ONE) if quantity else None, Reference(100 * ONE, DAY_BEGAN, "previous_close"))
    totals = totals_of(make_portfolio(position), found)
    assert totals.rounded(totals.price_effect) == effect * AMOUNT
    assert totals.rounded(totals.fx_effect) == 0


@pytest.mark.parametrize("quantity", [10, 0])
def test_day_of_a_position_is_not_known_where_it_is_not_remembered(quantity: int) -> None:
    position = make_position(quantity=quantity * ONE, opened_at=DAY_BEGAN - 2, updated_at=DAY_BEGAN)
    found = Mark(make_price(110 * ONE), Reference(100 * ONE, DAY_BEGAN, "previous_close"))
    totals = totals_of(make_portfolio(position), found)
    assert (totals.price_effect, totals.fx_effect) == (None, None)


def test_what_a_flat_position_brought_in_the_day_needs_a_rate() -> None:
    began = Beginning(DAY_BEGAN, ONE, 0)
    position = make_position(quantity=0, currency="CNY", opened_at=DAY_BEGAN, before=began)
    found = Mark(None, Reference(100 * ONE, DAY_BEGAN, "previous_close"))
    assert totals_of(make_portfolio(position), found).price_effect is None
    rates = rates_of({"CNY": Fraction(1, 5)})
    totals = totals_of(make_portfolio(position), found, rates=rates)
    assert totals.rounded(totals.price_effect) == -20 * AMOUNT


def test_day_of_a_flat_position_without_a_reference_is_not_known() -> None:
    totals = totals_of(make_portfolio(make_position(quantity=0)), Mark())
    assert (totals.equity, totals.price_effect) == (0, None)


def test_rates_of_different_sources_are_no_move_of_a_rate() -> None:
    position = make_position(quantity=ONE, currency="CNY", opened_at=DAY_BEGAN - 1)
    found = Mark(make_price(110 * ONE), Reference(100 * ONE, DAY_BEGAN, "previous_close"))
    other = FxGraph([FxQuote("CNY", "USD", Fraction(14, 100), START, "other:CNY-USD")])
    rates = rates_of({"CNY": Fraction(15, 100)})
    totals = totals_of(make_portfolio(position), found, rates=rates._replace(then=other))
    assert (totals.price_effect, totals.fx_effect) == (None, None)
    margined = make_portfolio(position._replace(settlement=Settlement.MARGIN))  # which has no FX effect
    assert totals_of(margined, found, rates=rates._replace(then=other)).fx_effect == 0


def test_short_margined_position_adds_its_profit_to_equity_and_its_value_to_exposure() -> None:
    position = make_position(quantity=-2 * ONE, cost=-200 * AMOUNT, settlement=Settlement.MARGIN)
    totals = totals_of(make_portfolio(position, balances={"USD": Balance(50 * AMOUNT)}), mark(90))
    assert totals.rounded(totals.net) == -180 * AMOUNT
    assert totals.rounded(totals.gross) == 180 * AMOUNT
    assert totals.rounded(totals.equity) == 70 * AMOUNT
