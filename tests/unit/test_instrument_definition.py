"""What an instrument's definition must be to be carried."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition, InstrumentType, check_definition, parts_of
from tests.ingest_parts import NOW

DEFINITION = InstrumentDefinition(
    instrument="okx:BTC-USD-PERP",
    venue_symbol="BTC-USD-SWAP",
    instrument_type=InstrumentType.PERPETUAL,
    base_currency="BTC",
    quote_currency="USD",
    settle_currency="BTC",
    tick_size=ONE // 10,
    lot_size=ONE,
    min_size=ONE,
    min_notional=None,
    multiplier=100 * ONE,
    multiplier_currency="USD",
    expires_at=None,
    calendar=None,
    status="live",
    is_trading=True,
    received_at=NOW,
)
OPTIONAL = (
    *("settle_currency", "tick_size", "lot_size", "min_size", "min_notional", "multiplier", "multiplier_currency"),
    *("expires_at", "calendar", "status", "is_trading", "published_at"),
)


@given(st.sets(st.sampled_from(OPTIONAL)))
def test_what_the_list_does_not_say_may_be_absent(absent: set[str]) -> None:
    nothing: dict[str, Any] = dict.fromkeys(absent)
    definition = DEFINITION._replace(**nothing)
    assert check_definition(definition) is definition


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"instrument": "BTCUSDT"}, "bad_instrument", "instrument"),
        ({"venue_symbol": ""}, "bad_id", "venue_symbol"),
        ({"base_currency": ""}, "bad_id", "base_currency"),
        ({"quote_currency": "Q" * 201}, "bad_id", "quote_currency"),
        ({"settle_currency": ""}, "bad_id", "settle_currency"),
        ({"calendar": ""}, "bad_id", "calendar"),
        ({"status": "s" * 201}, "bad_id", "status"),
        ({"tick_size": 0}, "not_positive", "tick_size"),
        ({"lot_size": -1}, "not_positive", "lot_size"),
        ({"multiplier": 10**38}, "too_large", "multiplier"),
        ({"min_size": -1}, "negative", "min_size"),
        ({"min_notional": 10**50}, "too_large", "min_notional"),
        ({"expires_at": NOW // 1000}, "bad_time", "expires_at"),
        ({"received_at": 0}, "bad_time", "received_at"),
        ({"published_at": 0}, "bad_time", "published_at"),
    ],
)
def test_value_that_its_field_cannot_have_is_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_definition(DEFINITION._replace(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("instrument", "parts"),
    [
        ("binance:BTC-USDT", (InstrumentType.SPOT, "BTC", "USDT")),
        ("binance:BTC-USDT-PERP", (InstrumentType.PERPETUAL, "BTC", "USDT")),
        ("okx:BTC-USD-260925", (InstrumentType.FUTURE, "BTC", "USD")),
        ("kraken_futures:BTC-USD-FLEX-PERP", (InstrumentType.PERPETUAL, "BTC", "USD")),
        ("kraken_futures:BTC-USD-FLEX-260925", (InstrumentType.FUTURE, "BTC", "USD")),
    ],
)
def test_type_and_currencies_are_in_the_id_of_a_pair(instrument: str, parts: tuple[InstrumentType, str, str]) -> None:
    assert parts_of(instrument) == parts


@pytest.mark.parametrize("instrument", ["sse:600519", "okx:BTC-USD-260925-60000-C", "okx:-USD"])
def test_id_that_is_no_pair_names_no_currencies(instrument: str) -> None:
    with pytest.raises(DataValidationError, match="names no pair"):
        parts_of(instrument)
