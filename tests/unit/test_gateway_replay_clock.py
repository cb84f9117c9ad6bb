"""How the time of a replay passes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.clock import FOREVER, ReplayClock, ReplayScheduler

SECOND = 1_000_000


def test_time_stands_still_until_it_is_let_run() -> None:
    clock = ReplayClock(100 * SECOND, 10.0)
    assert clock.time(5.0) == clock.time(500.0) == 100 * SECOND
    clock.run(500.0)
    assert clock.time(501.5) == 115 * SECOND
    assert clock.due(501.5) == 115 * SECOND


def test_time_held_does_not_catch_up() -> None:
    clock = ReplayClock(0, 2.0)
    clock.run(0.0)
    clock.hold(10.0)
    assert clock.time(1_000.0) == 20 * SECOND
    clock.run(1_000.0)
    clock.run(1_001.0)
    assert clock.time(1_002.0) == 24 * SECOND


def test_without_a_speed_everything_is_due_and_time_is_what_was_told_last() -> None:
    clock = ReplayClock(7, None)
    clock.run(0.0)
    assert (clock.due(1.0), clock.time(1.0), clock.seconds_until(10**9, 1.0)) == (FOREVER, 7, 0.0)
    clock.told(20)
    clock.told(10)
    assert clock.time(99.0) == 20


def test_time_waits_for_what_is_not_read_yet() -> None:
    clock = ReplayClock(0, 1.0)
    clock.run(0.0)
    clock.keep_to(4 * SECOND, 3.0)
    assert clock.time(3.0) == 3 * SECOND
    clock.keep_to(4 * SECOND, 9.0)
    assert clock.time(9.0) == 4 * SECOND
    assert clock.time(10.0) == 5 * SECOND


def test_how_long_it_is_until_something_is_due() -> None:
    clock = ReplayClock(0, 4.0)
    assert clock.seconds_until(8 * SECOND, 0.0) == 2.0
    clock.run(0.0)
    assert clock.seconds_until(8 * SECOND, 1.0) == 1.0
    assert clock.seconds_until(8 * SECOND, 5.0) == 0.0


@given(st.floats(0.01, 1000), st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=20))
def test_time_never_goes_back_and_never_passes_faster_than_its_speed(speed: float, steps: list[tuple[bool, float]]) -> None:
    clock, now, before = ReplayClock(0, speed), 0.0, 0
    for running, passes in steps:
        (clock.run if running else clock.hold)(now)
        now += passes
        time = clock.time(now)
        assert before <= time <= before + passes * speed * SECOND + 2
        before = time


def test_timers_run_in_their_order_at_their_own_times() -> None:
    scheduler = ReplayScheduler(10 * SECOND)
    ran: list[tuple[str, float]] = []
    scheduler.call_later(2.0, lambda: ran.append(("late", scheduler.time())))
    scheduler.call_later(1.0, lambda: scheduler.call_later(0.5, lambda: ran.append(("nested", scheduler.time()))))
    scheduler.call_soon(lambda: ran.append(("soon", scheduler.time())))
    assert scheduler.next_time() == 10 * SECOND
    scheduler.pass_to(11 * SECOND)
    assert ran == [("soon", 10.0)]
    scheduler.pass_to(20 * SECOND)
    assert ran == [("soon", 10.0), ("nested", 11.5), ("late", 12.0)]
    assert (scheduler.time(), scheduler.next_time()) == (20.0, None)
