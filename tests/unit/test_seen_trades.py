from hypothesis import given
from hypothesis import strategies as st

from market.seen_trades import MAX_HASHES, MAX_HOLES, SeenTrades, Verdict

NEW, DUPLICATE, TOO_OLD = Verdict


@given(st.lists(st.integers(0, 60), max_size=200))
def test_an_id_is_new_exactly_once_whatever_the_order(ids: list[int]) -> None:
    seen, model = SeenTrades(), set[int]()
    for number in ids:
        assert seen.add(str(number)) is (DUPLICATE if number in model else NEW)
        model.add(number)


@given(st.lists(st.integers(0, 10_000), max_size=400))
def test_memory_is_bounded_and_nothing_is_ever_counted_twice(ids: list[int]) -> None:
    seen, counted = SeenTrades(), set[int]()
    for number in ids:
        if seen.add(str(number)) is NEW:
            assert number not in counted
            counted.add(number)
        assert len(seen.holes) <= MAX_HOLES


def test_consecutive_ids_cost_no_memory() -> None:
    seen = SeenTrades()
    for number in range(1_000_000, 1_000_500):
        seen.add(str(number))
    assert seen.holes == [(0, 999_999)]


def test_id_below_a_forgotten_hole_is_too_old_rather_than_counted_again() -> None:
    seen = SeenTrades()
    for number in range(0, 4 * MAX_HOLES, 2):
        seen.add(str(number))
    assert seen.add("0") is TOO_OLD
    assert seen.add(str(4 * MAX_HOLES - 3)) is NEW


def test_opaque_ids_are_remembered_up_to_the_bound() -> None:
    seen = SeenTrades()
    ids = [f"trade-{number}" for number in range(MAX_HASHES)]
    assert [seen.add(name) for name in ids] == [NEW] * MAX_HASHES
    assert [seen.add(name) for name in ids] == [DUPLICATE] * MAX_HASHES
    assert len(seen.hashes) == MAX_HASHES
