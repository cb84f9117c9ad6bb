import pytest

from market.errors import DataValidationError
from market.trade import MAX_CLOCK_SKEW, Trade, check_time, check_trade
from tests.builders import START, make_trade

GOOD = make_trade(1)


def test_good_trade_passes_unchanged() -> None:
    assert check_trade(GOOD) is GOOD


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (GOOD._replace(price=0), "price", "not_positive"),
        (GOOD._replace(size=-1), "size", "not_positive"),
        (GOOD._replace(price=10**38), "price", "too_large"),
        (GOOD._replace(price=10**30, size=10**30), "amount", "too_large"),
        (GOOD._replace(trade_count=0), "trade_count", "not_positive"),
        (GOOD._replace(instrument="BTC/USDT"), "instrument", "bad_instrument"),
        (GOOD._replace(received_at=START // 1000), "received_at", "bad_time"),
        (GOOD._replace(exchange_time=START * 1000), "exchange_time", "bad_time"),
        (GOOD._replace(exchange_time=START + MAX_CLOCK_SKEW + 1), "exchange_time", "future_time"),
    ],
)
def test_bad_trade_is_refused_by_field_and_reason(bad: Trade, field: str, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_trade(bad)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_exchange_clock_may_run_ahead_a_little() -> None:
    assert check_trade(GOOD._replace(exchange_time=START + MAX_CLOCK_SKEW))


def test_receive_time_is_bounded_where_the_time_of_arrival_is_known() -> None:
    assert check_trade(GOOD, not_after=START) is GOOD
    with pytest.raises(DataValidationError) as caught:
        check_trade(GOOD._replace(received_at=START + 1), not_after=START)
    assert (caught.value.field, caught.value.reason) == ("received_at", "future_time")


def test_without_exchange_time_the_receive_time_is_the_event_time() -> None:
    assert GOOD._replace(exchange_time=None, received_at=START + 5).event_time == START + 5


def test_year_9999_is_no_time() -> None:
    with pytest.raises(DataValidationError):
        check_time(253_402_300_799_000_000, field="time")
