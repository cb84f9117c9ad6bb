from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import AMOUNT_SCALE, ONE, divide_half_even, fits, format_decimal, parse_decimal, parse_positive, vwap
from market.errors import DataValidationError


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_text_of_a_decimal_reads_back_as_the_same_number(unscaled: int) -> None:
    assert parse_decimal(format_decimal(unscaled), field="price") == unscaled


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20))
def test_venue_text_reads_as_the_exact_decimal(value: Decimal) -> None:
    with localcontext(prec=60):
        assert parse_decimal(f"{value:f}", field="price") == value * ONE


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_an_error_that_names_the_field(text: str) -> None:
    try:
        assert isinstance(parse_decimal(text, field="price"), int)
    except DataValidationError as error:
        assert error.field == "price"
        assert "price" in str(error)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not_a_decimal"),
        ("inf", "not_a_decimal"),
        ("", "not_a_decimal"),
        ("1,5", "not_a_decimal"),
        ("٣", "not_a_decimal"),
        ("1" * 200, "not_a_decimal"),
        ("0.0000000000001", "too_precise"),
        ("1e308", "too_large"),
        ("100000000000000000000000000", "too_large"),
    ],
)
def test_what_is_no_exact_price_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        parse_decimal(text, field="price")
    assert caught.value.reason == reason


def test_trailing_zeros_beyond_the_scale_are_no_lost_digits() -> None:
    assert parse_decimal("1.5000000000000000", field="price") == 1_500_000_000_000


def test_exponent_notation_is_exact() -> None:
    assert parse_decimal("1e-7", field="size") == 100_000
    assert parse_decimal("2.5E3", field="size") == 2500 * ONE


@pytest.mark.parametrize("text", ["0", "-1", "0.000"])
def test_price_that_is_not_above_zero_is_refused(text: str) -> None:
    with pytest.raises(DataValidationError, match="not above zero"):
        parse_positive(text, field="price")


@given(st.integers(-(10**30), 10**30), st.integers(-(10**20), 10**20).filter(bool))
def test_division_rounds_half_to_even_like_decimal(numerator: int, denominator: int) -> None:
    with localcontext(prec=80):
        expected = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert divide_half_even(numerator, denominator) == expected


def test_vwap_of_one_trade_is_its_price() -> None:
    assert vwap(61_685_990_000_000_000 * 3 * ONE, 3 * ONE) == 61_685_990_000_000_000


def test_amounts_print_at_their_own_scale() -> None:
    assert format_decimal(5 * 10**23, AMOUNT_SCALE) == "0.5"


def test_limits_are_those_of_the_wire() -> None:
    assert fits(10**38 - 1)
    assert not fits(10**38)
