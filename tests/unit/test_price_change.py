import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE, fits
from market.errors import DataValidationError
from market.price_change import PriceChangedEvent, PriceChanges, PriceState, Threshold, Throttle, create, create_batch
from market.trade import TimeMark, Trade
from tests.builders import INSTRUMENT, MINUTE, START, make_trade, trades

TENTH = 100_000
EVERY = Throttle(enabled=False)


def changes_of(
    *records: Trade | TimeMark, throttle: Throttle = EVERY, threshold: Threshold | None = None, cut: int | None = None
) -> list[PriceChangedEvent]:
    """Events of records at offsets 0, 1, …; at `cut` the state is handed to a new object, as after a restart."""
    state, told = PriceState(), []

    def start() -> PriceChanges:
        return PriceChanges(INSTRUMENT, state, source=("t", 0), throttle=throttle, threshold=threshold or Threshold())

    changes = start()
    for offset, record in enumerate(records):
        if offset == cut:
            changes = start()
        event = changes.apply(record, offset)
        if event is not None:
            told.append(event)
    return told


@given(trades())
def test_without_throttle_every_change_is_told_and_the_chain_has_no_break(found: list[Trade]) -> None:
    prices = [trade.price for trade in found]
    expected = [(old, new) for old, new in itertools.pairwise(prices) if old != new]
    assert [(event.old_price, event.new_price) for event in changes_of(*found)] == expected


@given(trades(minutes=1), st.integers(0, 60))
def test_throttled_events_chain_and_respect_the_period(found: list[Trade], cut: int) -> None:
    end = TimeMark(INSTRUMENT, (found[-1].received_at if found else START) + TENTH)
    told = changes_of(*found, end, throttle=Throttle(TENTH, 10), cut=cut)
    for before, after in itertools.pairwise(told):
        assert before.new_price == after.old_price
        assert after.received_at - before.received_at >= TENTH or after.changes >= 10
    if told:
        assert told[0].old_price == found[0].price
        assert told[-1].new_price == found[-1].price


@given(trades(minutes=1))
def test_replay_tells_the_same_events(found: list[Trade]) -> None:
    throttle = Throttle(TENTH, 10)
    assert changes_of(*found, throttle=throttle) == changes_of(*found, throttle=throttle)


def test_first_change_is_told_at_once_and_the_next_waits_for_the_period() -> None:
    told = changes_of(
        make_trade(1, at=START, price=100),
        make_trade(2, at=START + 1, price=101),
        make_trade(3, at=START + 2, price=102),
        make_trade(4, at=START + 3, price=103),
        TimeMark(INSTRUMENT, START + 1 + TENTH),
        throttle=Throttle(TENTH, 100),
    )
    assert [(event.old_price // ONE, event.new_price // ONE, event.changes) for event in told] == [(100, 101, 1), (101, 103, 2)]
    assert told[1].source_offset == 4


def test_price_that_returned_within_the_period_is_no_change() -> None:
    told = changes_of(
        make_trade(1, price=100),
        make_trade(2, at=START + 1, price=101),
        make_trade(3, at=START + 2, price=102),
        make_trade(4, at=START + 3, price=101),
        TimeMark(INSTRUMENT, START + 1 + TENTH),
        throttle=Throttle(TENTH, 100),
    )
    assert len(told) == 1


def test_enough_changes_are_told_before_the_period_ends() -> None:
    found = [make_trade(n, at=START + n, price=100 + n) for n in range(1, 8)]
    told = changes_of(*found, throttle=Throttle(10**9, 3))
    assert [event.changes for event in told] == [1, 3]


def test_trade_that_is_earlier_in_the_order_does_not_change_the_price() -> None:
    assert changes_of(make_trade(2, at=START + 5), make_trade(1, at=START, price=50)) == []


def test_change_states_direction_per_cent_and_significance() -> None:
    up = create(INSTRUMENT, 200 * ONE, 201 * ONE, received_at=START, source=("t", 0, 1))
    down = create(INSTRUMENT, 3 * ONE, 2 * ONE, received_at=START, source=("t", 0, 2))
    assert (up.is_price_up, up.is_price_down, up.change_percent) == (True, False, ONE // 2)
    assert (down.is_price_up, down.is_price_down, down.change_percent) == (False, True, -33_333_333_333_333)
    assert up.is_significant_change(Threshold(percent=ONE // 2))
    assert not up.is_significant_change(Threshold(absolute=2 * ONE, percent=ONE))
    assert down.is_significant_change(Threshold(absolute=ONE))


def test_batch_makes_an_event_of_every_move_that_changes_a_price() -> None:
    told = create_batch([("a:A", 1, 2), ("a:B", 5, 5), ("a:C", 9, 3)], received_at=START, source=("t", 0, 1))
    assert [(event.instrument, event.change) for event in told] == [("a:A", 1), ("a:C", -6)]


def test_configured_threshold_marks_events() -> None:
    told = changes_of(
        make_trade(1, price=100), make_trade(2, price=101), make_trade(3, price=110), threshold=Threshold(absolute=5 * ONE)
    )
    assert [event.is_significant for event in told] == [False, True]


@given(st.lists(st.integers(1, 10**38 - 1), min_size=1, max_size=20), st.integers(1, 3))
def test_whatever_is_told_fits_the_wire(prices: list[int], events: int) -> None:
    changes = PriceChanges(
        INSTRUMENT, PriceState(), source=("t", 0), throttle=Throttle(10 * TENTH, events), threshold=Threshold()
    )
    for offset, price in enumerate(prices):
        state = replace(changes.state)
        try:
            event = changes.apply(make_trade(offset, at=START + offset * TENTH)._replace(price=price), offset)
        except DataValidationError as error:
            assert (error.reason, error.field, changes.state) == ("too_large", "change_percent", state)
        else:
            assert event is None or fits(event.change_percent)


def lagging_replay(*, lag: int) -> list[PriceChangedEvent]:
    """Of changes 10 ms apart the first is told, then marks come each second; event times are `lag` behind receive times."""
    told_first = [make_trade(n, at=START + n * TENTH // 10, price=100 + n) for n in range(1, 5)]
    marks = [TimeMark(INSTRUMENT, START + second * 10**6) for second in (1, 2)]
    return changes_of(
        *(trade._replace(received_at=trade.received_at + lag) for trade in told_first), *marks, throttle=Throttle(TENTH, 100)
    )


@pytest.mark.parametrize("lag", [0, MINUTE, 24 * 60 * MINUTE])
def test_pending_change_is_told_by_the_next_mark_however_far_event_time_lags_behind(lag: int) -> None:
    told = lagging_replay(lag=lag)
    assert [(event.changes, event.source_offset) for event in told] == [(1, 1), (2, 4)]
    assert [event.received_at for event in told] == sorted(event.received_at for event in told)


def test_mark_tells_no_sooner_than_a_period_of_event_time_after_the_last_event() -> None:
    found = [make_trade(n, at=START + n, price=100 + n, received_at=START + MINUTE + n) for n in (1, 2, 3)]
    marks = [TimeMark(INSTRUMENT, START + 2 + passed) for passed in (TENTH - 1, TENTH)]
    (_, second) = changes_of(*found, *marks, throttle=Throttle(TENTH, 100))
    assert second.source_offset == 4


def test_venue_whose_clock_is_ahead_does_not_keep_a_change_back() -> None:
    ahead = [make_trade(n, at=START + 2_000_000 + n, price=100 + n, received_at=START + n) for n in (1, 2, 3)]
    told = changes_of(*ahead, TimeMark(INSTRUMENT, START + 2 + TENTH), throttle=Throttle(TENTH, 100))
    assert [event.changes for event in told] == [1, 1]


def test_trade_after_a_mark_that_told_waits_for_the_period() -> None:
    found = [make_trade(n, at=START + n, price=100 + n) for n in (1, 2, 3)]
    mark = TimeMark(INSTRUMENT, START + 10**6)
    after = [make_trade(n, at=START + 10**6 + passed, price=200 + n) for n, passed in ((4, TENTH - 1), (5, TENTH))]
    told = changes_of(*found, mark, *after, throttle=Throttle(TENTH, 100))
    assert [event.source_offset for event in told] == [1, 3, 5]
