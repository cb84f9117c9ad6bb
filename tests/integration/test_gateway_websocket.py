"""The WebSocket protocol on the real server: what is sent, what is refused, how it ends."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway.client import GatewayClient, Refused
from gateway.close_codes import CloseCode
from gateway.outbox import OutboxLimits
from gateway.outcome import SessionLimits
from gateway.service import GatewayOptions
from gateway.websocket import MarketSocket, SocketLimits
from market.candle import CandleEventKind
from market.decimals import ONE
from market.errors import WebSocketError
from runtime.retry import Backoff
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_candle, make_quote
from tests.gateway_running import PATIENCE, RawClient, Running, in_loop, receive, running, soon

ETH = "binance:ETH-USDT"
KNOWN = GatewayOptions(instruments=(INSTRUMENT, ETH))


async def raw(gateway: Running, work: Callable[[RawClient], Any], **options: Any) -> Any:
    """Do something with a raw, upgraded connection, in a thread."""

    def blocking() -> Any:
        client = RawClient(gateway.port, **options)
        try:
            assert b"101" in client.upgrade().split(b"\r\n")[0]
            return work(client)
        finally:
            client.close()

    return await asyncio.to_thread(blocking)


async def connections(gateway: Running) -> dict[str, int]:
    """The gateway's own count of its clients."""
    _, status = await gateway.get("/api/v1/realtime/status")
    return dict(status["data"]["connections"])


@in_loop
async def test_small_messages_are_not_held_back_for_the_acknowledgement_of_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[asyncio.BaseTransport]()
    accept = MarketSocket.connection_made

    def connection_made(self: MarketSocket, transport: asyncio.BaseTransport) -> None:
        made.append(transport)
        accept(self, transport)

    monkeypatch.setattr(MarketSocket, "connection_made", connection_made)
    async with running() as gateway, gateway.client():
        accepted = made[0].get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@in_loop
async def test_snapshot_first_then_live_for_every_data_type() -> None:
    async with running() as gateway, gateway.client(client_id="desk-1") as client:
        gateway.intake.feed("md.quotes", make_quote(sequence=1, bid=ONE, ask=2 * ONE))
        gateway.intake.feed("md.trades", make_trade(1, price=7))
        gateway.intake.feed("md.candles", make_candle(0, kind=CandleEventKind.CLOSE, revision=1))
        answer = await client.subscribe("BTC/USDT", ["QUOTE", "TRADE", "KLINE"], interval="1m", history=5)
        assert [grant["snapshot"] for grant in answer["subscriptions"]] == [1, 1, 1]
        gateway.intake.feed("md.trades", make_trade(2, price=8, at=START + 1))
        gateway.intake.feed("md.candles", make_candle(1))
        messages = await receive(client, 6)
    kinds = [(message["type"], message["metadata"].get("snapshot", False)) for message in messages]
    assert kinds == [
        ("market_data", True),
        ("trade_data", True),
        ("kline_data", True),
        ("market_data", False),
        ("trade_data", False),
        ("kline_data", False),
    ]
    assert messages[0]["data"]["bid"] == "1"
    assert messages[4]["data"] | {"price": "8", "trade_id": "2"} == messages[4]["data"]
    assert all(isinstance(message["timestamp"], int) for message in messages)


@in_loop
async def test_errors_are_answered_and_close_nothing() -> None:
    async with running(KNOWN) as gateway, gateway.client() as client:
        with pytest.raises(Refused, match="NO/SUCH") as caught:
            await client.subscribe("NO/SUCH")
        assert caught.value.error["name"] == "UNKNOWN_SYMBOL"
        assert await client.ping() < 1
        answer = await client.unsubscribe(INSTRUMENT)
        assert answer == {"unsubscribed": [], "refused": []}


@in_loop
async def test_fragments_with_a_ping_between_are_one_message() -> None:
    async with running(KNOWN) as gateway:

        def work(client: RawClient) -> None:
            client.read_json("status")
            client.send_frame(1, b'{"action":"pi', fin=False)
            client.send_frame(9, b"beat")
            client.send_frame(0, b'ng","id":1}')
            answers = dict([client.read_frame(), client.read_frame()])
            assert answers[10] == b"beat"
            assert orjson.loads(answers[1])["id"] == 1

        await raw(gateway, work)


@in_loop
async def test_character_split_over_fragments_is_put_together() -> None:
    async with running(KNOWN) as gateway:

        def work(client: RawClient) -> Any:
            text = '{"action":"ping","id":"é"}'.encode()
            cut = text.index(b"\xa9")
            client.send_frame(1, text[:cut], fin=False)
            client.send_frame(0, text[cut:])
            return client.read_json("pong")["id"]

        assert await raw(gateway, work) == "é"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(1, b'{"action":"\xff"}', {})], 1007),
        ([(1, b'{"action":"\xc3', {"fin": False}), (0, b'"}', {})], 1007),
        ([(1, b"{}", {"masked": False})], 1002),
        ([(1, b"{}", {"reserved": 0x40})], 1002),
        ([(3, b"", {})], 1002),
        ([(0, b"{}", {})], 1002),
        ([(1, b"{", {"fin": False}), (1, b"}", {})], 1002),
        ([(9, b"x" * 126, {})], 1002),
        ([(8, struct.pack(">H", 999), {})], 1002),
        ([(8, struct.pack(">H", 1000), {})], 1000),
        ([(1, b"x" * 300_000, {})], 1009),
        ([(1, b"x" * 200_000, {"fin": False}), (0, b"x" * 200_000, {})], 1009),
    ],
    ids=[
        "bad UTF-8",
        "bad UTF-8 over fragments",
        "unmasked",
        "reserved bit",
        "unknown opcode",
        "continuation of nothing",
        "message in a message",
        "long ping",
        "bad close code",
        "client closes",
        "too big",
        "too big in fragments",
    ],
)
def test_broken_frames_end_with_their_code(frames: list[tuple[int, bytes, dict[str, Any]]], code: int) -> None:
    async def main() -> None:
        async with running(KNOWN) as gateway:

            def work(client: RawClient) -> int:
                for opcode, payload, options in frames:
                    client.send_frame(opcode, payload, **options)
                return client.read_until_close()

            assert await raw(gateway, work) == code
            assert (await gateway.get("/healthz"))[0] == 200

    asyncio.run(main())


@in_loop
async def test_message_just_too_large_and_binary_are_errors_not_the_end() -> None:
    async with running(KNOWN) as gateway:

        def work(client: RawClient) -> list[str]:
            client.send_frame(1, b'{"action":"' + b"x" * 70_000 + b'"}')
            names = [client.read_json("error")["data"]["name"]]
            client.send_frame(2, b"\x01\x02")
            names.append(client.read_json("error")["data"]["name"])
            client.send_frame(2, b"\x01", fin=False)
            client.send_frame(0, b"\x02")
            names.append(client.read_json("error")["data"]["name"])
            client.send_frame(1, b'{"action":"ping"}')
            client.read_json("pong")
            return names

        assert await raw(gateway, work) == ["MESSAGE_TOO_LARGE", "BINARY_NOT_SUPPORTED", "BINARY_NOT_SUPPORTED"]


@in_loop
async def test_client_that_only_errs_is_closed_with_a_code_that_says_so() -> None:
    async with running(GatewayOptions(session_limits=SessionLimits(errors=5, error_pause=60_000_000))) as gateway:

        def work(client: RawClient) -> tuple[int, int]:
            for _ in range(10):
                client.send_frame(1, b"nonsense")
            errors = 0
            while True:
                opcode, payload = client.read_frame()
                if opcode == 8:
                    return errors, int.from_bytes(payload[:2], "big")
                errors += orjson.loads(payload)["type"] == "error"

        assert await raw(gateway, work) == (6, CloseCode.TOO_MANY_ERRORS)


@pytest.mark.parametrize(
    ("path", "extra", "status"),
    [
        ("/api/ws/other", "", b"404"),
        ("/api/ws/market?client_id=a%20b", "", b"400"),
        ("/api/ws/market?colour=red", "", b"422"),
        ("/api/ws/market", "Origin: http://evil.example\r\n", b"403"),
        ("/api/ws/market", "Origin: http://localhost\r\nOrigin: http://localhost\r\n", b"400"),
    ],
)
def test_handshake_is_refused_with_a_reason(path: str, extra: str, status: bytes) -> None:
    async def main() -> None:
        async with running() as gateway:

            def work() -> bytes:
                client = RawClient(gateway.port)
                head = client.upgrade(path, extra=extra)
                client.close()
                return head

            head = await asyncio.to_thread(work)
            assert head.split(b" ")[1] == status
            assert b"application/json" in head

    asyncio.run(main())


@in_loop
async def test_browser_with_keep_alive_and_its_own_origin_is_let_in() -> None:
    async with running() as gateway:

        def work() -> bytes:
            client = RawClient(gateway.port)
            head = client.upgrade(connection="keep-alive, Upgrade", extra="Origin: http://localhost\r\n")
            client.close()
            return head

        assert b" 101 " in await asyncio.to_thread(work)


@in_loop
async def test_refusal_reaches_the_python_client_with_its_reason() -> None:
    async with running(GatewayOptions(max_clients=1)) as gateway, gateway.client():
        with pytest.raises(WebSocketError, match="TOO_MANY_CLIENTS"):
            await gateway.client().__aenter__()


@in_loop
async def test_gateway_that_has_not_caught_up_lets_nobody_in() -> None:
    async with running(caught_up=False) as gateway:
        with pytest.raises(WebSocketError, match=r"503.*reading recent records"):
            await gateway.client().__aenter__()
        gateway.intake.report(None)
        async with gateway.client() as client:
            assert await client.ping() < 1


@in_loop
async def test_slow_reader_gets_the_latest_quote_and_a_gap_and_slows_nobody() -> None:
    limits = SocketLimits(slow_seconds=PATIENCE)  # it is not cut, however long the other one takes
    options = GatewayOptions(instruments=(INSTRUMENT,), outbox_limits=OutboxLimits(messages=50), socket_limits=limits)
    async with running(options) as gateway, gateway.client() as fast:
        await fast.subscribe(INSTRUMENT, ["TRADE"])
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()
        total = 30_000

        def work(client: RawClient) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            client.send_frame(1, b'{"action":"subscribe","symbol":"BTC-USDT","data_types":["QUOTE","TRADE"]}')
            client.read_json("subscribe")
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(PATIENCE)  # reads nothing meanwhile
            gaps: list[dict[str, Any]] = []
            trades: list[dict[str, Any]] = []
            while not trades or trades[-1]["data"]["trade_id"] != str(total):
                message = orjson.loads(client.read_frame()[1])
                (gaps if message["type"] == "gap" else trades if message["type"] == "trade_data" else []).append(message)
            return gaps, trades

        slow = asyncio.create_task(raw(gateway, work, receive_buffer=4096))
        while (await connections(gateway))["subscriptions"] < 3:
            await asyncio.sleep(0.01)
        reader = asyncio.create_task(receive(fast, total, ["trade_data"]))
        for number in range(1, total + 1, 500):
            gateway.intake.feed("md.trades", *(make_trade(n, at=START + n) for n in range(number, number + 500)))
            await asyncio.sleep(0)
        assert len(await soon(reader)) == total
        go_on.set()
        gaps, trades = await soon(slow)
        dropped = sum(gap["data"]["dropped"] for gap in gaps)
        assert dropped > 0
        assert dropped + len(trades) == total
        missing = [n for gap in gaps for n in range(gap["metadata"]["first_offset"], gap["metadata"]["last_offset"] + 1)]
        received = [trade["metadata"]["offset"] for trade in trades]
        assert sorted(missing + received) == list(range(total))
        counted = await connections(gateway)
        assert counted["conflated"] > 0
        assert counted["dropped"] == dropped


@in_loop
async def test_client_that_does_not_read_is_cut_with_a_code() -> None:
    limits = SocketLimits(slow_seconds=0.3, close_seconds=PATIENCE)
    async with running(GatewayOptions(instruments=(INSTRUMENT,), socket_limits=limits)) as gateway:
        loop, cut = asyncio.get_running_loop(), asyncio.Event()

        def work(client: RawClient) -> int:
            client.send_frame(1, b'{"action":"subscribe","symbol":"BTC-USDT","data_type":"TRADE"}')
            client.read_json("subscribe")
            asyncio.run_coroutine_threadsafe(cut.wait(), loop).result(PATIENCE)
            return client.read_until_close()

        slow = asyncio.create_task(raw(gateway, work, receive_buffer=4096))
        while (await connections(gateway))["subscriptions"] < 1:
            await asyncio.sleep(0.01)
        number = 0
        while (await connections(gateway))["clients"]:
            gateway.intake.feed("md.trades", *(make_trade(number + n) for n in range(1, 501)))
            number += 500
        cut.set()
        assert await soon(slow) == CloseCode.SLOW_CONSUMER


@in_loop
async def test_silent_client_is_removed_and_one_that_answers_stays() -> None:
    async with running(GatewayOptions(socket_limits=SocketLimits(ping_seconds=0.2))) as gateway, gateway.client():
        mute = RawClient(gateway.port)
        await asyncio.to_thread(mute.upgrade)
        while (await connections(gateway))["clients"] != 1:
            await asyncio.sleep(0.02)
        mute.close()
        await asyncio.sleep(0.7)
        assert (await connections(gateway))["clients"] == 1


@in_loop
async def test_stopping_gateway_tells_its_clients_to_come_back() -> None:
    async with running() as gateway:
        async with gateway.client() as client:
            gateway.stop.set()
            (notice,) = [message async for message in client if message["type"] != "status"]
            assert notice["data"] == {"text": "the gateway stops", "reconnect_ms": 2000}
            assert client.close_code == CloseCode.SERVICE_RESTART
        await soon(gateway.ended)


@in_loop
async def test_client_that_ignores_the_goodbye_does_not_hold_up_the_gateway() -> None:
    async with running(GatewayOptions(socket_limits=SocketLimits(close_seconds=0.2))) as gateway:
        deaf = RawClient(gateway.port)
        await asyncio.to_thread(deaf.upgrade)
        gateway.stop.set()
        await soon(gateway.ended)
        assert await asyncio.to_thread(deaf.read_until_close) == CloseCode.SERVICE_RESTART
        deaf.close()


@in_loop
async def test_client_comes_back_by_itself_and_asks_for_the_same() -> None:
    async with running(KNOWN) as first:
        port = first.port
        client = first.client(reconnect=Backoff(0.05, 0.2))
        await client.__aenter__()
        await client.subscribe([INSTRUMENT, ETH], ["TRADE"])
        await client.unsubscribe(ETH)
    async with running(GatewayOptions(port=port, instruments=(INSTRUMENT, ETH))) as second:
        while (await connections(second))["subscriptions"] != 1:
            await asyncio.sleep(0.02)
        second.intake.feed("md.trades", make_trade(5), make_trade(6, instrument=ETH))
        (trade,) = await receive(client, 1, ["trade_data"])
        assert trade["data"]["trade_id"] == "5"
        assert client.reconnects == 1
        await client.close()


@in_loop
async def test_more_answers_than_the_client_has_read_do_not_block_its_requests() -> None:
    async with running() as gateway:
        gateway.intake.feed("md.candles", *(make_candle(minute) for minute in range(900)))
        async with gateway.client() as client:
            for _ in range(4):
                await client.subscribe("BTC/USDT", ["KLINE"], history=900)
            assert len(await receive(client, 3600)) == 3600


@in_loop
async def test_disturbed_source_reaches_every_client() -> None:
    async with running() as gateway, gateway.client() as client:
        gateway.intake.report("Kafka at x is not reachable")
        gateway.intake.report(None)
        greeting, stale, live = await receive(client, 3, ["status"])
        assert greeting["data"]["state"] == "LIVE"
        assert (stale["data"]["state"], stale["data"]["reason"]) == ("STALE", "Kafka at x is not reachable")
        assert live["data"]["state"] == "LIVE"


@in_loop
async def test_client_cannot_connect_where_nothing_listens() -> None:
    with pytest.raises(WebSocketError, match="cannot be reached"):
        await GatewayClient("ws://127.0.0.1:1").__aenter__()


@in_loop
async def test_client_that_speaks_messagepack_hears_and_says_the_same() -> None:
    known = GatewayOptions(instruments=(INSTRUMENT,))
    async with running(known) as gateway, gateway.client(packed=True) as packed, gateway.client() as plain:
        for client in (packed, plain):
            await client.subscribe(INSTRUMENT, ["TRADE"], fields=["trade_id"])
        gateway.intake.feed("md.trades", make_trade(1), make_trade(2))
        assert [m["data"] for m in await receive(packed, 2)] == [m["data"] for m in await receive(plain, 2)]
        assert [m["delivered"] for m in (await packed.subscriptions())["subscriptions"]] == [2]
        await packed._connection.send(b"\xc1")
        (error,) = await receive(packed, 1, ["error"])
        assert error["data"]["name"] == "MALFORMED_JSON"


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
ACCEPTED = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"


def inflate(payload: bytes) -> bytes:
    return zlib.decompressobj(-9).decompress(payload + b"\x00\x00\xff\xff")


def deflate(payload: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


@in_loop
async def test_messages_are_compressed_for_clients_that_offer_it_where_that_is_configured() -> None:
    options = GatewayOptions(instruments=(INSTRUMENT,), compression=True)
    async with running(options) as gateway:
        async with (
            gateway.client(compressed=True) as one,
            gateway.client(compressed=True, packed=True) as other,
            gateway.client() as plain,
        ):
            clients = (one, other, plain)
            for client in clients:
                await client.subscribe(INSTRUMENT, ["TRADE"])
            gateway.intake.feed("md.trades", *(make_trade(number) for number in range(50)))
            heard = [await receive(client, 50, ["trade_data"]) for client in clients]
            assert heard[0] == heard[1] == heard[2]
            sizes = [(await gateway.get("/api/v1/admin/connections"))[1]["data"][number]["bytes_out"] for number in (0, 2)]
            assert sizes[0] < 0.8 * sizes[1]

        def work() -> list[bytes]:
            client = RawClient(gateway.port)
            head = client.upgrade(extra=DEFLATE)
            greeting = client.read_frame()[1]
            assert client.reserved == 0x40
            client.send_frame(1, deflate(b'{"action":"ping","id":"squeezed"}'), reserved=0x40)
            small = client.read_frame()[1]
            small = inflate(small) if client.reserved else small
            client.close()
            return [head, inflate(greeting), small]

        head, greeting, pong = await asyncio.to_thread(work)
        assert ACCEPTED in head
        assert orjson.loads(greeting)["type"] == "status"
        assert orjson.loads(pong)["id"] == "squeezed"


@pytest.mark.parametrize(
    ("payload", "code"),
    [(deflate(b" " * (1 << 24)), 1009), (b"\xff" * 50, 1002), (deflate(b'{"action":"\xff"}'), 1007)],
    ids=["a bomb", "nothing that was deflated", "bad UTF-8"],
)
def test_compressed_frames_that_cannot_be_end_with_their_code(payload: bytes, code: int) -> None:
    async def main() -> None:
        async with running(GatewayOptions(compression=True)) as gateway:

            def work() -> int:
                client = RawClient(gateway.port)
                client.upgrade(extra=DEFLATE)
                client.send_frame(1, payload, reserved=0x40)
                try:
                    return client.read_until_close()
                finally:
                    client.close()

            assert await asyncio.to_thread(work) == code

    asyncio.run(main())


@in_loop
async def test_compression_that_is_not_configured_is_not_agreed_to() -> None:
    async with running(KNOWN) as gateway:

        def work() -> tuple[bytes, int]:
            client = RawClient(gateway.port)
            head = client.upgrade(extra=DEFLATE)
            client.read_json("status")
            reserved = client.reserved
            client.close()
            return head, reserved

        head, reserved = await asyncio.to_thread(work)
        assert b"permessage-deflate" not in head
        assert reserved == 0
