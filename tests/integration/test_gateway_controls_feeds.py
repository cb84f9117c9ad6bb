"""An operator steers feeds through the gateway: what is asked for over REST stands on `ops.control`, and states come back.

What an ingest makes of such commands is held by `test_ingest_control.py`.
"""

import asyncio
import http.client
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from market.control import ControlAction, ControlCommand
from market.feed_status import FeedState, FeedStatus
from runtime.settings import load
from tests.builders import INSTRUMENT, START
from tests.cluster import Cluster
from tests.gateway_running import PATIENCE, gateway_on, in_loop


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
async def test_commands_stand_on_the_topic_as_they_were_asked_for_and_states_come_back(cluster: Cluster) -> None:
    live = FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START)
    cluster.publish("md.status", [live])
    async with gateway_on(load(cluster.config(gateway={"port": 0}), environ={})) as address:

        async def state_is(state: str) -> None:
            async with asyncio.timeout(PATIENCE):
                while True:
                    status, answered = await ask(address, "GET", "/api/v1/realtime/status")
                    if status == 200 and [feed["state"] for feed in answered["data"]["feeds"]] == [state]:
                        return
                    await asyncio.sleep(0.05)

        await state_is("LIVE")
        until = time.time_ns() // 1000 + 600_000_000
        asked: list[tuple[str, dict[str, Any]]] = [
            ("stop", {"reason": "maintenance", "expires_at": until}),
            ("start", {"reason": "done"}),
            ("subscribe", {"reason": "wanted", "instruments": [INSTRUMENT], "channels": ["ticker"]}),
        ]
        expected = []
        for word, body in asked:
            status, answered = await ask(address, "POST", f"/api/v1/realtime/{word}", {"venue": "binance", **body})
            data = answered["data"]
            assert (status, [feed["state"] for feed in data["feeds"]]) == (202, ["LIVE"])
            streams = tuple(body.get("instruments", ())), tuple(body.get("channels", ()))
            action, reason, expires_at = ControlAction(word.upper()), body["reason"], body.get("expires_at")
            expected.append(
                ControlCommand(data["command_id"], "binance", action, *streams, "local", reason, data["issued_at"], expires_at)
            )
        stored = [record.record for record in await asyncio.to_thread(cluster.read, "ops.control")]
        assert stored == expected
        await asyncio.to_thread(cluster.publish, "md.status", [live._replace(state=FeedState.DOWN, reason=expected[0].because)])
        await state_is("DOWN")
