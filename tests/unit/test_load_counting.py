"""What the load counts in a stream of bytes, however it was cut."""

import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.messages import encode
from gateway.websocket import frame_on
from tapeline.load.counting import STEP, PlainReader, Reader, Tally, percentile_ms
from tapeline.load.plan import LoadPlan, split

ReaderClass = type[PlainReader]

either = pytest.mark.parametrize("reader_class", [PlainReader, Reader])  # one and the same where nothing was built

NOW = 1_790_000_000_000_000


def trade(late: int) -> bytes:
    """A trade that the platform received `late` microseconds before NOW, in a message made half as long before."""
    data = {"instrument": "sim:A-USD", "received_at": NOW - late}
    return frame_on(encode("trade_data", NOW - late // 2, data))


@either
@given(st.lists(st.booleans(), max_size=30), st.lists(st.integers(0, 3000), max_size=20))
def test_messages_are_counted_once_wherever_the_stream_is_cut(
    reader_class: ReaderClass, kinds: list[bool], cuts: list[int]
) -> None:
    stream = b"".join(trade(5000) if is_trade else frame_on(encode("status", NOW, {})) for is_trade in kinds)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader, tally = reader_class("trade_data"), Tally()
    for begin, end in itertools.pairwise(bounds):
        reader.take(stream[begin:end], NOW, tally)
    assert (tally.messages, tally.received_bytes) == (sum(kinds), len(stream))
    assert set(tally.since_received) <= {5000 // STEP}
    assert set(tally.since_sent) <= {2500 // STEP}
    assert tally.since_received.total() <= tally.messages


@either
def test_one_sample_stands_for_all_messages_of_a_chunk(reader_class: ReaderClass) -> None:
    reader, tally = reader_class("trade_data"), Tally()
    reader.take(trade(1000) * 7, NOW, tally)
    reader.take(trade(9000), NOW, tally)
    assert tally.since_received == {1000 // STEP: 7, 9000 // STEP: 1}
    assert percentile_ms(tally.since_received, 0.5) == 1.02
    assert percentile_ms(tally.since_received, 0.99) == 9.02
    assert percentile_ms({}, 0.5) is None


def test_chunk_that_is_looked_at_stands_for_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    chances = iter([0.9, 0.1, 0.0])  # whether to look at the first chunk, at the second, and where in that
    monkeypatch.setattr("tapeline.load.counting.random.random", lambda: next(chances))
    reader, tally = PlainReader("trade_data", sampled=8), Tally()
    reader.take(trade(1000) * 2, NOW, tally)
    reader.take(trade(9000) * 3, NOW, tally)
    assert tally.messages == 5
    assert tally.since_received == {9000 // STEP: 3 * 8}


@either
def test_chunks_looked_at_stand_for_all(reader_class: ReaderClass) -> None:
    reader, tally = reader_class("trade_data", sampled=8), Tally()
    for _ in range(20_000):
        reader.take(trade(1000), NOW, tally)
    assert tally.messages == 20_000
    assert tally.since_received.total() == pytest.approx(20_000, rel=0.15)  # eight standard deviations


@either
def test_socket_is_read_until_it_ends(reader_class: ReaderClass) -> None:
    near, far = socket.socketpair()
    reader, tally = reader_class("trade_data"), Tally()
    with near, far:
        near.setblocking(False)
        assert reader.read(near.fileno(), NOW, tally) == -1
        rest = b"\x89\x00" + b"\x88\x11" + struct.pack(">H", 1012) + b"service restart"
        far.sendall(trade(1000) + rest)
        assert reader.read(near.fileno(), NOW, tally, 10) == 10
        assert reader.read(near.fileno(), NOW, tally) == len(trade(1000) + rest) - 10
        assert (tally.messages, reader.is_pinged) == (1, True)
        far.close()
        assert reader.read(near.fileno(), NOW, tally) == 0
    assert reader.close_code == 1012
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.read(-1, NOW, tally)


@either
def test_message_without_a_receive_time_is_timed_by_the_gateways(reader_class: ReaderClass) -> None:
    reader, tally = reader_class("market_data"), Tally()
    reader.take(frame_on(encode("market_data", NOW - 100, {"instrument": "a"})), NOW, tally)
    assert (tally.since_sent, tally.since_received) == ({100 // STEP: 1}, {})


@either
def test_message_that_names_no_receive_time_is_timed_by_the_gateways(reader_class: ReaderClass) -> None:
    reader, tally = reader_class("market_data"), Tally()
    reader.take(frame_on(encode("market_data", NOW - 100, {"received_at": None, "bid": "1"})), NOW, tally)
    assert (tally.since_sent, tally.since_received) == ({100 // STEP: 1}, {})


@either
def test_close_code_is_that_of_the_last_frame(reader_class: ReaderClass) -> None:
    reader = reader_class("trade_data")
    for chunk in (trade(1), b"\x88\x0e" + struct.pack(">H", 4008)):
        reader.take(chunk, NOW, Tally())
    assert reader.close_code is None
    reader.take(b"slow consume"[:12], NOW, Tally())
    assert reader.close_code == 4008
    reader.take(trade(1), NOW, Tally())
    assert reader.close_code is None


@given(st.integers(1, 300), st.integers(1, 7), st.integers(0, 300))
def test_processes_share_the_clients_and_the_slow_ones(clients: int, processes: int, slow: int) -> None:
    slow = min(slow, clients)
    parts = split(LoadPlan("h", 1, ["a"], clients, slow=slow), processes)
    assert [part.first for part in parts] == [sum(before.clients for before in parts[:each]) for each in range(len(parts))]
    assert sum(part.clients for part in parts) == clients
    assert sum(part.slow for part in parts) == slow
    assert all(part.slow <= part.clients for part in parts)


def test_symbols_are_dealt_out_in_turn() -> None:
    plan = LoadPlan("h", 1, ["a", "b", "c"], 2, per_client=2)
    assert [plan.symbols_of(number) for number in range(3)] == [["a", "b"], ["c", "a"], ["b", "c"]]
    assert LoadPlan("h", 1, ["a"], 1, per_client=5).symbols_of(3) == ["a"]


def test_tokens_are_used_in_turn_and_not_shown() -> None:
    plan = LoadPlan("h", 1, ["a"], 2, tokens=("one", "two"))
    assert b"Bearer two" in plan.request_of(3)
    assert "one" not in repr(plan)


@given(st.integers(0, 400))
def test_ping_is_seen_wherever_the_stream_is_cut(cut: int) -> None:
    ping = Frame(Opcode.PING, b"").serialize(mask=False)
    stream = trade(1000) + ping + trade(1000)
    reader, seen = Reader("trade_data"), False
    for chunk in (stream[:cut], stream[cut:]):
        reader.take(chunk, NOW, Tally())
        seen |= reader.is_pinged
    assert seen
    reader.take(trade(1000), NOW, Tally())
    assert not reader.is_pinged
