"""What positions were before: the profit of any time since is that of all fills and corrections, added up as fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from market.beginnings import KEPT, MOST, Beginning, Kept, find, remember
from market.decimals import ONE
from market.interval import HOUR, QUARTER_HOUR
from market.position import Accounting, Position, hold, split, trade
from market.price_choice import Reference
from market.valuation import EXACT_SCALE, began_with
from tests.valuing import AMOUNT, make_position

BEGIN = 1_000 * HOUR

changes = st.one_of(
    st.tuples(st.just("fill"), st.integers(-9, 9).filter(bool), st.integers(1, 900)),
    st.tuples(st.just("hold"), st.integers(-9, 9), st.integers(0, 900)),
    st.tuples(st.just("split"), st.sampled_from((2, 3)), st.just(1)),
)
steps = st.lists(st.tuples(st.integers(0, HOUR), changes), max_size=12)


def new() -> Position:
    return make_position(quantity=0, opened_at=0)._replace(known_since=0)


@given(steps, st.sampled_from(Accounting), st.integers(0, 20), st.integers(1, 900), st.integers(1, 900))
def test_profit_since_any_quarter_hour_is_that_of_all_changes_since(
    found: list[tuple[int, tuple[str, int, int]]], accounting: Accounting, quarters: int, price: int, reference: int
) -> None:
    position, at, began_at = new(), BEGIN, BEGIN + quarters * QUARTER_HOUR
    began, paid, held = Fraction(0), Fraction(0), Fraction(0)
    for pause, (kind, first, second) in found:
        at += pause
        before = Fraction(position.cost, AMOUNT)
        if kind == "fill":
            position, _ = trade(position, first * ONE, second * ONE, accounting, at)
            held, cost = held + first, Fraction(first * second)
        elif kind == "hold":
            position = hold(position, first * ONE, first * second * AMOUNT, accounting, at)
            held, cost = Fraction(first), first * second - before
        else:
            position, cost = split(position, first, second, at), Fraction(0)
            held, began = held * first, began * first
        if at < began_at:
            began, paid = held, Fraction(0)
        else:
            paid += cost
    at_reference, came = began_with(position, Reference(reference * ONE, began_at, "previous_close"))
    assert at_reference is not None
    profit = Fraction(price * position.quantity, ONE) - Fraction(at_reference + came, 10**EXACT_SCALE)
    assert profit == price * held - reference * began - paid


@given(st.lists(st.integers(0, 2 * HOUR), max_size=300), st.integers(0, 40 * 24))
def test_what_is_forgotten_is_not_known_and_what_is_known_is_right(pauses: list[int], quarters: int) -> None:
    kept, at, changes = Kept(0, ()), BEGIN, list[Beginning]()
    for number, pause in enumerate(pauses):
        at += pause
        changes.append(Beginning(at, number, number))
        kept = remember(kept, changes[-1])
    time = BEGIN + quarters * QUARTER_HOUR
    later = [one for one in changes if one.at >= time]
    answer = find(kept, time)
    assert len(kept.beginnings) <= MOST
    if later and answer is not None:
        assert answer == (later[0].quantity, later[0].paid, later[0].at)
    if later and at - time < min(KEPT, 25 * HOUR):
        assert answer is not None


def test_time_within_a_quarter_hour_is_not_known_after_a_change_in_it() -> None:
    kept = remember(remember(Kept(0, ()), Beginning(BEGIN + 5, 1, 1)), Beginning(BEGIN + 9, 2, 2))
    assert find(kept, BEGIN) == (1, 1, BEGIN + 5)
    assert find(kept, BEGIN + 7) is None
    assert find(Kept(BEGIN + 1, kept.beginnings), BEGIN) is None
