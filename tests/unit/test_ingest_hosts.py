"""Which address of a source is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.hosts import Hosts

NAMES = ["https://a", "https://b", "https://c"]


def test_first_address_is_asked_while_it_answers() -> None:
    hosts = Hosts(NAMES)
    hosts.answered("https://a")
    assert hosts.choose(0.0) == "https://a"


def test_address_that_fails_is_left_alone_for_longer_each_time_and_returned_to() -> None:
    hosts = Hosts(NAMES)
    now = 0.0
    for wait in (15.0, 30.0, 60.0):
        hosts.failed("https://a", now)
        assert hosts.choose(now + wait - 0.1) == "https://b"
        assert hosts.choose(now + wait) == "https://a"
        now += wait
    hosts.answered("https://a")
    hosts.failed("https://a", now)
    assert hosts.choose(now + 15.0) == "https://a"


def test_address_that_wants_to_be_left_alone_is() -> None:
    hosts = Hosts(NAMES)
    hosts.failed("https://a", 0.0, left_alone=60.0)
    assert hosts.choose(59.9) == "https://b"
    assert hosts.choose(60.0) == "https://a"


def test_where_none_is_trusted_the_one_to_be_trusted_first_is_asked() -> None:
    hosts = Hosts(NAMES)
    for second, name in enumerate(NAMES):
        hosts.failed(name, float(second))
    assert hosts.choose(3.0) == "https://a"


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.floats(0, 1e6)), max_size=30), st.floats(0, 1e9))
def test_some_address_is_always_asked(events: list[tuple[str, bool, float]], now: float) -> None:
    hosts = Hosts(NAMES)
    for name, is_answer, at in events:
        if is_answer:
            hosts.answered(name)
        else:
            hosts.failed(name, at)
    assert hosts.choose(now) in NAMES


def test_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one address"):
        Hosts([])
