"""The hand-written encoder of messages about books against the schema's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book_top import BookTop
from market.decimals import PRECISION
from market.depth import BookState, Depth, DepthKind, Level
from market.errors import DataValidationError
from schemas.codec import encode_body
from schemas.depth_encoding import encode_book_top, encode_depth
from tests.builders import INSTRUMENT, START

LARGEST = 10**PRECISION - 1
NUMBERS = st.integers(-LARGEST, LARGEST) | st.integers(-(2**20), 2**20)
LEVELS = st.lists(st.builds(Level, NUMBERS, NUMBERS, st.none() | st.just("1:2")), max_size=70).map(tuple)
LONGS = st.integers(-(2**63), 2**63 - 1)
DEPTHS = st.builds(
    Depth,
    st.text(max_size=100),
    st.sampled_from(DepthKind),
    LEVELS,
    LEVELS,
    *[st.none() | LONGS] * 5,
    LONGS,
    st.sampled_from(BookState),
    st.none() | LONGS,
)


@given(DEPTHS)
def test_bytes_are_those_of_the_schema(depth: Depth) -> None:
    assert encode_depth(depth) == encode_body(depth)


TOPS = st.builds(
    BookTop,
    st.text(max_size=100),
    st.sampled_from(BookState),
    LEVELS,
    LEVELS,
    *[st.none() | NUMBERS] * 3,
    st.booleans(),
    *[st.none() | LONGS] * 2,
    LONGS,
    st.text(max_size=20),
    st.integers(-(2**31), 2**31 - 1),
    LONGS,
)


@given(TOPS)
def test_bytes_of_a_top_are_those_of_the_schema(top: BookTop) -> None:
    assert encode_book_top(top) == encode_body(top)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bids": [Level(10**PRECISION, 1)]}, "too_large"),
        ({"spread": 10**PRECISION}, "too_large"),
        ({"sequence": 2**63}, "unencodable"),
    ],
)
def test_top_that_does_not_fit_is_refused_as_by_the_schema(changed: dict[str, Any], reason: str) -> None:
    top = BookTop(INSTRUMENT, BookState.LIVE, (), (), None, None, None, False, 1, None, START, "md.depth", 0, 0)
    for encode in (encode_book_top, encode_body):
        with pytest.raises(DataValidationError) as caught:
            encode(top._replace(**changed))
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bids": [Level(10**PRECISION, 1)]}, "too_large"),
        ({"asks": [Level(1, -(10**PRECISION))]}, "too_large"),
        ({"last_sequence": 2**63}, "unencodable"),
        ({"received_at": -(2**63) - 1}, "unencodable"),
    ],
)
def test_value_that_does_not_fit_its_field_is_refused_as_by_the_schema(changed: dict[str, Any], reason: str) -> None:
    depth = Depth(INSTRUMENT, DepthKind.DELTA, (), (), 1, 2, None, None, None, START)._replace(**changed)
    for encode in (encode_depth, encode_body):
        with pytest.raises(DataValidationError) as caught:
            encode(depth)
        assert caught.value.reason == reason
