"""MessagePack instead of JSON, by the subprotocol."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.door import PORTFOLIO_PATH, Entrance
from gateway.packing import pack, unpack
from gateway.refusals import ErrorCode, Refusal
from gateway.wire import Wire
from schemas.topics import VALUATIONS
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_parts import HandTurnedLoop, arrivals, make_hub
from tests.gateway_portfolios import Floor, make_valuation
from tests.portfolio_parts import PORTFOLIO

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_message_is_the_same_in_both(value: Any) -> None:
    assert orjson.loads(unpack(pack(orjson.dumps(value)))) == value


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x91", msgspec.msgpack.encode(b"bytes"), b"\x91" * 100_000 + b"\xc0"])
def test_what_json_cannot_say_is_refused(packed: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        unpack(packed)
    assert refused.value.code is ErrorCode.MALFORMED_JSON


def test_client_that_speaks_it_is_told_everything_in_it_and_others_in_json() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    told: dict[bool, list[bytes]] = {True: [], False: []}
    for packed, frames in told.items():
        client = hub.connect("x", frames.extend, lambda code: None, hub.arrive("127.0.0.1", None), wire=Wire(packed=packed))
        hub.receive(client, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["QUOTE","TRADE"]}')
        hub.receive(client, b'{"action":"nonsense"}')
    hub.take(arrivals("md.trades", [make_trade(1), make_trade(2)]))
    loop.settle()
    in_json = [orjson.loads(frame) for frame in told[False]]
    in_messagepack = [msgspec.msgpack.decode(frame) for frame in told[True]]
    kinds = ["status", "subscribe", "error", "market_data", "trade_data"]
    assert list(dict.fromkeys(message["type"] for message in in_messagepack)) == kinds
    assert [message["data"] for message in in_messagepack] == [message["data"] for message in in_json]


def test_snapshots_are_binary_as_all_else() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT], frame=lambda payload, wire: (b"binary " if wire.packed else b"text ") + payload)
    hub.take(arrivals("md.trades", [make_trade(1)]))
    told: dict[bool, list[bytes]] = {True: [], False: []}
    for packed, frames in told.items():
        client = hub.connect("x", frames.extend, lambda code: None, hub.arrive("127.0.0.1", None), wire=Wire(packed=packed))
        hub.receive(client, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["QUOTE"]}')
        hub.receive(client, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["QUOTE"],"fields":["last"]}')
    loop.settle()
    assert {frame.split()[0] for frame in told[True]} == {b"binary"}
    assert {frame.split()[0] for frame in told[False]} == {b"text"}
    in_json = [orjson.loads(frame.removeprefix(b"text ")) for frame in told[False]]
    assert [msgspec.msgpack.decode(frame.removeprefix(b"binary "))["data"] for frame in told[True]] == [
        message["data"] for message in in_json
    ]
    assert [message["type"] for message in in_json] == ["status", "subscribe", "market_data", "subscribe", "market_data"]


def test_portfolios_are_told_in_it_as_well() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    told: dict[bool, list[bytes]] = {True: [], False: []}
    for packed, frames in told.items():
        visitor, entrance = floor.hub.arrive("127.0.0.1", None), Entrance(PORTFOLIO_PATH, "x", PORTFOLIO)
        client = floor.hub.connect("x", frames.extend, lambda code: None, visitor, entrance, wire=Wire(packed=packed))
        floor.hub.receive(client, b'{"action":"subscribe"}')
    floor.feed(VALUATIONS.name, make_valuation())
    floor.loop.settle()
    in_json = [orjson.loads(frame) for frame in told[False]]
    assert [msgspec.msgpack.decode(frame)["data"] for frame in told[True]] == [message["data"] for message in in_json]
    assert [message["type"] for message in in_json] == ["status", "subscribe", "portfolio_snapshot", "portfolio_update"]
