"""What a quote, a kline, funding or open interest of a venue must be to be carried."""

from typing import Any

import pytest

from market.decimals import ONE
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.stated import check_funding, check_kline, check_open_interest, check_quote
from tests.ingest_parts import NOW

QUOTE = Quote(**{**dict.fromkeys(Quote._fields), "instrument": "binance:BTC-USDT", "channel": "ticker", "received_at": NOW})  # type: ignore[arg-type]  # the rest may be None
KLINE = Kline(
    instrument="binance:BTC-USDT",
    interval="1m",
    open_time=NOW,
    open=10 * ONE,
    high=12 * ONE,
    low=9 * ONE,
    close=11 * ONE,
    volume=0,
    amount=None,
    trade_count=0,
    taker_buy_volume=None,
    first_trade_id=None,
    last_trade_id=None,
    is_closed=False,
    exchange_time=None,
    received_at=NOW,
)

PERPETUAL = "bybit:BTC-USDT-PERP"
FUNDING = Funding(PERPETUAL, "tickers", -(10**8), NOW + 3_600_000_000, 28_800, 9 * ONE, 8 * ONE, NOW, NOW)
OPEN_INTEREST = OpenInterest(PERPETUAL, "tickers", 7 * ONE, 63 * 10**24, NOW, NOW)


def test_quote_that_says_nothing_is_carried() -> None:
    assert check_quote(QUOTE) is QUOTE


def test_crossed_quote_is_carried() -> None:
    crossed = QUOTE._replace(bid=2 * ONE, ask=ONE)
    assert check_quote(crossed) is crossed


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"channel": ""}, "bad_id", "channel"),
        ({"sequence": 2**63}, "too_large", "sequence"),
        ({"bid": 0}, "not_positive", "bid"),
        ({"ask_size": -1}, "not_positive", "ask_size"),
        ({"last": 10**38}, "too_large", "last"),
        ({"volume_24h": -1}, "negative", "volume_24h"),
        ({"amount_24h": 10**50}, "too_large", "amount_24h"),
        ({"change_24h": -(10**38)}, "too_large", "change_24h"),
        ({"exchange_time": NOW + 5_000_001}, "future_time", "exchange_time"),
        ({"received_at": NOW // 1000}, "bad_time", "received_at"),
        ({"published_at": NOW * 1000}, "bad_time", "published_at"),
        ({"instrument": "BTCUSDT"}, "bad_instrument", "instrument"),
    ],
)
def test_value_that_its_field_cannot_have_is_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_quote(QUOTE._replace(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_kline_of_an_empty_minute_is_carried() -> None:
    assert check_kline(KLINE) is KLINE


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"interval": "1m" * 5_000}, "bad_id", "interval"),
        ({"open": 0}, "not_positive", "open"),
        ({"low": 13 * ONE}, "inconsistent", "low"),
        ({"volume": -1}, "negative", "volume"),
        ({"amount": 10**50}, "too_large", "amount"),
        ({"trade_count": -1}, "negative", "trade_count"),
        ({"trade_count": 2**31}, "too_large", "trade_count"),
        ({"first_trade_id": ""}, "bad_id", "first_trade_id"),
        ({"last_trade_id": "9" * 201}, "bad_id", "last_trade_id"),
        ({"open_time": NOW // 1_000_000}, "bad_time", "open_time"),
        ({"open_time": NOW + 5_000_001}, "future_time", "open_time"),
        ({"exchange_time": NOW + 5_000_001}, "future_time", "exchange_time"),
    ],
)
def test_kline_that_no_candle_can_be_is_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_kline(KLINE._replace(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("rate", [0, 10**8, -(10**8), 10**38 - 1])
def test_funding_of_any_sign_is_carried(rate: int) -> None:
    funding = FUNDING._replace(rate=rate)
    assert check_funding(funding) is funding


def test_funding_of_a_rate_alone_is_carried() -> None:
    bare = FUNDING._replace(
        next_funding_time=None, interval_seconds=None, mark_price=None, index_price=None, exchange_time=None
    )
    assert check_funding(bare) is bare


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"instrument": "BTCUSDT"}, "bad_instrument", "instrument"),
        ({"channel": ""}, "bad_id", "channel"),
        ({"rate": 10**38}, "too_large", "rate"),
        ({"next_funding_time": NOW // 1000}, "bad_time", "next_funding_time"),
        ({"interval_seconds": 0}, "not_positive", "interval_seconds"),
        ({"interval_seconds": 2**31}, "too_large", "interval_seconds"),
        ({"mark_price": 0}, "not_positive", "mark_price"),
        ({"index_price": -1}, "not_positive", "index_price"),
        ({"exchange_time": NOW + 5_000_001}, "future_time", "exchange_time"),
        ({"received_at": 0}, "bad_time", "received_at"),
        ({"published_at": 0}, "bad_time", "published_at"),
    ],
)
def test_funding_that_its_fields_cannot_have_is_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_funding(FUNDING._replace(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("fields", [{}, {"open_interest": 0, "notional": 0}, {"notional": None, "exchange_time": None}])
def test_open_interest_may_be_nothing_and_of_unknown_worth(fields: dict[str, Any]) -> None:
    told = OPEN_INTEREST._replace(**fields)
    assert check_open_interest(told) is told


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"instrument": "BTCUSDT"}, "bad_instrument", "instrument"),
        ({"channel": "c" * 201}, "bad_id", "channel"),
        ({"open_interest": -1}, "negative", "open_interest"),
        ({"open_interest": 10**38}, "too_large", "open_interest"),
        ({"notional": -1}, "negative", "notional"),
        ({"notional": 10**50}, "too_large", "notional"),
        ({"exchange_time": NOW + 5_000_001}, "future_time", "exchange_time"),
        ({"received_at": 0}, "bad_time", "received_at"),
    ],
)
def test_open_interest_that_its_fields_cannot_have_is_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_open_interest(OPEN_INTEREST._replace(**fields))
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_nothing_is_received_later_than_the_broker_had_it() -> None:
    check_funding(FUNDING, not_after=NOW)
    check_open_interest(OPEN_INTEREST, not_after=NOW)
    with pytest.raises(DataValidationError, match="received_at"):
        check_funding(FUNDING, not_after=NOW - 1)
    with pytest.raises(DataValidationError, match="received_at"):
        check_open_interest(OPEN_INTEREST, not_after=NOW - 1)


def test_allowed_clock_skew_can_be_changed() -> None:
    ahead = QUOTE._replace(exchange_time=NOW + 6_000_000)
    assert check_quote(ahead, max_skew=6_000_000) is ahead
