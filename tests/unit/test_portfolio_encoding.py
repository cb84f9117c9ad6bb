"""The hand-written encoder of portfolios against the schema's own."""

import pytest
from hypothesis import given

from market.errors import DataValidationError
from market.portfolio_commands import Command, CreatePortfolio, Deposit
from schemas.codec import encode_body
from schemas.portfolio_encoding import encode_portfolio
from tests.portfolio_parts import FIFO, command, commands, done, run


@given(commands(max_size=30))
def test_bytes_are_those_of_the_schema(found: list[Command]) -> None:
    first, *others = found
    for portfolio in (run(first, *others)[0], run(command(CreatePortfolio, policy=FIFO), *others)[0]):
        assert portfolio is not None
        assert encode_portfolio(portfolio) == encode_body(portfolio)


def test_amount_that_does_not_fit_is_refused_as_the_schema_does() -> None:
    portfolio = done(command(CreatePortfolio), command(Deposit, 1))
    wide = portfolio._replace(balances={"USDT": portfolio.balances["USDT"]._replace(cash=10**50)})
    for encode in (encode_portfolio, encode_body):
        with pytest.raises(DataValidationError) as raised:
            encode(wide)
        assert raised.value.reason == "too_large"
