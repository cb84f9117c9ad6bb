"""Time marks and gap marks of a trade stream."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.marks import Marks, Stretch
from market.trade import GapMark, TimeMark, Trade
from tests.builders import INSTRUMENT, START, make_trade

SECOND = 1_000_000


def traded(marks: Marks, number: int, at: int, *, contiguous: bool = True) -> list[GapMark]:
    return marks.before(make_trade(number, at=at), contiguous=contiguous) or []


def started(number: int = 10, at: int = START) -> Marks:
    marks = Marks()
    marks.advance(START)
    traded(marks, number, at)
    return marks


def opaque(trade: Trade, trade_id: str) -> Trade:
    return trade._replace(trade_id=trade_id, first_trade_id=trade_id, last_trade_id=trade_id)


# the start


def test_first_trade_is_preceded_by_a_gap_that_reaches_back_to_what_was_before() -> None:
    assert traded(Marks(), 10, START + 5) == [GapMark(INSTRUMENT, None, START + 5)]


def test_second_trade_has_no_gap() -> None:
    assert traded(started(10), 11, START + 1) == []


def test_no_time_mark_comes_before_the_first_trade() -> None:
    marks = Marks()
    marks.advance(START)
    marks.restored([INSTRUMENT])
    assert marks.advance(START + 3 * SECOND) == []


# time marks


def test_each_second_has_one_time_mark() -> None:
    marks = started()
    times = [START + step for step in (1, SECOND - 1, SECOND, SECOND + 5, 2 * SECOND)]
    assert [mark.time for time in times for mark in marks.advance(time)] == [START + SECOND, START + 2 * SECOND]


def test_time_mark_stands_at_the_full_second() -> None:
    assert started().advance(START + 1_700_000) == [TimeMark(INSTRUMENT, START + SECOND)]


def test_clock_that_jumps_gives_one_mark_at_the_latest_second() -> None:
    assert started().advance(START + 3600 * SECOND + 7) == [TimeMark(INSTRUMENT, START + 3600 * SECOND)]


def test_clock_that_goes_back_gives_no_mark() -> None:
    marks = started()
    marks.advance(START + 5 * SECOND)
    assert marks.advance(START + 4 * SECOND) == []


def test_instrument_whose_line_is_down_has_no_time_marks() -> None:
    marks = started()
    marks.lost([INSTRUMENT])
    assert marks.advance(START + SECOND) == []
    assert marks.finish(START + SECOND) == []


def test_time_marks_go_on_when_the_line_is_back() -> None:
    marks = started()
    marks.lost([INSTRUMENT])
    marks.restored([INSTRUMENT])
    assert marks.advance(START + SECOND) == [TimeMark(INSTRUMENT, START + SECOND)]


def test_last_mark_stands_at_the_very_end() -> None:
    marks = started()
    assert marks.finish(START + 5) == [TimeMark(INSTRUMENT, START + 5)]
    assert marks.finish(START + 5, ["binance:ETH-USDT"]) == []


# after a loss


def test_trades_missed_while_the_line_was_down_are_a_gap() -> None:
    marks = started(10, START)
    marks.lost([INSTRUMENT])
    marks.restored([INSTRUMENT])
    assert traded(marks, 15, START + 7) == [GapMark(INSTRUMENT, START, START + 7)]
    assert traded(marks, 16, START + 8) == []


def test_ids_that_follow_each_other_show_that_nothing_was_missed() -> None:
    marks = started(10)
    marks.lost([INSTRUMENT])
    assert traded(marks, 11, START + 7) == []


def test_aggregate_that_overlaps_the_last_trade_shows_that_nothing_was_missed() -> None:
    marks = started(10)
    marks.lost([INSTRUMENT])
    aggregate = make_trade(99, at=START + 7)._replace(first_trade_id="9", last_trade_id="12", trade_count=4)
    assert marks.before(aggregate, contiguous=False) == []


def test_trade_sent_again_after_connecting_leaves_the_question_open() -> None:
    marks = started(10)
    marks.lost([INSTRUMENT])
    assert traded(marks, 10, START) == []
    assert traded(marks, 12, START + 9) == [GapMark(INSTRUMENT, START, START + 9)]


def test_ids_that_are_no_numbers_cannot_show_that_nothing_was_missed() -> None:
    marks = Marks()
    marks.before(opaque(make_trade(at=START), "a1"), contiguous=False)
    marks.lost([INSTRUMENT])
    assert marks.before(opaque(make_trade(at=START + 3), "a2"), contiguous=False) == [GapMark(INSTRUMENT, START, START + 3)]


def test_gap_begins_at_the_latest_trade_not_at_a_late_one() -> None:
    marks = started(10, START + 50)
    traded(marks, 11, START + 20)
    marks.lost([INSTRUMENT])
    assert traded(marks, 20, START + 90) == [GapMark(INSTRUMENT, START + 50, START + 90)]


# holes in the ids


def test_hole_in_ids_without_holes_is_a_gap() -> None:
    assert traded(started(10, START), 13, START + 4) == [GapMark(INSTRUMENT, START, START + 4)]


def test_hole_in_ids_that_may_have_holes_is_no_gap() -> None:
    marks = started(10)
    assert traded(marks, 13, START + 4, contiguous=False) == []


def test_gap_between_trades_of_one_instant_is_not_empty() -> None:
    assert traded(started(10, START), 12, START) == [GapMark(INSTRUMENT, START, START + 1)]


def test_gap_is_healed_when_its_last_trade_comes_late() -> None:
    marks = started(10, START)
    traded(marks, 13, START + 4)
    assert traded(marks, 12, START + 2) == []
    assert traded(marks, 11, START + 1) == [GapMark(INSTRUMENT, START, START + 4, healed=True)]
    assert traded(marks, 14, START + 5) == []


def test_repeated_trade_heals_nothing() -> None:
    marks = started(10, START)
    traded(marks, 13, START + 4)
    assert traded(marks, 13, START + 4) == []
    assert traded(marks, 10, START) == []


def test_one_of_two_holes_of_an_instant_does_not_heal_their_common_gap() -> None:
    marks = started(3, START)
    gap = GapMark(INSTRUMENT, START, START + 1)
    assert [traded(marks, number, START) for number in (5, 7)] == [[gap], [gap]]
    assert traded(marks, 4, START) == []
    assert traded(marks, 6, START) == [gap._replace(healed=True)]


@given(st.permutations(range(1, 12)), st.integers(1, 4))
def test_gap_is_unhealed_exactly_while_trades_are_missing(numbers: list[int], to_an_instant: int) -> None:
    marks, missing, unhealed = Marks(), set[int](), set[GapMark]()
    first = numbers[0]
    for count, number in enumerate(numbers):
        told = traded(marks, number, START + number // to_an_instant)
        unhealed |= {mark for mark in told if count and not mark.healed}
        unhealed -= {mark._replace(healed=False) for mark in told if mark.healed}
        highest = max(numbers[: count + 1])
        missing = set(range(first, highest)) - set(numbers[: count + 1])
        assert bool(unhealed) == bool(missing)


@given(st.permutations(range(1, 12)))
def test_every_gap_is_healed_once_all_trades_have_come(numbers: list[int]) -> None:
    marks = Marks()
    told = [mark for number in numbers for mark in traded(marks, number, START + number)]
    after_first = told[1:]
    gaps = [mark for mark in after_first if not mark.healed]
    # What lies below the first trade seen was never known to be missing.
    assert len(gaps) == len([mark for mark in after_first if mark.healed])
    assert {gap._replace(healed=True) for gap in gaps} == {mark for mark in after_first if mark.healed}


@given(st.sets(st.integers(1, 40), min_size=1))
def test_trades_in_order_have_a_gap_exactly_where_ids_are_missing(numbers: set[int]) -> None:
    marks, before = Marks(), None
    for number in sorted(numbers):
        gaps = traded(marks, number, START + number)
        expected = None if before is None else START + before
        missing = before is None or number > before + 1
        assert gaps == ([GapMark(INSTRUMENT, expected, START + number)] if missing else [])
        before = number


# trades told before, and trades summed up


def summed_up(first: int, last: int, at: int) -> Trade:
    """Trades that a venue tells as one, under the id of the last."""
    return make_trade(last, at=at)._replace(first_trade_id=str(first), trade_count=last - first + 1)


def test_trade_told_before_is_known_to_be() -> None:
    marks = started(10)
    assert marks.before(make_trade(10, at=START), contiguous=True) is None
    assert marks.before(make_trade(11, at=START), contiguous=True) == []
    assert marks.before(make_trade(11, at=START), contiguous=False) is None


def test_latest_trades_told_again_show_that_nothing_was_missed() -> None:
    marks = Marks()
    marks.before(opaque(make_trade(at=START), "a1"), contiguous=False)
    marks.lost([INSTRUMENT])
    assert marks.before(opaque(make_trade(at=START), "a1"), contiguous=False) is None
    assert marks.before(opaque(make_trade(at=START + 3), "a2"), contiguous=False) == []


def test_trades_summed_up_leave_no_hole() -> None:
    marks = started(10)
    assert marks.before(summed_up(11, 14, START + 1), contiguous=True) == []
    assert marks.before(summed_up(15, 15, START + 2), contiguous=True) == []
    assert marks.missing() == []
    assert marks.before(summed_up(18, 19, START + 3), contiguous=True) == [GapMark(INSTRUMENT, START + 2, START + 3)]
    assert marks.missing() == [(INSTRUMENT, 16, 17)]


def test_what_is_missing_after_a_loss_is_known_by_its_numbers() -> None:
    marks = started(10)
    marks.lost([INSTRUMENT])
    assert marks.missing() == []
    traded(marks, 20, START + 5)
    assert marks.missing() == [(INSTRUMENT, 11, 19)]
    traded(marks, 15, START + 3)
    assert marks.missing() == [(INSTRUMENT, 11, 14), (INSTRUMENT, 16, 19)]
    assert [marks.is_missing(make_trade(number, at=START)) for number in (10, 11, 15, 19, 20)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    marks.lost([INSTRUMENT])
    assert marks.missing() == []


@given(st.sets(st.integers(1, 60), min_size=2), st.integers(1, 59))
def test_missing_are_exactly_the_numbers_that_did_not_come(numbers: set[int], lost_after: int) -> None:
    marks = Marks()
    for number in sorted(numbers):
        traded(marks, number, START + number)
        if number <= lost_after:
            marks.lost([INSTRUMENT])
    told = {number for _, first, last in marks.missing() for number in range(first, last + 1)}
    is_up = max(numbers) > lost_after
    assert told == (set(range(min(numbers), max(numbers))) - numbers if is_up else set())


# numbers that the venue has in its stream alone


def streamed(marks: Marks, number: int) -> list[GapMark] | None:
    trade = make_trade(number, at=START + number)
    return marks.before(trade, contiguous=True, retold_as=opaque(trade, f"u{number}"))


def retold(marks: Marks, stretch: Stretch, number: int) -> bool:
    return marks.refill(stretch, opaque(make_trade(number, at=START + number), f"u{number}"))


@given(st.permutations(range(1, 12)))
def test_hole_in_such_numbers_is_a_stretch_for_as_long_as_trades_are_missing(numbers: list[int]) -> None:
    marks = Marks()
    for count, number in enumerate(numbers):
        streamed(marks, number)
        come = numbers[: count + 1]
        assert bool(marks.stretches()) == bool(set(range(numbers[0], max(come))) - set(come))
        assert marks.missing() == []


def test_what_was_told_again_by_the_ids_is_known_by_the_numbers() -> None:
    marks = Marks()
    gaps = [mark for number in (1, 2, 6, 9) for mark in streamed(marks, number) or []][1:]
    first, second = marks.stretches()
    assert (first.begin, first.end, first.before, first.after) == (START + 2, START + 6, frozenset({"u2"}), "u6")
    assert [retold(marks, first, number) for number in (2, 3, 4, 4, 5, 6, 7)] == [False, True, True, False, True, False, False]
    assert marks.close(first, healed=True) == [gaps[0]._replace(healed=True)]
    assert [streamed(marks, number) for number in (3, 4, 5)] == [None] * 3
    assert marks.close(second, healed=False) == []
    assert [streamed(marks, number) for number in (7, 8)] == [[], [gaps[1]._replace(healed=True)]]
    assert marks.stretches() == []


def test_opaque_ids_told_again_are_known_beside_those_that_the_stream_told_since() -> None:
    marks = Marks()
    names = [f"t{number}" for number in range(400)]
    trades = [opaque(make_trade(number, at=START + number), name) for number, name in enumerate(names)]
    marks.before(trades[0], contiguous=False)
    marks.doubt([INSTRUMENT])
    for trade in trades[300:]:
        marks.before(trade, contiguous=False)
    (stretch,) = marks.stretches()
    assert all(marks.refill(stretch, trade) for trade in trades[1:300])
    marks.close(stretch, healed=True)
    assert {marks.before(trade, contiguous=False) is None for trade in trades[200:]} == {True}
