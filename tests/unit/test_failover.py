"""Which way serves a line: the best that is fresh, after any order of events."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.failover import Failover, Switch, Way

SECOND = 1_000_000
FRESH = 3 * SECOND
ALL = (Way.WEBSOCKET, Way.REST, Way.BACKUP)
EVENTS = st.lists(st.tuples(st.integers(1, SECOND), st.sampled_from([*ALL, None])), max_size=200)


def test_each_way_is_left_when_it_falls_silent_and_returned_to_when_it_tells_again() -> None:
    failover = Failover(ALL, FRESH, 0)
    assert failover.step(FRESH - 1) is None
    assert failover.step(FRESH) == Switch(Way.WEBSOCKET, Way.REST, "nothing by websocket for 3 s")
    failover.heard(Way.REST, 4 * SECOND)
    assert failover.step(6 * SECOND) is None
    assert failover.step(7 * SECOND) == Switch(Way.REST, Way.BACKUP, "nothing by rest for 3 s")
    assert failover.step(100 * SECOND) is None
    failover.heard(Way.REST, 101 * SECOND)
    assert failover.step(101 * SECOND) == Switch(Way.BACKUP, Way.REST, "rest is fresh again")
    failover.heard(Way.WEBSOCKET, 102 * SECOND)
    assert failover.step(102 * SECOND) == Switch(Way.REST, Way.WEBSOCKET, "websocket is fresh again")


def test_what_a_way_told_before_it_was_left_does_not_bring_it_back() -> None:
    failover = Failover(ALL, FRESH, 0)
    failover.heard(Way.WEBSOCKET, 0)
    assert failover.step(FRESH) is not None
    failover.heard(Way.WEBSOCKET, SECOND)
    assert failover.step(FRESH + 1) is None


def test_a_line_with_one_way_stays_with_it() -> None:
    failover = Failover(ALL[:1], FRESH, 0)
    assert failover.step(100 * FRESH) is None


def test_begun_anew_the_first_way_is_used_and_given_its_time() -> None:
    failover = Failover(ALL, FRESH, 0)
    failover.step(FRESH)
    failover.resume(10 * FRESH)
    assert failover.way is Way.WEBSOCKET
    assert failover.step(11 * FRESH - 1) is None


@given(EVENTS)
def test_a_way_is_left_only_when_silent_and_taken_again_only_when_it_told_something_since(
    events: list[tuple[int, Way | None]],
) -> None:
    failover, now, since = Failover(ALL, FRESH, 0), 0, 0
    heard = dict.fromkeys(ALL, -1)
    for pause, way in events:
        now += pause
        if way is not None:
            failover.heard(way, now)
            heard[way] = now
        switch = failover.step(now)
        if switch is not None:
            assert switch.before is not switch.after is failover.way
            if ALL.index(switch.after) < ALL.index(switch.before):
                assert since < heard[switch.after]
                assert now - heard[switch.after] < FRESH
            else:
                assert now - max(since, heard[switch.before]) >= FRESH
            since = now
        better = ALL[: ALL.index(failover.way)]
        assert not any(since < heard[one] > now - FRESH for one in better)


@given(EVENTS)
def test_after_any_events_the_websocket_is_returned_to_with_the_first_that_it_tells(
    events: list[tuple[int, Way | None]],
) -> None:
    failover, now = Failover(ALL, FRESH, 0), 0
    for pause, way in events:
        now += pause
        if way is not None:
            failover.heard(way, now)
        failover.step(now)
    failover.heard(Way.WEBSOCKET, now + 1)
    failover.step(now + 1)
    assert failover.way is Way.WEBSOCKET
