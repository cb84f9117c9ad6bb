"""REST on the real server: latest values, errors in one format, health, and the limits of HTTP."""

import asyncio
import inspect
import socket
from typing import Any

import orjson
import pytest
import uvicorn

from gateway.http_guard import GuardedHttp
from gateway.intake import Origin
from gateway.service import CHECKS, GatewayOptions, serve
from gateway.websocket import MarketSocket
from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from runtime.errors import AddressUnavailable
from runtime.health import Health
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_candle, make_quote
from tests.gateway_running import PATIENCE, Running, in_loop, running

PERP = "binance:BTC-USDT-PERP"


def feed_quotes(gateway: Running) -> None:
    gateway.intake.feed("md.quotes", make_quote(bid=ONE, ask=2 * ONE), make_quote(instrument=PERP, bid=3 * ONE))
    gateway.intake.feed("md.quotes", make_quote(instrument="okx:ETH-USDT"), make_quote(instrument="bybit:ETH-USDT"))
    gateway.intake.feed("md.trades", make_trade(price=5, at=START + 1))


@pytest.mark.parametrize(
    "symbol", ["binance:BTC-USDT", "BTC/USDT", "BTC%2FUSDT", "BTC-USDT", "btcusdt", "BTCUSDT", "binance%3ABTC-USDT"]
)
def test_quote_is_found_by_id_and_by_alias(symbol: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            feed_quotes(gateway)
            status, answer = await gateway.get(f"/api/realtime/quote/{symbol}")
            assert status == 200
            assert answer["data"]["instrument"] == INSTRUMENT
            assert (answer["data"]["bid"], answer["data"]["last"], answer["data"]["high_24h"]) == ("1", "5", None)
            assert answer["data"]["sources"]["last"]["channel"] == "trades"
            assert (
                answer["metadata"] | {"topic": "md.trades", "partition": 0, "offset": 0, "state": "LIVE"} == answer["metadata"]
            )
            assert isinstance(answer["metadata"]["timestamp"], int)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "status", "name", "candidates"),
    [
        ("/api/realtime/quote/BTC/USD", 404, "UNKNOWN_SYMBOL", [INSTRUMENT, PERP]),
        ("/api/realtime/quote/nothing-like-it", 404, "UNKNOWN_SYMBOL", []),
        ("/api/realtime/quote/ETH-USDT", 409, "AMBIGUOUS_SYMBOL", ["bybit:ETH-USDT", "okx:ETH-USDT"]),
        ("/api/realtime/quote/SOL-USDT", 404, "NO_DATA", None),
        ("/api/realtime/quotes", 422, "INVALID_PARAMETER", None),
        ("/api/realtime/quotes?symbols=,", 422, "INVALID_PARAMETER", None),
        ("/api/realtime/quotes?symbols=" + ",".join(map(str, range(300))), 422, "TOO_MANY_SYMBOLS", None),
        ("/nowhere", 404, "NOT_FOUND", None),
        ("/api/ws/market", 426, "UPGRADE_REQUIRED", None),
        ("/api/v1/realtime/ws", 426, "UPGRADE_REQUIRED", None),
    ],
)
def test_errors_have_one_format(path: str, status: int, name: str, candidates: list[str] | None) -> None:
    async def main() -> None:
        async with running() as gateway:
            feed_quotes(gateway)
            gateway.intake.feed("md.candles", make_candle(instrument="binance:SOL-USDT"))
            found, answer = await gateway.get(path)
            assert (found, list(answer)) == (status, ["error"])
            assert answer["error"]["name"] == name
            assert isinstance(answer["error"]["code"], int)
            assert answer["error"]["message"]
            assert answer["error"].get("candidates") == candidates

    asyncio.run(main())


@in_loop
async def test_wrong_method_is_answered_in_the_same_format() -> None:
    async with running() as gateway:
        status, _, body = await gateway.ask("POST", "/api/realtime/quotes")
        assert (status, orjson.loads(body)["error"]["name"]) == (405, "METHOD_NOT_ALLOWED")


@in_loop
async def test_quotes_of_several_symbols_with_an_error_for_each_that_has_none() -> None:
    async with running() as gateway:
        feed_quotes(gateway)
        status, answer = await gateway.get("/api/realtime/quotes?symbols=BTC/USDT,NO/SUCH&symbols=okx:ETH-USDT")
        assert status == 200
        assert [quote["instrument"] for quote in answer["data"]] == [INSTRUMENT, "okx:ETH-USDT"]
        assert [(error["name"], error["symbol"]) for error in answer["metadata"]["errors"]] == [("UNKNOWN_SYMBOL", "NO/SUCH")]


@in_loop
async def test_status_tells_of_feeds_connections_and_positions() -> None:
    async with running() as gateway, gateway.client() as client:
        feed_quotes(gateway)
        gateway.intake.feed("md.status", FeedStatus("binance", "trade", INSTRUMENT, FeedState.STALE, "silence", START))
        await client.subscribe(INSTRUMENT, ["QUOTE", "TRADE"])
        status, answer = await gateway.get("/api/v1/realtime/status")
        data = answer["data"]
        assert status == 200
        assert (data["ready"], data["instruments"]) == (True, 4)
        assert data["feeds"] == [
            {
                "venue": "binance",
                "channel": "trade",
                "instrument": INSTRUMENT,
                "state": "STALE",
                "reason": "silence",
                "changed_at": START,
            }
        ]
        assert (data["connections"]["clients"], data["connections"]["subscriptions"]) == (1, 2)
        assert {"topic": "md.quotes", "partition": 0, "position": 4, "end": 4} in data["partitions"]
        assert data["cache"]["entries"] == 4
        assert data["cache"]["hit_rate"] == 1.0


@in_loop
async def test_readiness_follows_the_intake_and_quotes_are_not_served_before() -> None:
    async with running(caught_up=False) as gateway:
        status, answer = await gateway.get("/readyz")
        assert (status, answer["ready"]) == (503, False)
        assert "reading recent records" in answer["reasons"]["topics"]
        status, answer = await gateway.get("/api/realtime/quote/BTC-USDT")
        assert (status, answer["error"]["name"]) == (503, "NOT_READY")
        assert (await gateway.get("/healthz"))[0] == 200
        gateway.intake.report(None)
        assert (await gateway.get("/readyz"))[0] == 200
        feed_quotes(gateway)
        gateway.intake.report("Kafka is gone")
        assert (await gateway.get("/readyz"))[0] == 503
        status, answer = await gateway.get("/api/realtime/quote/BTC/USDT")
        assert (status, answer["metadata"]["state"], answer["metadata"]["reason"]) == (200, "STALE", "Kafka is gone")


@in_loop
async def test_openapi_document_and_its_page_need_nothing_from_elsewhere() -> None:
    async with running() as gateway:
        status, document = await gateway.get("/openapi.json")
        assert status == 200
        assert {"/api/realtime/quote/{symbol}", "/api/realtime/quotes", "/api/v1/realtime/status", "/readyz"} <= set(
            document["paths"]
        )
        quote = document["paths"]["/api/realtime/quote/{symbol}"]["get"]
        for code in ("404", "409", "422"):
            assert quote["responses"][code]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorAnswer")
        for word in ("/api/ws/market", "QUOTE", "kline_data", "TOO_MANY_SUBSCRIPTIONS", "4008 SLOW_CONSUMER"):
            assert word in document["info"]["description"]
        status, headers, page = await gateway.ask("GET", "/docs")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"http://" not in page
        assert b"https://" not in page


@in_loop
async def test_pages_of_other_names_and_origins_read_nothing() -> None:
    async with running(GatewayOptions(origins=frozenset({"https://app.example.com"}))) as gateway:
        status, answer = await gateway.get("/api/v1/realtime/status", Host="evil.example")
        assert (status, answer["error"]["name"]) == (403, "HOST_NOT_ALLOWED")
        _, headers, _ = await gateway.ask("GET", "/healthz", Origin="http://evil.example")
        assert "access-control-allow-origin" not in headers
        _, headers, _ = await gateway.ask("GET", "/healthz", Origin="https://app.example.com")
        assert headers["access-control-allow-origin"] == "https://app.example.com"


def exchange(port: int, *parts: bytes) -> bytes:
    """Send bytes, then all that comes back until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        while data := connection.recv(1 << 16):
            received += data
        return received


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc", b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"]
)
def test_half_a_request_does_not_hold_a_connection(sent: bytes) -> None:
    async def main() -> None:
        async with running(GatewayOptions(request_seconds=0.3)) as gateway:
            received = await asyncio.to_thread(exchange, gateway.port, sent)
            assert received == b"" or received.split(b" ")[1] in (b"408", b"404", b"405")

    asyncio.run(main())


@in_loop
async def test_endless_headers_are_cut() -> None:
    async with running() as gateway:
        flood = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(70))
        head, _, body = (await asyncio.to_thread(exchange, gateway.port, flood)).partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"431"
        assert orjson.loads(body)["error"]["name"] == "MESSAGE_TOO_LARGE"


def post(path: str, body: bytes, length: int | None = None) -> bytes:
    """A request to a gateway, with a body that may be shorter than it says."""
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


@in_loop
async def test_body_that_is_too_long_is_answered_as_every_error_and_a_long_one_is_taken() -> None:
    async with running() as gateway:
        path, notice = "/api/v1/admin/broadcast", b'{"text":"maintenance","subjects":["%b"]}'
        for size, status in ((200_000, b"422"), (400_000, b"413")):  # no subject has so long a name
            received = await asyncio.to_thread(exchange, gateway.port, post(path, notice % (b"x" * size)))
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.split(b" ")[1] == status
            assert b"application/json" in head
            assert list(orjson.loads(body)) == ["error"]
        assert orjson.loads(body)["error"] == {
            "code": 1004,
            "name": "MESSAGE_TOO_LARGE",
            "message": "the body of the request has more than the 262144 bytes that are accepted",
        }


@in_loop
async def test_body_that_is_no_json_is_answered_by_its_own_code() -> None:
    async with running() as gateway:
        for body in (b"", b"{", b"\xff\xfe{}", b"\x02\x80", b"[1,]"):
            received = await asyncio.to_thread(exchange, gateway.port, post("/api/v1/admin/broadcast", body))
            head, _, answer = received.partition(b"\r\n\r\n")
            assert head.split(b" ")[1] == b"422", body
            name = orjson.loads(answer)["error"]["name"]
            assert name == ("MALFORMED_JSON" if body else "INVALID_PARAMETER"), body


@in_loop
async def test_half_a_body_is_told_that_its_time_is_up() -> None:
    async with running(GatewayOptions(request_seconds=0.3)) as gateway:
        received = await asyncio.to_thread(exchange, gateway.port, post("/api/v1/admin/broadcast", b'{"text"', 100))
        assert received.split(b" ")[1] == b"408"


@in_loop
async def test_nonsense_is_answered() -> None:
    async with running() as gateway:
        assert (await asyncio.to_thread(exchange, gateway.port, b"\x16\x03\x01 nonsense\r\n\r\n")).split(b" ")[1] == b"400"


@in_loop
async def test_many_requests_on_one_connection_are_all_answered() -> None:
    async with running() as gateway:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answers = await asyncio.to_thread(exchange, gateway.port, request * 500, request * 2000, last)
        assert answers.count(b"HTTP/1.1 200 OK") == 2501


@in_loop
async def test_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"the gateway cannot listen on 127.0.0.1:{port}"):
            async with running(GatewayOptions(port=port)):
                pass


def test_uvicorn_still_makes_and_ends_connections_as_we_expect() -> None:
    """The contract of its undocumented hooks; a new minor version must be checked against it."""
    assert uvicorn.__version__.startswith("0.54.")
    assert list(inspect.signature(MarketSocket).parameters) == ["config", "server_state", "app_state"]
    for name in ("shutdown", "connection_made", "data_received", "connection_lost", "pause_writing", "resume_writing"):
        assert callable(getattr(MarketSocket, name))
    for name in ("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "handle_websocket_upgrade"):
        assert name in vars(GuardedHttp)
        assert callable(getattr(super(GuardedHttp, GuardedHttp), name))


@in_loop
async def test_intake_that_fails_ends_the_gateway_with_its_error() -> None:
    class Failing:
        async def run(self, deliver: Any, report: Any) -> None:
            raise RuntimeError("the topics are gone")

        def origin(self) -> Origin:
            return Origin()

        def progress(self) -> list[Any]:
            return []

    with pytest.raises(RuntimeError, match="the topics are gone"):
        await serve(GatewayOptions(), Failing(), Health(CHECKS), asyncio.Event())
