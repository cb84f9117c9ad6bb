"""What was made of keys is remembered of the last ones, and made again of others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.remembered import Remembered


@given(st.lists(st.integers(0, 12)), st.integers(1, 6))
def test_a_key_gives_what_is_made_of_it_and_the_last_ones_are_not_made_again(keys: list[int], most: int) -> None:
    made: list[int] = []

    def negative(key: int) -> int:
        made.append(key)
        return -key

    remembered = Remembered(negative, most)
    for place, key in enumerate(keys):
        made.clear()
        assert remembered[key] == -key
        assert len(remembered) <= most
        if key in {*last_distinct(keys[:place], most)}:
            assert not made


def last_distinct(keys: list[int], most: int) -> list[int]:
    return list(dict.fromkeys(reversed(keys)))[:most]


def test_of_keys_of_which_nothing_can_be_made_nothing_is_kept() -> None:
    remembered = Remembered(int, 3)
    with pytest.raises(ValueError, match="invalid literal"):
        remembered["x"]
    assert (remembered["7"], [*remembered]) == (7, ["7"])
