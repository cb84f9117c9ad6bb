"""Moving a recording to now."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.shift import Shift, lag_of_speed, lag_to_close_a_minute, shift_to
from market.dead_letter import DeadLetter
from market.depth import Depth, Level
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.ingest_parts import NOW

SHIFT = Shift(1000, 5_000_000)
LATER = START + 70


def empty(cls: Any, **fields: Any) -> Any:
    return cls(**{**dict.fromkeys(cls._fields), "instrument": INSTRUMENT, **fields})


def test_trade_is_received_now_and_happens_as_much_later_as_the_shift_says() -> None:
    moved = SHIFT.apply(make_trade(7, at=START), LATER)
    assert moved == make_trade(7, at=START)._replace(
        trade_id="5000007",
        sequence=5000007,
        exchange_time=START + 1000,
        received_at=LATER,
        first_trade_id="5000007",
        last_trade_id="5000007",
    )


def test_unknown_exchange_time_stays_unknown() -> None:
    moved: Any = SHIFT.apply(make_trade(7)._replace(exchange_time=None), LATER)
    assert (moved.exchange_time, moved.received_at) == (None, LATER)


def test_id_that_is_no_number_becomes_new_too() -> None:
    moved: Any = SHIFT.apply(make_trade(7)._replace(trade_id="abc"), LATER)
    assert moved.trade_id == "5000000:abc"


def test_marks_move_with_the_events_around_them() -> None:
    assert SHIFT.apply(TimeMark(INSTRUMENT, START), LATER) == TimeMark(INSTRUMENT, START + 1000)
    assert SHIFT.apply(GapMark(INSTRUMENT, None, START), LATER) == GapMark(INSTRUMENT, None, START + 1000)
    assert SHIFT.apply(GapMark(INSTRUMENT, START, START + 1), LATER) == GapMark(INSTRUMENT, START + 1000, START + 1001)


def test_funding_and_open_interest_move_and_the_next_payment_with_them() -> None:
    funding: Any = SHIFT.apply(empty(Funding, exchange_time=START, next_funding_time=START + 9, received_at=START), LATER)
    assert (funding.exchange_time, funding.next_funding_time, funding.received_at) == (START + 1000, START + 1009, LATER)
    told: Any = SHIFT.apply(empty(OpenInterest, exchange_time=START, received_at=START), LATER)
    assert (told.exchange_time, told.received_at) == (START + 1000, LATER)
    bare: Any = SHIFT.apply(empty(Funding, received_at=START), LATER)
    assert (bare.exchange_time, bare.next_funding_time) == (None, None)


def test_definition_is_received_now_and_ends_as_much_later() -> None:
    moved: Any = SHIFT.apply(empty(InstrumentDefinition, expires_at=START, received_at=START), LATER)
    assert (moved.expires_at, moved.received_at) == (START + 1000, LATER)


def test_quotes_and_klines_move() -> None:
    quote: Any = SHIFT.apply(empty(Quote, sequence=1, exchange_time=START, received_at=START), LATER)
    assert (quote.sequence, quote.exchange_time, quote.received_at) == (5_000_001, START + 1000, LATER)
    kline: Any = SHIFT.apply(empty(Kline, open_time=START, first_trade_id="1", received_at=START), LATER)
    assert (kline.open_time, kline.first_trade_id, kline.last_trade_id) == (START + 1000, "5000001", None)
    assert (kline.exchange_time, kline.received_at) == (None, LATER)


def test_messages_about_books_still_follow_each_other() -> None:
    numbers = {"first_sequence": 5, "last_sequence": 9, "previous_sequence": 4, "checksum": 7, "bids": (Level(1, 2),)}
    depth: Any = SHIFT.apply(empty(Depth, exchange_time=START, received_at=START, **numbers), LATER)
    assert (depth.first_sequence, depth.last_sequence, depth.previous_sequence) == (5_000_005, 5_000_009, 5_000_004)
    assert (depth.checksum, depth.bids) == (7, (Level(1, 2),))
    assert (depth.exchange_time, depth.received_at) == (START + 1000, LATER)
    unnumbered: Any = SHIFT.apply(empty(Depth), LATER)
    assert (unnumbered.last_sequence, unnumbered.exchange_time) == (None, None)


def test_states_and_dead_letters_happen_now() -> None:
    status: Any = SHIFT.apply(FeedStatus("v", "c", INSTRUMENT, FeedState.LIVE, "r", START), LATER)
    assert status.changed_at == LATER
    letter: Any = SHIFT.apply(DeadLetter("s", None, None, "ingest", "r", "e", None, None, b"", False, START), LATER)
    assert letter.failed_at == LATER


def test_first_frame_happens_now_less_the_lag() -> None:
    shift = shift_to(NOW, START - 500, lag=20)
    assert START - 500 + shift.event == NOW - 20


@given(st.integers(START, START + 10 * MINUTE), st.integers(1, MINUTE))
def test_a_minute_ends_within_the_time_asked_for(now: int, within: int) -> None:
    lag = lag_to_close_a_minute(now, within)
    assert 0 <= lag < MINUTE
    until_minute = MINUTE - (now - lag) % MINUTE
    assert until_minute <= within
    # No more lag than needed: with less, the minute would end later or the last one has just ended.
    assert lag == 0 or until_minute == within


@given(st.integers(0, 10**10), st.floats(1, 1000))
def test_faster_replay_never_runs_ahead_of_the_clock(duration: int, speed: float) -> None:
    lag = lag_of_speed(duration, speed)
    # The last event is played `duration / speed` after the start and happens `duration - lag` after it.
    assert duration - lag <= duration / speed + 1
    assert lag_of_speed(duration, None) == duration


@given(st.floats(0.01, 1))
def test_slower_replay_needs_no_lag(speed: float) -> None:
    assert lag_of_speed(10**9, speed) == 0


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_second_run_repeats_no_id_of_the_first(number: int, elapsed: int) -> None:
    ids = {shift_to(NOW + start, START).ids + trade for start in (0, elapsed) for trade in range(min(elapsed, 3))}
    assert len(ids) == 2 * min(elapsed, 3)
    assert len(str(number + shift_to(NOW, START).ids)) <= 18
