"""The memory of gaps, and its bound."""

from hypothesis import given
from hypothesis import strategies as st

from market.gaps import MAX_GAPS, Gap, KnownGaps


def test_gap_told_again_is_known_healed_or_not() -> None:
    gaps = KnownGaps()
    assert gaps.tell(1, 5)
    assert not gaps.tell(1, 5)
    assert gaps.heal(1, 5)
    assert not gaps.heal(1, 5)
    assert not gaps.tell(1, 5)
    assert not gaps.touches(0, 10)


def test_gap_touches_what_it_overlaps_and_not_its_neighbours() -> None:
    gaps = KnownGaps([Gap(10, 20)])
    assert [gaps.touches(*span) for span in ((0, 10), (0, 11), (19, 30), (20, 30))] == [False, True, True, False]


def test_gaps_that_end_before_are_forgotten() -> None:
    gaps = KnownGaps([Gap(1, 5), Gap(2, 6)])
    gaps.forget(5)
    assert gaps.known == [Gap(2, 6)]


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 9), st.booleans()), max_size=3 * MAX_GAPS))
def test_bounded_memory_never_takes_a_gap_for_none(found: list[tuple[int, int, bool]]) -> None:
    gaps, unhealed = KnownGaps(), set[tuple[int, int]]()
    for begin, length, healed in found:
        gap = begin, begin + length
        if gaps.tell(*gap):
            unhealed.add(gap)
        if healed:
            gaps.heal(*gap)
            unhealed = {other for other in unhealed if not (gap[0] <= other[0] and other[1] <= gap[1])}
        assert len(gaps.known) <= MAX_GAPS
        assert all(gaps.touches(*other) for other in unhealed)
