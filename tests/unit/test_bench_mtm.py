"""The mark-to-market benchmark: its load is valued whole, and its ratios are the figures that there are targets for."""

import random

from benchmarks.mtm.load import HOT, RATE, START, batch, portfolios, sources, symbols, watchers
from benchmarks.mtm.report import ratios
from market.portfolio_checks import check_portfolio
from processors.valuing.valuer import Valuer


def test_every_position_of_the_load_has_a_price_and_a_rate_and_its_money_comes_from_somewhere() -> None:
    valuer, instruments = Valuer(sources(), lambda _: None), symbols(20)
    for portfolio in (*portfolios(3, 10, instruments, seed=1), *watchers(2)):
        valuer.put_portfolio(check_portfolio(portfolio))
    for record in batch([RATE, HOT, *instruments], 0, random.Random(2)):
        valuer.put_price(record)
    valuer.revalue(START)
    for portfolio_id in valuer.portfolios:
        totals = valuer.totals(portfolio_id)
        lines = 10 if portfolio_id.startswith("p") else 1
        assert (totals.lines, totals.valued, totals.stale) == (lines, lines, 0)
        assert totals.price_effect is not None


def test_ratios_are_those_of_the_contestants_that_ran() -> None:
    plain = {"full_revaluation_1m_positions_ms": 30.0}
    assert ratios({"plain": plain}) == {"plain_full_revaluation_1m_positions_ms": 30.0}
