"""Delays between attempts."""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.retry import Backoff, delays

seconds = st.floats(0.001, 1e6)
policies = st.builds(
    lambda a, b, factor, jitter: Backoff(min(a, b), max(a, b), factor, jitter),
    seconds,
    seconds,
    st.floats(1, 1e6),
    st.floats(0, 1),
)
chances = st.floats(0, 1, exclude_max=True)


@given(policies, st.integers(0, 10**9), chances)
def test_a_delay_stays_between_its_bounds(policy: Backoff, attempt: int, chance: float) -> None:
    delay = policy.delay(attempt, lambda: chance)
    assert 0 <= delay <= policy.maximum_seconds
    assert delay >= policy.initial_seconds * (1 - policy.jitter) * (1 - 1e-9)


@given(policies)
def test_delays_grow_from_the_first_to_the_longest(policy: Backoff) -> None:
    full = list(islice(delays(policy, lambda: 0.0), 50))
    assert full[0] == policy.initial_seconds
    assert all(earlier <= later for earlier, later in pairwise(full))
    if policy.factor > 1.01:
        assert policy.delay(10**9, lambda: 0.0) == policy.maximum_seconds


@given(policies, st.integers(0, 100), chances, chances)
def test_chance_only_shortens_a_delay(policy: Backoff, attempt: int, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert policy.delay(attempt, lambda: more) <= policy.delay(attempt, lambda: less)


def test_the_usual_delays_double_up_to_half_a_minute() -> None:
    assert list(islice(delays(Backoff(), lambda: 0.0), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert list(islice(delays(Backoff(), lambda: 0.5), 2)) == [0.375, 0.75]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0.0, 1.0), "positive"), ((2.0, 1.0), "not above"), ((1.0, 2.0, 0.5), "factor"), ((1.0, 2.0, 2.0, 1.5), "jitter")],
)
def test_contradicting_figures_are_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backoff(*arguments)
