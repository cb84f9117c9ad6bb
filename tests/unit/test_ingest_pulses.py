"""Which streams count as silent: those that pause for far longer than they did before, while others of their line tell."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.feed import Subscription
from ingest.pulses import HEARD_IN, PAUSES, Pulses, Silence
from tests.builders import INSTRUMENT

SECOND = 1_000_000
PATIENCE = 60 * SECOND
TRADES, QUOTES = Subscription(INSTRUMENT, "trade"), Subscription(INSTRUMENT, "bookTicker")


def told_every(pulses: Pulses, seconds: int, stream: Subscription = TRADES, *, looks: int = HEARD_IN, begin: int = 0) -> int:
    """A stream that tells something at a distance, with a look after each; when it told last."""
    at = begin * SECOND
    pulses.heard(stream, at)
    for _ in range(looks):
        at += seconds * SECOND
        pulses.heard(stream, at)
        assert pulses.look(at) == []
    return at


def test_stream_that_told_often_is_silent_after_the_patience() -> None:
    pulses = Pulses(PATIENCE)
    last = told_every(pulses, 1)
    assert pulses.look(last + PATIENCE - 1) == []
    assert pulses.look(last + PATIENCE) == [Silence(TRADES, PATIENCE)]


def test_stream_that_paused_for_long_before_may_be_silent_for_some_of_its_pauses() -> None:
    pulses = Pulses(PATIENCE)
    last = told_every(pulses, 50)
    borne = PAUSES * 50 * SECOND
    assert pulses.look(last + borne - 1) == []
    assert pulses.look(last + borne) == [Silence(TRADES, borne)]


def test_stream_that_is_rarely_heard_is_not_judged() -> None:
    pulses = Pulses(PATIENCE)
    last = told_every(pulses, 1, looks=HEARD_IN - 1)
    assert pulses.look(last + 100 * PATIENCE) == []


def test_where_all_are_silent_none_is_judged() -> None:
    pulses = Pulses(PATIENCE)
    last = max(told_every(pulses, 1), told_every(pulses, 1, QUOTES))
    assert pulses.look(last) == []


def test_silence_is_told_again_when_it_has_doubled_and_ends_with_the_next_record() -> None:
    pulses = Pulses(PATIENCE)
    last = told_every(pulses, 1)
    found = [silence.duration for at in range(0, 5 * PATIENCE, SECOND) for silence in pulses.look(last + at)]
    assert found == [PATIENCE, 2 * PATIENCE, 4 * PATIENCE]
    pulses.heard(TRADES, last + 5 * PATIENCE)
    later = last + 6 * PATIENCE
    assert pulses.look(later) == []  # it was silent for longer than was known of it
    pulses.heard(TRADES, later)
    assert pulses.look(later + PAUSES * PATIENCE) == [Silence(TRADES, PAUSES * PATIENCE)]


def test_time_in_which_nothing_was_to_be_heard_is_no_pause() -> None:
    pulses = Pulses(PATIENCE)
    last = told_every(pulses, 1)
    back = last + 10 * PATIENCE
    pulses.excuse(back)
    assert pulses.look(back + PATIENCE - 1) == []
    assert pulses.look(back + PATIENCE) == [Silence(TRADES, PATIENCE)]


def test_no_patience_judges_none_and_what_is_forgotten_is_not_judged() -> None:
    never, pulses = Pulses(None), Pulses(PATIENCE)
    for each in (never, pulses):
        last = told_every(each, 1)
    pulses.forget([TRADES])
    assert never.look(last + 9 * PATIENCE) == pulses.look(last + 9 * PATIENCE) == []


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 120))
def test_no_stream_is_judged_before_the_patience_nor_within_the_pauses_it_had(pauses: list[int], patience: int) -> None:
    pulses, at, longest, heard = Pulses(patience * SECOND), 0, 0, 1
    pulses.heard(TRADES, at)
    for pause in pauses:
        for second in range(1, pause + 1):
            now = at + second * SECOND
            for stream, duration in pulses.look(now):
                assert stream == TRADES
                assert duration == second * SECOND
                assert second >= patience
                assert second > longest
                assert heard >= HEARD_IN
        at += pause * SECOND
        pulses.heard(TRADES, at)
        longest, heard = max(longest, min(pause, max(2 * longest, patience))), heard + 1
