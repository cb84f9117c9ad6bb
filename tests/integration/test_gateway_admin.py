"""What operators can do over REST, and that nobody else can."""

from __future__ import annotations

import asyncio
import http.client
import time
from typing import Any

import orjson
import pytest

from gateway.authentication import Authenticator
from gateway.close_codes import CloseCode
from gateway.service import GatewayOptions
from tests.access_parts import make_token, secret_entry, tokens_of
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_running import PATIENCE, Running, eventually, in_loop, receive, running

ADMIN = "/api/v1/admin"


async def ask(gateway: Running, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status and decoded body of a request with a JSON body."""

    def blocking() -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
        try:
            connection.request(method, ADMIN + path, orjson.dumps(body), {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(blocking)


@in_loop
async def test_operator_lists_inspects_tells_and_disconnects() -> None:
    async with running(GatewayOptions(instruments=(INSTRUMENT,))) as gateway, gateway.client(client_id="desk") as client:
        await client.subscribe(INSTRUMENT, ["TRADE"])
        gateway.intake.feed("md.trades", make_trade(1))
        await receive(client, 1, ["trade_data"])
        status, listed = await ask(gateway, "GET", "/connections")
        (found,) = listed["data"]
        assert (status, found["client_id"], found["subscriptions"], found["messages_in"]) == (200, "desk", 1, 1)
        assert found["messages_out"] >= 2
        assert found["bytes_out"] > 100
        path = f"/connections/{found['number']}"
        assert (await ask(gateway, "GET", path))[1]["data"]["rooms"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
        assert (await ask(gateway, "POST", "/broadcast", {"text": "noon"}))[1]["data"] == {"told": 1}
        assert (await receive(client, 1, ["notice"]))[0]["data"] == {"text": "noon"}
        assert (await ask(gateway, "POST", "/broadcast", {"text": "noon", "subjects": ["other"]}))[1]["data"] == {"told": 0}
        statistics = (await ask(gateway, "GET", "/statistics"))[1]["data"]
        assert (statistics["clients"], statistics["by_instrument"]) == (1, {INSTRUMENT: 1})
        assert (await ask(gateway, "DELETE", path))[0] == 200
        await eventually(lambda: client.close_code is not None)
        assert client.close_code == CloseCode.DISCONNECTED
        assert (await ask(gateway, "DELETE", path))[0] == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/connections"), ("POST", "/broadcast"), ("GET", "/statistics")])
def test_pages_of_other_origins_are_no_operators(method: str, path: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            status, refused = await ask(gateway, method, path, {"text": "x"}, Origin="http://evil.example")
            assert (status, refused["error"]["name"]) == (403, "ORIGIN_NOT_ALLOWED")

    asyncio.run(main())


@in_loop
async def test_only_the_role_makes_an_operator() -> None:
    options = GatewayOptions(authenticator=Authenticator(tokens_of(secret_entry())))
    async with running(options) as gateway:
        now = time.time_ns() // 1000
        for roles, wanted in (([], 403), (["trader"], 403), (["admin"], 200)):
            token = make_token(now=now, roles=roles)
            for method, path in (("GET", "/connections"), ("POST", "/broadcast"), ("GET", "/statistics")):
                status, _ = await ask(gateway, method, path, {"text": "x"}, Authorization=f"Bearer {token}")
                assert status == wanted, (roles, path)
        assert (await ask(gateway, "DELETE", "/connections/1", Authorization=f"Bearer {make_token(now=now)}"))[0] == 403
        assert (await ask(gateway, "GET", "/connections"))[0] == 401
