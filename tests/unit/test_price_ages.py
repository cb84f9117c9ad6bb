"""When limits on the age of prices are looked at: at the age, once, whatever was told meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from market.limits import Figures, Limit, LimitKind, Watch, too_old_at, watch_limits
from processors.valuing.ages import PriceAges
from tests.valuing import AMOUNT

MICROSECOND = AMOUNT // 10**6


def aged(threshold: int) -> Limit:
    """A limit of so many microseconds."""
    return Limit(LimitKind.PRICE_AGE, threshold * MICROSECOND, 0)


def tell(ages: PriceAges, portfolio_id: str, at: int, oldest: int | None, threshold: int | None) -> None:
    limits = () if threshold is None else (aged(threshold),)
    ages.told(portfolio_id, too_old_at(limits, oldest), at)


tellings = st.tuples(st.sampled_from(["a", "b", "c"]), st.none() | st.integers(0, 30), st.none() | st.integers(0, 30))


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | tellings), max_size=40))
def test_each_is_due_once_when_what_was_told_last_becomes_too_old(
    found: list[tuple[int, tuple[str, int | None, int | None] | None]],
) -> None:
    ages, now, waiting = PriceAges(), 0, dict[str, int]()
    for pause, telling in found:
        now += pause
        if telling is not None:
            name, age, threshold = telling
            oldest = None if age is None else now - age
            tell(ages, name, now, oldest, threshold)
            waiting.pop(name, None)
            if oldest is not None and threshold is not None and now - oldest <= threshold:
                waiting[name] = oldest + threshold + 1
        else:
            assert sorted(ages.take_due(now)) == sorted(name for name, due in waiting.items() if due <= now)
            waiting = {name: due for name, due in waiting.items() if due > now}
    assert sorted(ages.take_due(now + 99)) == sorted(waiting)
    assert ages.take_due(now + 999) == []


@given(st.integers(0, 10**9), st.integers(0, 3 * AMOUNT))
def test_limit_is_breached_from_that_time_on_and_not_before(oldest: int, threshold: int) -> None:
    limit = Limit(LimitKind.PRICE_AGE, threshold, 0)
    due = too_old_at((limit,), oldest)
    assert due is not None
    for at, count in ((due - 1, 0), (due, 1)):
        figures = Figures(None, None, True, None, oldest, at, None)
        assert len(watch_limits(Watch(), (limit,), figures)[1]) == count


def test_portfolio_that_is_let_go_of_is_not_due() -> None:
    ages = PriceAges()
    tell(ages, "a", 0, 0, 5)
    ages.forget("a")
    assert ages.take_due(100) == []
    tell(ages, "a", 101, 100, 5)
    assert (ages.take_due(105), ages.take_due(106)) == ([], ["a"])


def test_lower_limit_counts_at_once() -> None:
    ages = PriceAges()
    tell(ages, "a", 0, 0, 1_000)
    tell(ages, "a", 1, 0, 5)
    assert (ages.take_due(5), ages.take_due(6), ages.take_due(2_000)) == ([], ["a"], [])
