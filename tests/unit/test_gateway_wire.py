"""Compressed messages: each by itself, made once for all clients of its wire, and only where that is shorter."""

from __future__ import annotations

import zlib
from collections import Counter
from itertools import product

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.door import PORTFOLIO_PATH, Entrance
from gateway.websocket import frame_on
from gateway.wire import Wire
from schemas.topics import VALUATIONS
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_parts import HandTurnedLoop, arrivals, make_hub
from tests.gateway_portfolios import Floor, make_valuation
from tests.portfolio_parts import PORTFOLIO

WIRES = [Wire(packed, deflated) for packed, deflated in product((False, True), repeat=2)]


def inflate(deflated: bytes) -> bytes:
    """As a client does that kept nothing of the message before, and has the smallest window it can be asked to have."""
    return zlib.decompressobj(-9).decompress(deflated + b"\x00\x00\xff\xff")


def body(frame: bytes) -> bytes:
    """What stands in a frame behind its head."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


@given(
    st.binary(max_size=70_000) | st.lists(st.sampled_from([b'{"price":"61837.63"}', b",", b"x"]), max_size=500).map(b"".join),
    st.booleans(),
)
def test_what_is_compressed_comes_back_and_is_marked_and_shorter(payload: bytes, packed: bool) -> None:
    plain, frame = (frame_on(payload, Wire(packed, deflated)) for deflated in (False, True))
    assert (plain[0], body(plain)) == (0x82 if packed else 0x81, payload)
    if frame[0] == plain[0]:
        assert frame == plain
    else:
        assert len(frame) < len(plain)
        assert (frame[0], inflate(body(frame))) == (plain[0] | 0x40, payload)


def test_message_that_gains_nothing_is_sent_as_it_is() -> None:
    assert frame_on(b"{}", Wire(deflated=True)) == frame_on(b"{}") == b"\x81\x02{}"
    repeated = b'{"bids":[["1","1"],["1","1"],["1","1"],["1","1"]]}'
    assert frame_on(repeated, Wire(deflated=True))[0] == 0xC1


def read(wire: Wire, frame: bytes) -> object:
    """A message as its client reads it."""
    payload = inflate(body(frame)) if frame[0] & 0x40 else body(frame)
    return msgspec.msgpack.decode(payload) if wire.packed else orjson.loads(payload)


def test_every_client_is_told_the_same_on_its_wire_and_each_wire_is_framed_once() -> None:
    made = Counter[tuple[bytes, Wire]]()

    def frame(payload: bytes, wire: Wire) -> bytes:
        made[payload, wire] += 1
        return frame_on(payload, wire)

    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT], frame=frame)
    told: list[tuple[Wire, list[bytes]]] = [(wire, []) for wire in WIRES for _ in range(3)]
    for wire, frames in told:
        client = hub.connect("x", frames.extend, lambda code: None, hub.arrive("127.0.0.1", None), wire=wire)
        hub.receive(client, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["TRADE"]}')
        hub.receive(client, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["QUOTE"],"fields":["last"]}')
    loop.settle()
    made.clear()
    hub.take(arrivals("md.trades", [make_trade(1), make_trade(2)]))
    loop.settle()
    assert set(made.values()) == {1}
    assert len(made) == len(WIRES) * 4  # two trades, and what each makes of the quote
    heard = [[read(wire, each) for each in frames] for wire, frames in told]
    assert all(one == heard[0] for one in heard)
    for wire, frames in told:
        assert any(each[0] & 0x40 for each in frames) == wire.deflated


@pytest.mark.parametrize("wire", WIRES)
def test_portfolios_are_told_on_the_wire_of_their_client(wire: Wire) -> None:
    used = set[Wire]()

    def frame(payload: bytes, found: Wire) -> bytes:
        used.add(found)
        return payload

    floor = Floor(frame=frame)
    floor.create(PORTFOLIO)
    visitor, entrance = floor.hub.arrive("127.0.0.1", None), Entrance(PORTFOLIO_PATH, "x", PORTFOLIO)
    client = floor.hub.connect("x", lambda frames: None, lambda code: None, visitor, entrance, wire=wire)
    floor.hub.receive(client, b'{"action":"subscribe"}')
    floor.feed(VALUATIONS.name, make_valuation())
    floor.loop.settle()
    assert used == {wire}
