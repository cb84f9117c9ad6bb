"""Limits with hysteresis, held against a model that looks at all figures anew each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DataValidationError
from market.limits import Crossing, Figures, Limit, LimitKind, Watch, check_limits, watch_limits
from tests.valuing import AMOUNT

GROSS, AGE = LimitKind.GROSS_EXPOSURE, LimitKind.PRICE_AGE
LIMITS = tuple(Limit(kind, 6 * AMOUNT, 3 * AMOUNT) for kind in LimitKind)
SECOND = 1_000_000

numbers = st.integers(-9, 9).map(lambda number: number * AMOUNT)
figures = st.builds(
    Figures,
    gross=st.none() | st.integers(0, 9).map(lambda number: number * AMOUNT),
    net=st.none() | numbers,
    is_whole=st.booleans(),
    profit=st.none() | numbers,
    oldest_price_at=st.none() | st.integers(0, 9).map(lambda second: second * SECOND),
    valued_at=st.just(9 * SECOND),
    day=st.none() | st.integers(1, 2),
)


def told(found: list[Figures], limits: tuple[Limit, ...] = LIMITS) -> list[list[Crossing]]:
    watch, crossings = Watch(), []
    for one in found:
        watch, crossed = watch_limits(watch, limits, one)
        crossings.append(crossed)
    return crossings


def values(found: list[Figures]) -> dict[LimitKind, int | None]:
    """Figures of the last by definition, from all that were before."""
    last = found[-1]
    today: list[Figures] = []
    for one in found:
        today = [*today, one] if today and today[-1].day == one.day else [one]
    peaks = [one.profit for one in found if one.profit is not None], [one.profit for one in today if one.profit is not None]
    below = [None if last.profit is None else max(peak) - last.profit for peak in peaks]
    return {
        GROSS: last.gross,
        LimitKind.NET_EXPOSURE: abs(last.net) if last.net is not None and last.is_whole else None,
        LimitKind.DRAWDOWN: below[0],
        LimitKind.DAY_DRAWDOWN: below[1],
        AGE: None if last.oldest_price_at is None else (last.valued_at - last.oldest_price_at) * AMOUNT // SECOND,
    }


@given(st.lists(figures, max_size=20))
def test_each_limit_is_told_when_it_is_breached_and_when_it_is_kept_again(found: list[Figures]) -> None:
    breached: set[LimitKind] = set()
    for number, crossings in enumerate(told(found)):
        now = values(found[: number + 1])
        expected = []
        for limit in LIMITS:
            value = now[limit.kind]
            if value is None:
                continue
            is_cleared = value <= limit.clears_at and (found[number].is_whole or limit.kind is not GROSS)
            if limit.kind not in breached and value > limit.threshold:
                breached.add(limit.kind)
                expected.append(Crossing(limit, is_breached=True, value=value))
            elif limit.kind in breached and is_cleared:
                breached.remove(limit.kind)
                expected.append(Crossing(limit, is_breached=False, value=value))
        assert crossings == expected


def exposed(gross: int | None, *, is_whole: bool = True) -> Figures:
    return Figures(None if gross is None else gross * AMOUNT, None, is_whole, None, None, 0, None)


def test_figure_that_wavers_about_its_threshold_gives_one_alert() -> None:
    crossings = told([exposed(one) for one in (5, 7, 6, 7, 4, 7, 3, 7)])
    assert [[one.is_breached for one in crossed] for crossed in crossings] == [[], [True], [], [], [], [], [False], [True]]


def test_what_is_not_known_neither_breaches_nor_clears() -> None:
    crossings = told([exposed(7, is_whole=False), exposed(None), exposed(1, is_whole=False), exposed(1)])
    assert [[one.is_breached for one in crossed] for crossed in crossings] == [[True], [], [], [False]]


def test_limit_taken_away_while_it_is_breached_is_told_without_a_value() -> None:
    watch, _ = watch_limits(Watch(), LIMITS, exposed(7))
    watch, crossings = watch_limits(watch, (), exposed(7))
    assert crossings == [Crossing(LIMITS[0], is_breached=False, value=None)]
    assert watch.breached == {}


@pytest.mark.parametrize(
    "limits",
    [
        (Limit(GROSS, 1, 0), Limit(GROSS, 2, 0)),
        (Limit(GROSS, 1, 2),),
        (Limit(GROSS, -1, -2),),
        (Limit(GROSS, 10**50, 0),),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: tuple[Limit, ...]) -> None:
    with pytest.raises(DataValidationError, match=r"policy\.limits"):
        check_limits(limits, field="policy.limits")
