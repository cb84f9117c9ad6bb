"""The rules on single values: what lies inside passes unchanged, what lies outside is refused by field and reason."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import AMOUNT_PRECISION
from market.errors import DataValidationError
from market.quality import (
    EARLIEST,
    INT,
    LATEST,
    LONGEST_ID,
    MAX_CLOCK_SKEW,
    check_count,
    check_figure,
    check_id,
    check_not_negative,
    check_positive,
    check_time,
    check_whole,
)
from tests.builders import START

HUGE = st.sampled_from([4_299, 4_300, 5_000, 100_000]).map(lambda digits: int(10**digits))
"""More digits than Python agrees to print."""
RULES: list[Callable[..., int]] = [check_time, check_figure, check_positive, check_not_negative, check_whole, check_count]


def above(limit: int) -> st.SearchStrategy[int]:
    return st.integers(limit) | HUGE


def below(limit: int) -> st.SearchStrategy[int]:
    """Integers under the limit."""
    return st.integers(max_value=limit - 1) | HUGE.map(lambda value: -value)


def refusal(rule: Callable[..., object], value: object, **options: int) -> str:
    """Reason of a refusal that names its field and can be read."""
    with pytest.raises(DataValidationError) as caught:
        rule(value, field="thing", **options)
    assert caught.value.field == "thing"
    assert str(caught.value).startswith("thing: ")
    assert len(str(caught.value)) < 300
    return caught.value.reason


# times


@given(st.integers(EARLIEST, LATEST - 1))
def test_times_of_this_century_pass(time: int) -> None:
    assert check_time(time, field="thing") is time


@given(below(EARLIEST) | above(LATEST))
def test_times_of_other_centuries_are_refused(time: int) -> None:
    assert refusal(check_time, time) == "bad_time"


@pytest.mark.parametrize(
    "time",
    [0, -1, START // 1_000_000, START // 1000, START * 1000, START * 1_000_000, 253_402_300_799_000_000, EARLIEST - 1, LATEST],
    ids=["zero", "before 1970", "seconds", "milliseconds", "nanoseconds", "picoseconds", "year 9999", "1999", "2100"],
)
def test_time_of_another_unit_or_age_is_no_time(time: int) -> None:
    assert refusal(check_time, time) == "bad_time"


@given(st.integers(EARLIEST, LATEST - 1), st.integers(EARLIEST, LATEST - 1), st.integers(0, 10 * MAX_CLOCK_SKEW))
def test_clock_may_run_ahead_by_the_skew_and_no_further(time: int, now: int, skew: int) -> None:
    if time <= now + skew:
        assert check_time(time, field="thing", not_after=now + skew) is time
    else:
        assert refusal(check_time, time, not_after=now + skew) == "future_time"


def test_skew_is_kept_to_the_microsecond() -> None:
    limit = START + MAX_CLOCK_SKEW
    assert check_time(limit, field="thing", not_after=limit) == limit
    assert refusal(check_time, limit + 1, not_after=limit) == "future_time"


# prices, sizes, figures


@given(st.integers(1, 10**38 - 1))
def test_price_above_zero_that_the_wire_holds_passes(price: int) -> None:
    assert check_positive(price, field="thing") is price


@given(below(1))
def test_price_or_size_of_zero_or_less_is_refused(price: int) -> None:
    assert refusal(check_positive, price) == "not_positive"


@given(above(10**38))
def test_price_of_too_many_digits_is_refused(price: int) -> None:
    assert refusal(check_positive, price) == "too_large"


@given(st.integers(0, 10**38 - 1), st.integers(0, 10**50 - 1))
def test_volume_and_amount_may_be_zero(volume: int, amount: int) -> None:
    assert check_not_negative(volume, field="thing") is volume
    assert check_not_negative(amount, field="thing", precision=AMOUNT_PRECISION) is amount


@given(below(0), above(10**50))
def test_volume_below_zero_or_of_too_many_digits_is_refused(negative: int, large: int) -> None:
    assert refusal(check_not_negative, negative) == "negative"
    assert refusal(check_not_negative, large, precision=AMOUNT_PRECISION) == "too_large"


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_difference_may_have_any_sign(figure: int) -> None:
    assert check_figure(figure, field="thing") is figure


@given(above(10**38) | below(-(10**38) + 1))
def test_difference_of_too_many_digits_is_refused(figure: int) -> None:
    assert refusal(check_figure, figure) == "too_large"


# numbers and counts


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_number_that_the_wire_holds_passes(long: int, short: int) -> None:
    assert check_whole(long, field="thing") is long
    assert check_whole(short, field="thing", limit=INT) is short


@given(above(2**63) | below(-(2**63)), above(2**31) | below(-(2**31)))
def test_number_of_too_many_bits_is_refused(long: int, short: int) -> None:
    assert refusal(check_whole, long) == "too_large"
    assert refusal(check_whole, short, limit=INT) == "too_large"


@given(st.integers(1, 2**31 - 1), below(1), above(2**31))
def test_count_is_at_least_one(count: int, none: int, large: int) -> None:
    assert check_count(count, field="thing") is count
    assert refusal(check_count, none) == "not_positive"
    assert refusal(check_count, large) == "too_large"


@given(st.sampled_from(RULES), HUGE, st.booleans())
def test_number_too_long_to_print_is_refused_all_the_same(rule: Callable[..., int], value: int, negative: bool) -> None:
    assert refusal(rule, -value if negative else value)


# ids


@given(st.text(min_size=1, max_size=LONGEST_ID))
def test_id_of_bearable_length_passes(text: str) -> None:
    assert check_id(text, field="thing") is text


@pytest.mark.parametrize("text", ["", "9" * (LONGEST_ID + 1), "\N{SNOWMAN}" * 10_240])
def test_id_that_is_empty_or_endless_is_refused(text: str) -> None:
    assert refusal(check_id, text) == "bad_id"
