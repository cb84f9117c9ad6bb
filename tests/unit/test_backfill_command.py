"""`tapeline backfill` refuses what it cannot do before it asks anybody."""

import pytest
from typer.testing import CliRunner

from market.errors import SubscriptionError
from runtime.errors import ConfigurationError
from tapeline.cli import build

BTC = "binance:BTC-USDT"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([BTC, "--from", "yesterday"], ConfigurationError, "--from: 'yesterday' is no time such as 2024-08-09"),
        ([BTC, "--from", "2024-08-09", "--to", "2024-08-09"], ConfigurationError, "--from: 2024-08-09 is not before the end"),
        ([BTC, "--from", "2024-08-09", "--to", "2999-01-01"], ConfigurationError, "--to: 2999-01-01 has not come yet"),
        (
            [BTC, "--from", "2024-08-09", "--venue", "coinbase"],
            ConfigurationError,
            "coinbase does not tell its history; these do",
        ),
        ([BTC, "--from", "2024-08-09", "--venue", "binanse"], ConfigurationError, "'binanse' is no venue"),
        (["BTCUSDT", "--from", "2024-08-09"], ConfigurationError, "INSTRUMENT: 'BTCUSDT' names no venue"),
        (["binance:BTCUSDT", "--from", "2024-08-09"], SubscriptionError, "'binance:BTCUSDT' is no instrument of binance"),
        (["okx:BTC-USDT", "--from", "2024-08-09"], SubscriptionError, "'trade' is no channel of okx: there are trades"),
        (["bybit:BTC-USDT", "--from", "2024-08-09", "--channels", "tickers"], SubscriptionError, "the history of tickers"),
        (["nowhere:BTC-USDT", "--from", "2024-08-09"], ConfigurationError, "INSTRUMENT: 'nowhere' is no venue"),
        ([BTC, "--from", "2024-08-09", "--channels", "trades"], SubscriptionError, "'trades' is no channel of binance"),
        (
            [BTC, "--from", "2024-08-09", "--channels", "bookTicker"],
            SubscriptionError,
            "does not tell the history of bookTicker",
        ),
        ([f"{BTC}-PERP", "--from", "2024-08-09"], SubscriptionError, "does not tell the history of trade"),
    ],
)
def test_what_cannot_be_done_is_named(arguments: list[str], error: type[Exception], message: str) -> None:
    found = CliRunner().invoke(build("backfill"), ["backfill", *arguments])
    assert isinstance(found.exception, error)
    assert message in str(found.exception)
