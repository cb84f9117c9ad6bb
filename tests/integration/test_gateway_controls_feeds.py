"""An operator steers feeds through the gateway: from REST over `ops.control` to an ingest that runs, and back by md.status."""

import asyncio
import http.client
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from market.control import ControlAction, ControlCommand
from runtime.settings import load
from tests.cluster import Cluster, Service
from tests.gateway_running import gateway_on, in_loop

INSTRUMENT = "sim:S001-USD"
SECONDS = 60


async def ask(address: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and decoded body of a request."""

    def blocking() -> tuple[int, Any]:
        there = urlsplit(address)
        connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=20)
        try:
            connection.request(method, path, orjson.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(blocking)


@in_loop
async def test_stop_and_start_reach_the_feeds_and_come_back_as_states(cluster: Cluster, start: Callable[..., Service]) -> None:
    config = cluster.config(gateway={"port": 0}, ingest={"feeds": {"made_up": {"feed": "simulated", "symbols": [INSTRUMENT]}}})
    ingest = start("ingest", "-c", config)
    async with gateway_on(load(config, environ={})) as address:

        async def state_is(state: str, reason: str) -> None:
            async with asyncio.timeout(SECONDS):
                while True:
                    status, answered = await ask(address, "GET", "/api/v1/realtime/status")
                    feeds = answered["data"]["feeds"] if status == 200 else []
                    if feeds and all(feed["state"] == state and reason in feed["reason"] for feed in feeds):
                        return
                    assert ingest.process.poll() is None, ingest.text()
                    await asyncio.sleep(0.1)

        await state_is("LIVE", "")
        until = time.time_ns() // 1000 + 600_000_000
        status, answered = await ask(
            address, "POST", "/api/v1/admin/feeds/sim/stop", {"reason": "maintenance", "expires_at": until}
        )
        assert (status, {feed["venue"] for feed in answered["data"]["feeds"]}) == (202, {"sim"})
        await state_is("DOWN", "stop by local: maintenance")
        status, again = await ask(address, "POST", "/api/v1/admin/feeds/sim/start", {"reason": "done"})
        assert status == 202
        await state_is("LIVE", "")
        stored = [record.record for record in await asyncio.to_thread(cluster.read, "ops.control")]
        told = [answered["data"], again["data"]]
        assert stored == [
            ControlCommand(each["command_id"], "sim", action, (), (), "local", reason, each["issued_at"], expires)
            for each, action, reason, expires in zip(
                told, (ControlAction.STOP, ControlAction.START), ("maintenance", "done"), (until, None), strict=True
            )
        ]
