"""What a replay may be asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.refusals import ErrorCode, Refusal
from gateway.replay.wish import Wish, read_speed, read_time, read_wish, write_time

NOON = 1_772_366_400_000_000
NOW = NOON + 3_600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T14:00:00 02:00",
        "2026-03-01T07:00:00.000000-05:00",
        "20260301T120000Z",
        "1772366400000000",
    ],
)
def test_one_time_is_written_in_several_ways(text: str) -> None:
    assert read_time(text) == NOON


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1772366400", "microseconds"),
        ("1772366400000", "microseconds"),
        ("1772366400000000000", "microseconds"),
        ("9" * 100, "microseconds"),
        ("2026-03-01T12:00:00", "time zone"),
        ("2026-03-01", "time zone"),
        ("yesterday", "is no time"),
        ("", "is no time"),
        ("-1772366400000000", "is no time"),
        ("1960-01-01T00:00:00Z", "before 1970"),
        ("0001-01-01T00:00:00+23:59", "before 1970"),
        ("١٧٧٢٣٦٦٤٠٠٠٠٠٠٠٠", "is no time"),
    ],
)
def test_what_is_no_time_is_refused_with_what_would_be_one(text: str, said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        read_time(text)
    assert caught.value.code is ErrorCode.INVALID_PARAMETER


@given(st.integers(10**15, 10**16 - 1))
def test_written_time_is_read_as_it_was(time: int) -> None:
    assert read_time(write_time(time)) == read_time(str(time)) == time


@given(st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_time, read_speed):
        try:
            read(text)
        except Refusal as refusal:
            assert refusal.code is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("text", "speed"), [("1", 1.0), ("0.5", 0.5), ("1000", 1000.0), ("0", None), ("0.0", None), ("max", None)]
)
def test_speed_is_a_factor_or_as_fast_as_the_client_reads(text: str, speed: float | None) -> None:
    assert read_speed(text) == speed


@pytest.mark.parametrize("text", ["", "-1", "1001", "0.001", "fast", "1e3", "inf", "nan", "1_0"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="no factor"):
        read_speed(text)


def test_speed_is_that_of_time_where_none_is_named() -> None:
    assert read_wish([str(NOON)], [], NOW) == Wish(NOON, 1.0)
    assert read_wish([str(NOON)], ["max"], NOW) == Wish(NOON, None)
    assert read_wish([], [], NOW) is None


@pytest.mark.parametrize(
    ("replay", "speed", "said"),
    [
        ([str(NOON)] * 2, [], "more than once"),
        ([str(NOON)], ["1", "2"], "more than once"),
        ([], ["1"], "from when on"),
        ([str(NOW + 1)], [], "is in the future"),
    ],
)
def test_wish_that_cannot_be_meant_is_refused(replay: list[str], speed: list[str], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        read_wish(replay, speed, NOW)
