"""Frames put down for many clients, and flushed for many."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.writing import Pending, PlainPending, flush_all, flush_plainly, put_all, put_plainly

Put = Callable[[Sequence[PlainPending], bytes, list[PlainPending]], None]
Flush = Callable[[list[PlainPending], float, float], tuple[int, float]]

either = pytest.mark.parametrize(
    ("kind", "put", "flush"), [(PlainPending, put_plainly, flush_plainly), (Pending, put_all, flush_all)]
)
"""One and the same where nothing was built."""


@either
@given(puts=st.lists(st.sets(st.integers(0, 4)), max_size=20), behind=st.sets(st.integers(0, 4)))
def test_each_client_gets_its_frames_in_one_write(
    kind: type[PlainPending], put: Put, flush: Flush, puts: list[set[int]], behind: set[int]
) -> None:
    written: list[tuple[int, list[bytes]]] = []

    def client(number: int) -> PlainPending:
        return kind(lambda frames: written.append((number, frames)))

    clients, dirty = [client(number) for number in range(5)], list[PlainPending]()
    for number in behind:
        clients[number].behind = True
    for number, to in enumerate(puts):
        put([clients[each] for each in sorted(to)], b"%d" % number, dirty)
    first_put = [min((n for n, to in enumerate(puts) if each in to), default=99) for each in range(5)]
    assert dirty == sorted((c for c in clients if c.pending), key=lambda c: (first_put[clients.index(c)], clients.index(c)))
    waiting = sum(len(client.pending) for client in dirty)
    assert flush(dirty, 5.0, 4.0) == (waiting, 4.0 * len(dirty))
    kept_up = [clients.index(each) for each in dirty if clients.index(each) not in behind]
    assert written == [(each, [b"%d" % number for number, to in enumerate(puts) if each in to]) for each in kept_up]
    assert all(bool(client.pending) == (clients.index(client) in behind) for client in dirty)
    assert all(client.flushed_at == 5.0 for client in dirty)


@either
def test_frames_are_counted_and_the_time_they_came_in(kind: type[PlainPending], put: Put, flush: Flush) -> None:
    clients = [kind(lambda frames: None) for _ in range(3)]
    put(clients, b"first", [])
    put(clients[:1], b"second", [])
    assert flush(clients[:2], 1.0, 0.5) == (3, 1.0)
    put(clients[:1], b"third", [])
    assert flush(clients, 1.25, 0.5) == (2, 0.25 + 0.25 + 0.5)
    assert flush([], 2.0, 0.5) == (0, 0.0)
