"""A counter that counts sooner is a Counter in all else."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.counting import SwiftCounter

KEYS = st.lists(st.sampled_from("abc"))


@given(KEYS, KEYS)
def test_it_counts_as_a_counter_does(first: list[str], second: list[str]) -> None:
    swift, plain = SwiftCounter[str](), Counter[str]()
    for counter in (swift, plain):
        for key in first:
            counter[key] += 1
    assert swift == plain
    assert (swift["never"], "never" in swift, swift.total()) == (0, False, len(first))
    assert swift - Counter(second) == plain - Counter(second)
    swift.update(Counter(second))
    assert swift == Counter(first + second)


def test_what_it_does_not_hold_cannot_be_deleted() -> None:
    counter = SwiftCounter({"a": 2})
    del counter["a"]
    assert not counter
    with pytest.raises(KeyError):
        del counter["a"]
