"""When frames are written."""

import pytest

from gateway.flusher import Flusher, FlushPolicy
from gateway.outbox import Outbox, OutboxLimits
from tests.gateway_parts import HandTurnedLoop


class Writes:
    """Outboxes whose writes are noted, each taking some time."""

    def __init__(self, loop: HandTurnedLoop, cost: float = 0.0) -> None:
        self.times: list[float] = []
        self._loop = loop
        self.cost = cost

    def outbox(self) -> Outbox:
        return Outbox(self._write, OutboxLimits())

    def _write(self, frames: list[bytes]) -> None:
        self._loop.now += self.cost
        self.times.append(self._loop.now)


def publish(flusher: Flusher, *outboxes: Outbox, age: float | None = None) -> None:
    for outbox in outboxes:
        if not outbox.pending:
            flusher.dirty.append(outbox)
        outbox.pending.append(b"x")
    flusher.wake(age)


def test_idle_gateway_writes_at_once() -> None:
    loop = HandTurnedLoop()
    loop.now = 5.0
    writes = Writes(loop)
    publish(Flusher(loop), writes.outbox())
    assert writes.times == [5.0]


def test_second_message_waits_for_the_pause_to_pass() -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop), Flusher(loop, FlushPolicy(low=0.001))
    outbox = writes.outbox()
    loop.now = 1.0
    publish(flusher, outbox)
    loop.turn()
    publish(flusher, outbox)
    assert len(writes.times) == 1
    loop.settle()
    assert writes.times == [1.0, 1.001]


def stream(flusher: Flusher, loop: HandTurnedLoop, rate: float, *outboxes: Outbox, age: float | None = None) -> None:
    """To each of these so many messages a second, evenly, one after the other, for three seconds."""
    for number in range(round(3 * rate) * len(outboxes)):
        publish(flusher, outboxes[number % len(outboxes)], age=age)
        loop.pass_to(loop.now + 1 / rate / len(outboxes))


def wait_of(flusher: Flusher, loop: HandTurnedLoop, age: float | None = None) -> float:
    """How long a message waits now for a client that gets its first."""
    writes, began = Writes(loop), loop.now
    publish(flusher, writes.outbox(), age=age)
    loop.settle()
    return writes.times[0] - began


@pytest.mark.parametrize(("cost", "expected"), [(0.00001, 0.0001), (0.0003, 0.003), (0.0006, 0.006), (0.002, 0.008)])
def test_frames_wait_in_proportion_to_what_writing_takes_up_to_a_ceiling(cost: float, expected: float) -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost), Flusher(loop, FlushPolicy(low=0.001, middle=0.008, share=0.1))
    outbox = writes.outbox()
    loop.now = 1.0
    stream(flusher, loop, 1000, outbox)
    assert wait_of(flusher, loop) == pytest.approx(expected, rel=0.03, abs=0.0005)


@pytest.mark.parametrize(("rate", "expected"), [(1000, 0.008), (200, 0.010), (125, 0.016), (90, 0.020)])
def test_frames_wait_until_a_write_carries_enough_within_limits(rate: float, expected: float) -> None:
    loop = HandTurnedLoop()
    policy = FlushPolicy(low=0.001, middle=0.008, high=0.020, enough=3.0, share=0.01)
    writes, flusher = Writes(loop, cost=0.0001), Flusher(loop, policy)
    loop.now = 1.0
    stream(flusher, loop, rate, *(writes.outbox() for _ in range(20)))
    assert flusher.patience == pytest.approx(expected / 4, rel=0.15)


@pytest.mark.parametrize(("clients", "expected"), [(10, 0.020), (1000, 0.001)])
def test_frames_do_not_wait_for_clients_that_get_one_message_now_and_then(clients: int, expected: float) -> None:
    """Ten clients get a message each time, and of a thousand ten others each time."""
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost=0.001), Flusher(loop, FlushPolicy(low=0.001, high=0.020, enough=10))
    outboxes = [writes.outbox() for _ in range(clients)]
    loop.now = 1.0
    for number in range(300):
        first = 10 * number % clients
        publish(flusher, *outboxes[first : first + 10])
        loop.pass_to(loop.now + 0.005)
    assert 4 * flusher.patience == pytest.approx(expected, rel=0.1)


def patient(loop: HandTurnedLoop, age: float | None = None) -> Flusher:
    """A flusher that has much to write: frames wait for 20 ms."""
    flusher = Flusher(loop, FlushPolicy(low=0.001, middle=0.020, high=0.020))
    writes = Writes(loop, cost=0.004)
    loop.now = 1.0
    stream(flusher, loop, 200, writes.outbox(), age=age)
    return flusher


def test_each_client_waits_from_its_own_first_frame() -> None:
    loop = HandTurnedLoop()
    flusher, writes = patient(loop), Writes(loop)
    outboxes = [writes.outbox() for _ in range(2)]
    began = loop.now
    publish(flusher, outboxes[0])
    loop.pass_to(began + 0.008)
    publish(flusher, *outboxes)
    loop.settle()
    assert writes.times == pytest.approx([began + 0.020, began + 0.028], abs=0.004)


@pytest.mark.parametrize(("age", "expected"), [(None, 0.020), (0.005, 0.020), (0.001, 0.020), (0.012, 0.013), (5.0, 0.004)])
@pytest.mark.parametrize("skew", [-3600.0, 0.0, 0.2])
def test_frames_that_are_late_already_wait_less_but_not_nothing(age: float | None, expected: float, skew: float) -> None:
    """What is late is what is later than others, whatever the clocks say."""
    loop = HandTurnedLoop()
    flusher = patient(loop, 0.005 + skew)
    waited = wait_of(flusher, loop, None if age is None else age + skew)
    assert waited > 0
    assert waited == pytest.approx(expected, abs=0.004)


def test_a_late_frame_takes_those_along_that_would_have_waited_longer() -> None:
    loop = HandTurnedLoop()
    flusher, writes = patient(loop, age=0.005), Writes(loop)
    began = loop.now
    publish(flusher, writes.outbox(), age=0.005)
    publish(flusher, writes.outbox(), age=1.0)
    publish(flusher, writes.outbox(), age=0.005)
    loop.settle()
    assert writes.times == pytest.approx([began + 0.004, began + 0.004, began + 0.020], abs=0.004)


def test_pause_is_that_of_all_who_wait_however_many_chunks_they_are() -> None:
    loop = HandTurnedLoop()
    writes = Writes(loop, cost=0.000_002)
    flusher = Flusher(loop, FlushPolicy(middle=0.050, high=0.050, share=0.1, chunk=64))
    outboxes = [writes.outbox() for _ in range(1000)]
    loop.now = 1.0
    for _ in range(60):
        publish(flusher, *outboxes)
        loop.settle()
    assert 4 * flusher.patience == pytest.approx(0.020, rel=0.1)


@pytest.mark.parametrize("takes", [0.0, 1.0])
def test_clients_due_meanwhile_are_written_to_in_a_turn_of_their_own(takes: float) -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost=0.001), Flusher(loop, FlushPolicy(chunk=64))
    late = writes.outbox()

    def write(frames: list[bytes]) -> None:
        loop.now += takes
        publish(flusher, late)

    loop.now = 1.0
    publish(flusher, Outbox(write, OutboxLimits()))
    loop.now += 1.0
    assert writes.times == []
    loop.settle()
    assert len(writes.times) == 1


def test_many_clients_are_written_to_in_turns() -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop), Flusher(loop, FlushPolicy(chunk=200))
    loop.now = 1.0
    publish(flusher, *(writes.outbox() for _ in range(450)))
    counts = [len(writes.times)]
    for _ in range(2):
        loop.turn()
        counts.append(len(writes.times))
    assert counts == [200, 400, 450]


def test_who_has_waited_longest_is_written_to_first() -> None:
    loop, order = HandTurnedLoop(), list[int]()

    def outbox(number: int) -> Outbox:
        return Outbox(lambda frames: order.append(number), OutboxLimits())

    loop.now = 1.0
    publish(Flusher(loop, FlushPolicy(chunk=2)), *map(outbox, range(5)))
    loop.settle()
    assert order == [0, 1, 2, 3, 4]


def test_what_comes_during_a_flush_goes_out_with_the_next() -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop), Flusher(loop, FlushPolicy(chunk=1))
    first, second = writes.outbox(), writes.outbox()
    loop.now = 1.0
    publish(flusher, first, second)
    publish(flusher, first)  # written to already
    loop.settle()
    assert len(writes.times) == 3
    assert first.pending == second.pending == []
