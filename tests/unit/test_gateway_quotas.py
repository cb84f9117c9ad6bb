"""What one user and one address may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission, Visitor
from gateway.authentication import Authenticator
from gateway.quotas import BURST_SECONDS, FAILURES_PER_SECOND, Quota, Usages
from gateway.rates import Rate
from gateway.refusals import ErrorCode, Refusal
from tests.access_parts import SECOND, make_token, secret_entry, tokens_of
from tests.builders import START

ROOMY = Quota(1000, 1000, 1000, 1000, 1_000_000, 1_000_000)


def admission_with(user: Quota = ROOMY, address: Quota = ROOMY) -> Admission:
    return Admission(Authenticator(tokens_of(secret_entry())), Usages(user, address))


def quota(**limits: float) -> Quota:
    return Quota(**{name: limits.get(name, getattr(ROOMY, name)) for name in Quota.__slots__})


def refused(admission: Admission, address: str = "10.0.0.1", now: int = START, **claims: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admission.arrive(address, make_token(**claims), now)  # type: ignore[arg-type]
    return caught.value


@given(
    st.floats(0.5, 1000),
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(1, 50)), max_size=60),
)
def test_never_more_than_the_burst_and_the_rate_is_taken(per_second: float, burst: int, steps: list[tuple[int, int]]) -> None:
    rate, now, taken, largest = Rate(per_second, burst), START, 0, 0
    for pause, amount in steps:
        now += pause
        if rate.take(now, amount):
            taken, largest = taken + amount, max(largest, amount)
        assert taken <= burst + largest + per_second * (now - START) / 1e6 + 1e-3


@given(st.floats(0.5, 1000), st.integers(1, 100), st.integers(0, 300))
def test_whoever_waits_as_told_is_served(per_second: float, burst: int, calls: int) -> None:
    rate = Rate(per_second, burst)
    for _ in range(calls):
        rate.take(START)
    assert rate.take(START + rate.wait(START) + 1)


def test_burst_may_be_taken_at_once_and_again_after_a_rest() -> None:
    rate = Rate(10, 5)
    assert [rate.take(START) for _ in range(6)] == [True] * 5 + [False]
    assert rate.wait(START) == 100_000
    assert not rate.is_rested(START)
    assert rate.is_rested(START + 500_000)
    assert [rate.take(START + 500_000) for _ in range(6)] == [True] * 5 + [False]


def test_connections_of_a_user_and_of_an_address_are_counted_apart() -> None:
    admission = admission_with(user=quota(connections=2), address=quota(connections=3))
    first = admission.arrive("10.0.0.1", make_token(), START)
    admission.arrive("10.0.0.2", make_token(), START)
    refusal = refused(admission, "10.0.0.3")
    assert (refusal.code, refusal.status, refusal.details["scope"]) == (ErrorCode.TOO_MANY_CONNECTIONS, 429, "user")
    admission.arrive("10.0.0.1", make_token(sub="other"), START)
    admission.arrive("10.0.0.1", make_token(sub="third"), START)
    assert refused(admission, "10.0.0.1", sub="fourth").details["scope"] == "address"
    admission.leave(first)
    admission.arrive("10.0.0.1", make_token(sub="desk"), START)


def test_refused_connection_stays_charged_to_nobody() -> None:
    admission = admission_with(user=quota(connections=1), address=quota(connections=2))
    admission.arrive("10.0.0.1", make_token(), START)
    for _ in range(5):
        assert refused(admission).details["scope"] == "user"
    admission.arrive("10.0.0.1", make_token(sub="other"), START)


def test_new_connections_are_limited_by_the_second() -> None:
    admission = admission_with(address=quota(connections_per_second=1))
    for _ in range(BURST_SECONDS):
        admission.leave(admission.arrive("10.0.0.1", make_token(), START))
    refusal = refused(admission)
    assert (refusal.code, refusal.headers) == (ErrorCode.CONNECTION_RATE, {"Retry-After": "1"})
    admission.arrive("10.0.0.2", make_token(), START)
    admission.arrive("10.0.0.1", make_token(now=START + SECOND), START + SECOND)


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    usages = Usages()
    assert usages.of_address("2001:db8::1") is usages.of_address("2001:db8::ffff:1")
    assert usages.of_address("2001:db8::1") is not usages.of_address("2001:db8:0:1::1")
    assert usages.of_address("::ffff:10.0.0.1") is usages.of_address("10.0.0.1")
    assert usages.of_address("fe80::1%eth0") is usages.of_address("fe80::2")
    assert usages.of_address("unknown") is not usages.of_address("10.0.0.1")


def test_requests_are_limited_and_others_are_not_affected() -> None:
    admission = admission_with(user=quota(messages_per_second=1))
    for _ in range(BURST_SECONDS):
        admission.ask("10.0.0.1", make_token(), START)
    with pytest.raises(Refusal) as caught:
        admission.ask("10.0.0.1", make_token(), START)
    assert caught.value.code is ErrorCode.MESSAGE_RATE
    assert admission.ask("10.0.0.1", make_token(sub="other"), START).subject == "other"


def test_tokens_cannot_be_found_by_trying() -> None:
    admission = admission_with()
    admission.ask("10.0.0.1", make_token(sub="known"), START)
    for _ in range(int(BURST_SECONDS * FAILURES_PER_SECOND)):
        with pytest.raises(Refusal) as caught:
            admission.ask("10.0.0.1", "guess", START)
        assert caught.value.code is ErrorCode.UNAUTHENTICATED
    with pytest.raises(Refusal) as caught:
        admission.ask("10.0.0.1", make_token(), START)
    assert (caught.value.code, caught.value.status) == (ErrorCode.AUTHENTICATION_RATE, 429)
    assert admission.ask("10.0.0.1", make_token(sub="known"), START)
    assert admission.ask("10.0.0.2", make_token(sub="other"), START)
    assert admission.ask("10.0.0.1", make_token(), START + SECOND)


def test_bytes_are_limited() -> None:
    admission = admission_with(user=quota(bytes_per_second=100))
    visitor = admission.arrive("10.0.0.1", make_token(), START)
    assert visitor.take_bytes(100_000, START)  # one lot is taken whole
    assert not visitor.take_bytes(1, START)
    assert admission.arrive("10.0.0.1", make_token(sub="other"), START).take_bytes(1000, START)


def test_subscriptions_are_counted_over_all_connections() -> None:
    admission = admission_with(user=quota(subscriptions=3))
    first, second = (admission.arrive("10.0.0.1", make_token(), START) for _ in range(2))
    first.subscribed(2)
    second.subscribed(1)
    with pytest.raises(Refusal) as caught:
        second.usages[1].check_subscriptions(1)
    assert (caught.value.code, caught.value.details["limit"]) == (ErrorCode.TOO_MANY_SUBSCRIPTIONS, 3)
    first.subscribed(-1)
    second.usages[1].check_subscriptions(1)


def test_what_waits_is_charged_to_a_user_who_is_known_later_as_well() -> None:
    admission = admission_with(user=quota(queue_bytes=100))
    visitor = admission.arrive("10.0.0.1", None, START)
    assert visitor.queue(80)
    admission.identify(visitor, make_token(), START)
    assert not visitor.queue(30)
    visitor.queue(-110)
    assert [usage.queued_bytes for usage in visitor.usages] == [0, 0]


def test_another_users_token_is_no_renewal() -> None:
    admission = admission_with()
    visitor = admission.arrive("10.0.0.1", make_token(), START)
    with pytest.raises(Refusal) as caught:
        admission.identify(visitor, make_token(sub="other"), START)
    assert caught.value.code is ErrorCode.SUBJECT_CHANGED
    assert visitor.principal is not None
    assert visitor.principal.subject == "desk"


def test_who_uses_nothing_is_forgotten() -> None:
    admission = admission_with()
    visitor = admission.arrive("10.0.0.1", make_token(), START)
    admission.ask("10.0.0.2", make_token(), START)
    later = START + 60 * SECOND
    admission.usages.sweep(later)
    assert len(admission.usages) == 2
    admission.leave(visitor)
    admission.usages.sweep(later)
    assert len(admission.usages) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=40))
def test_counts_are_those_of_the_connections_that_are_there(steps: list[tuple[int, int, bool]]) -> None:
    admission = admission_with(user=quota(connections=3), address=quota(connections=5))
    there: list[tuple[int, int, Visitor]] = []
    for user, address, stays in steps:
        try:
            visitor = admission.arrive(f"10.0.0.{address}", make_token(sub=str(user)), START)
        except Refusal:
            pass
        else:
            there.append((user, address, visitor))
        if there and not stays:
            admission.leave(there.pop(0)[2])
    for user in range(5):
        assert admission.usages.of_user(str(user)).connections == sum(one == user for one, _, _ in there)
    for address in range(3):
        assert admission.usages.of_address(f"10.0.0.{address}").connections == sum(one == address for _, one, _ in there)
