import pytest

from market.errors import DataValidationError, SubscriptionError
from market.instrument import check_instrument, code_of, resolve, venue_of

KNOWN = ["binance:BTC-USDT", "binance:BTC-USDT-PERP", "okx:BTC-USDT", "sse:600519"]


@pytest.mark.parametrize("name", KNOWN)
def test_well_formed_ids_pass(name: str) -> None:
    assert check_instrument(name) == name


@pytest.mark.parametrize("name", ["BTC-USDT", "binance:", "Binance:BTC", "binance:btc", "binance:B T", "binance:BTC\n"])
def test_malformed_ids_are_refused(name: str) -> None:
    with pytest.raises(DataValidationError, match="not an instrument id"):
        check_instrument(name)


def test_id_splits_into_venue_and_code() -> None:
    assert venue_of("binance:BTC-USDT") == "binance"
    assert code_of("binance:BTC-USDT") == "BTC-USDT"


@pytest.mark.parametrize("alias", ["600519", "sse:600519", "SSE:600519"])
def test_alias_of_one_instrument_is_resolved(alias: str) -> None:
    assert resolve(alias, KNOWN) == "sse:600519"


@pytest.mark.parametrize("alias", ["BTC/USDT", "btcusdt", "BTC-USDT"])
def test_alias_of_several_instruments_lists_them(alias: str) -> None:
    with pytest.raises(SubscriptionError, match="binance:BTC-USDT, okx:BTC-USDT"):
        resolve(alias, KNOWN)


@pytest.mark.parametrize("alias", ["binance:BTC/USDT", "binance:btcusdt"])
def test_alias_with_its_venue_is_not_ambiguous(alias: str) -> None:
    assert resolve(alias, KNOWN) == "binance:BTC-USDT"


@pytest.mark.parametrize("alias", ["DOGE", "", "/", "-"])
def test_unknown_alias_is_an_error(alias: str) -> None:
    with pytest.raises(SubscriptionError, match="not a known instrument"):
        resolve(alias, KNOWN)
