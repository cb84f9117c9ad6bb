import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DataValidationError
from market.interval import parse_interval


@pytest.mark.parametrize(("name", "minutes"), [("1m", 1), ("5m", 5), ("15m", 15), ("1h", 60), ("4h", 240), ("1d", 1440)])
def test_interval_has_its_length(name: str, minutes: int) -> None:
    assert parse_interval(name).micros == minutes * 60_000_000


@pytest.mark.parametrize("name", ["", "m", "0m", "7m", "25h", "2d", "1w", "1M", "-1m", "1 m", "99999m"])
def test_interval_that_does_not_divide_the_day_is_refused(name: str) -> None:
    with pytest.raises(DataValidationError, match="not a candle interval"):
        parse_interval(name)


@given(st.sampled_from(["1m", "5m", "1h", "4h", "1d"]), st.integers(0, 4 * 10**15))
def test_every_instant_lies_in_the_interval_that_opens_before_it(name: str, time: int) -> None:
    interval = parse_interval(name)
    open_time = interval.open_time(time)
    assert open_time <= time < interval.close_time(open_time)
    assert open_time % interval.micros == 0
