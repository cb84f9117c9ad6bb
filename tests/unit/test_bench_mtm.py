"""The mark-to-market benchmark: its load is valued whole, and its ratios are the figures that there are targets for."""

import random

from benchmarks.mtm.load import RATE, START, batch, portfolios, sources, symbols
from benchmarks.mtm.report import ratios
from processors.valuing.valuer import Valuer


def test_every_position_of_the_load_has_a_price_and_a_rate() -> None:
    valuer, instruments = Valuer(sources(), lambda _: None), symbols(20)
    for portfolio in portfolios(3, 10, instruments, seed=1):
        valuer.put_portfolio(portfolio)
    for record in batch([RATE, *instruments], 0, random.Random(2)):
        valuer.put_price(record)
    valuer.revalue(START)
    for portfolio_id in valuer.portfolios:
        totals = valuer.totals(portfolio_id)
        assert (totals.lines, totals.valued, totals.stale) == (10, 10, 0)
        assert totals.price_effect is not None


def test_ratios_are_those_of_the_contestants_that_ran() -> None:
    plain = {"full_revaluation_1m_positions_ms": 30.0}
    assert ratios({"plain": plain}) == {"plain_full_revaluation_1m_positions_ms": 30.0}
