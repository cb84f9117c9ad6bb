"""What may be asked of a venue, by a clock turned by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.quota import Allowance, Allowances, Quota

QUOTA = Quota(100, 60.0)


def test_request_beyond_the_quota_waits_until_the_first_is_a_window_old() -> None:
    allowance = Allowance(QUOTA)
    assert allowance.take(60, 0.0) == 0
    assert allowance.take(40, 10.0) == 0
    assert allowance.take(1, 20.0) == 40.0
    assert allowance.take(1, 60.0) == 0


def test_venue_that_wants_to_be_left_alone_is_left_alone() -> None:
    allowance = Allowance(QUOTA)
    allowance.close(30.0)
    allowance.close(20.0)
    assert allowance.take(1, 10.0) == 20.0
    assert allowance.take(1, 30.0) == 0


def test_request_that_can_never_be_covered_is_an_error() -> None:
    with pytest.raises(ValueError, match="weight 101 is above the quota of 100"):
        Allowance(QUOTA).take(101, 0.0)


def test_one_address_has_one_allowance() -> None:
    allowances = Allowances()
    assert allowances.of("https://a", QUOTA) is allowances.of("https://a", QUOTA)
    assert allowances.of("https://a", QUOTA) is not allowances.of("https://b", QUOTA)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 100)), max_size=40))
def test_no_window_holds_more_than_the_quota_and_waiting_as_told_is_enough(requests: list[tuple[float, int]]) -> None:
    allowance, now = Allowance(QUOTA), 0.0
    made: list[tuple[float, int]] = []
    for pause, weight in requests:
        now += pause
        turns = 0
        while wait := allowance.take(weight, now):
            now += wait
            turns += 1
            assert turns <= len(made) + 5
        made.append((now, weight))
    for start, _ in made:
        assert sum(weight for at, weight in made if start <= at < start + QUOTA.seconds) <= QUOTA.weight + 1e-9
