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
        self._cost = cost

    def outbox(self) -> Outbox:
        return Outbox(self._write, OutboxLimits())

    def _write(self, frames: list[bytes]) -> None:
        self._loop.now += self._cost
        self.times.append(self._loop.now)


def publish(flusher: Flusher, *outboxes: Outbox) -> None:
    for outbox in outboxes:
        if not outbox.pending:
            flusher.dirty.append(outbox)
        outbox.pending.append(b"x")
    flusher.wake()


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


@pytest.mark.parametrize(("cost", "expected"), [(0.0, 0.001), (0.003, 0.006), (0.015, 0.020), (0.030, 0.0)])
def test_frames_wait_twice_as_long_as_writing_takes_up_to_a_ceiling(cost: float, expected: float) -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost), Flusher(loop, FlushPolicy(low=0.001, high=0.020, share=0.5))
    outbox = writes.outbox()
    loop.now = 1.0
    for _ in range(60):
        published = loop.now
        publish(flusher, outbox)
        loop.settle()
    assert writes.times[-1] - cost - published == pytest.approx(expected, rel=0.01, abs=1e-9)


@pytest.mark.parametrize(("clients", "expected"), [(10, 0.020), (1000, 0.0)])
def test_frames_do_not_wait_for_clients_that_get_one_message_now_and_then(clients: int, expected: float) -> None:
    """Ten clients get a message each time, and of a thousand ten others each time."""
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost=0.001), Flusher(loop, FlushPolicy(low=0.001, high=0.020, share=0.5))
    outboxes = [writes.outbox() for _ in range(clients)]
    loop.now = 1.0
    for number in range(60):
        first, published = 10 * number % clients, loop.now
        publish(flusher, *outboxes[first : first + 10])
        loop.settle()
    assert writes.times[-10] - 0.001 - published == pytest.approx(expected, abs=0.0002)


def test_each_client_waits_from_its_own_first_frame() -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost=0.004), Flusher(loop, FlushPolicy(low=0.001, high=0.020, share=0.2))
    outboxes = [writes.outbox() for _ in range(2)]
    loop.now = 1.0
    for _ in range(60):  # until every frame waits for 20 ms
        publish(flusher, outboxes[0])
        loop.settle()
    began, writes.times[:] = loop.now, []
    publish(flusher, outboxes[0])
    loop.now += 0.008
    publish(flusher, *outboxes)
    loop.settle()
    assert writes.times == pytest.approx([began + 0.024, began + 0.032])


def test_pause_is_that_of_all_who_wait_however_many_chunks_they_are() -> None:
    loop = HandTurnedLoop()
    writes = Writes(loop, cost=0.000_01)
    flusher = Flusher(loop, FlushPolicy(high=0.050, share=0.5, chunk=64))
    outboxes = [writes.outbox() for _ in range(1000)]
    loop.now = 1.0
    for _ in range(60):
        published = loop.now
        publish(flusher, *outboxes)
        loop.settle()
    assert writes.times[-1000] - published == pytest.approx(0.020, rel=0.1)


def test_clients_due_meanwhile_are_written_to_in_a_turn_of_their_own() -> None:
    loop = HandTurnedLoop()
    writes, flusher = Writes(loop, cost=0.001), Flusher(loop, FlushPolicy(chunk=64))
    late = writes.outbox()
    early = Outbox(lambda frames: publish(flusher, late), OutboxLimits())
    loop.now = 1.0
    publish(flusher, early)
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
