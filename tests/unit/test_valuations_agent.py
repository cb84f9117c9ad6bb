"""The agent of valuations: which rates its settings name, and what becomes of records it cannot read."""

from fractions import Fraction

import pytest

from processors.agents import valuations
from processors.batch import RawRecord
from processors.valuing.configured import rate_sources
from runtime.errors import ConfigurationError
from runtime.settings import ProcessorSettings, ValuationSettings
from schemas.topics import POSITIONS
from tests.builders import START
from tests.folding import Runner, batch_of
from tests.price_parts import make_price
from tests.valuing import make_portfolio

STATED = {"base": "USD", "quote": "CNY", "rate": "7.17", "as_of": "2024-08-09T00:00:00Z"}


def settings(**fields: object) -> ValuationSettings:
    return ValuationSettings.model_validate(fields)


def test_rates_are_those_of_instruments_before_those_stated() -> None:
    found = rate_sources(settings(rate_instruments=["x:USD-CNY"], stated_rates=[STATED]))
    without = found.rates({}, START, lambda _: None).now.rate("USD", "CNY")
    assert without is not None
    assert (without.rate, without.as_of, without.sources) == (Fraction("7.17"), START, ("config",))
    board = {"x:USD-CNY": make_price()._replace(instrument="x:USD-CNY")}
    told = found.rates(board, START, lambda _: None).now.rate("USD", "CNY")
    assert told is not None
    assert (told.rate, told.sources) == (Fraction(100), ("x:USD-CNY",))


@pytest.mark.parametrize("instrument", ["sse:600519", "binance:BTC-USDT-PERP", "x:USD-USD", "x:USD-"])
def test_instrument_that_is_no_pair_of_currencies_is_refused_by_name(instrument: str) -> None:
    with pytest.raises(ConfigurationError, match=instrument):
        valuations.build(ProcessorSettings(valuation=settings(rate_instruments=[instrument])))


def test_portfolio_that_cannot_be_read_becomes_a_dead_letter() -> None:
    runner = Runner(valuations.build(ProcessorSettings()))
    assert runner.batch([make_portfolio()], POSITIONS.name).refusals == []
    runner.fold.fold(batch_of([RawRecord(1, START // 1000, b"ours", b"nonsense")], topic=POSITIONS.name))
    assert [refusal.raw.offset for refusal in runner.commit().refusals] == [1]
    assert runner.fold.known(POSITIONS.name) == -1
