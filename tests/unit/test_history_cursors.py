import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.cursors import KeyValue, cursor_of, key_of
from market.errors import DataValidationError

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
KEYS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | TEXTS, max_size=6)
ASKED: list[KeyValue] = ["trades", "binance:BTC-USDT", 5]


@given(KEYS, KEYS)
def test_key_comes_back_as_it_was(asked: list[KeyValue], key: list[KeyValue]) -> None:
    assert key_of(cursor_of(asked, key), asked, [type(value) for value in key]) == key


@given(KEYS, KEYS, KEYS)
def test_cursor_of_another_question_is_refused(asked: list[KeyValue], other: list[KeyValue], key: list[KeyValue]) -> None:
    if asked == other:
        return
    with pytest.raises(DataValidationError, match="cursor: belongs to another question"):
        key_of(cursor_of(other, key), asked, [type(value) for value in key])


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_whatever_else_is_handed_in_is_refused_by_name(text: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        key_of(text, ASKED, [int])
    assert caught.value.field == "cursor"


@pytest.mark.parametrize(
    "key",
    [[], [1, 2], ["1"], [True], [None], [1.0], [1 << 63], [-(1 << 63) - 1], "1", {"0": 1}, [[1]]],
)
def test_key_of_other_values_is_refused(key: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps([ASKED, key]).encode()).decode().rstrip("=")
    with pytest.raises(DataValidationError, match="cursor: is none of ours"):
        key_of(text, ASKED, [int])


@pytest.mark.parametrize("text", ["a\0", "a\ud800", "\udfff"])
def test_text_that_no_database_holds_is_refused(text: str) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([ASKED, [text]]).encode()).decode()
    with pytest.raises(DataValidationError, match="cursor: is none of ours"):
        key_of(cursor, ASKED, [str])


def test_endless_cursor_is_refused_unread() -> None:
    with pytest.raises(DataValidationError, match="cursor: is too long"):
        key_of("A" * 10_000, ASKED, [int])
