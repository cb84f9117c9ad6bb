"""Portfolios over the gateway, with the real broker and the workers that keep and value them."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from gateway.client import Refused
from gateway.portfolio_client import PortfolioClient
from market.decimals import ONE
from market.price import PricePoint
from runtime.settings import Settings, load
from schemas.topics import COMMANDS, POSITIONS, PRICES, REPLIES
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, Service
from tests.gateway_running import PATIENCE, gateway_on
from tests.portfolio_parts import BTC
from tests.price_parts import SOURCE, make_price
from tests.processing import FAST

Start = Callable[..., Service]

PAIRS = 100
FUND = "fund-1"
POSITION = {"instrument": BTC, "currency": "USDT", "quantity": "2", "cost": "200"}


def settings_of(cluster: Cluster) -> Settings:
    processors = {**FAST, "agents": ["portfolios", "valuations"], "store": "memory", "valuation": {"lines_seconds": 0.1}}
    settings = load(cluster.config(gateway={"port": 0, "command_seconds": 4}, processors=processors), environ={})
    apply_topics(settings)
    return settings


async def ask(address: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and answer of a request."""

    def blocking() -> tuple[int, Any]:
        host = address.removeprefix("ws://")
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        try:
            content = None if body is None else orjson.dumps(body)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, {"Content-Type": "application/json", **named})
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(blocking)


async def begin(address: str, portfolio_id: str = FUND) -> None:
    """Begin a portfolio, as soon as a worker answers; each time with the same id."""
    body = {"portfolio_id": portfolio_id, "base_currency": "USDT"}
    async with asyncio.timeout(90):
        while True:
            status, answer = await ask(address, "POST", "/api/mtm/portfolio", body, Idempotency_Key="begin")
            if status == 201:
                assert answer["data"]["version"] == 1
                return
            assert status in (503, 504), answer
            await asyncio.sleep(0.1)


def price_of(price: int) -> Any:
    now = time.time_ns() // 1000
    point = PricePoint(price * ONE, ONE, SOURCE._replace(exchange_time=None, received_at=now))
    return make_price()._replace(instrument=BTC, mark_price=point, received_at=now)


async def until(client: PortfolioClient, wanted: Callable[[Any], bool]) -> Any:
    """The data of the next message that is wanted."""
    async with asyncio.timeout(PATIENCE):
        async for message in client:
            if wanted(message["data"]):
                return message["data"]
    raise AssertionError("the connection has ended")


async def contend(client: PortfolioClient, number: int, version: int) -> int | dict[str, Any]:
    """Register a position: the version it made, or the error."""
    try:
        answer = await client.register_position(f"p{number}", version=version, **POSITION)
    except Refused as refusal:
        return refusal.error
    return int(answer["version"])


def _conflict(error: Any) -> int:
    """The current version that a loser is told."""
    assert error["name"] == "VERSION_CONFLICT"
    return int(error["version"])


def test_of_two_with_the_same_version_one_wins_and_the_other_is_told_the_current_one(cluster: Cluster, start: Start) -> None:
    """A hundred pairs over WebSocket, one after the other; then a hundred over REST at once, each of a portfolio of its own."""

    async def main() -> None:
        settings = settings_of(cluster)
        start("process", "-c", cluster.folder / "tapeline.yaml")
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * PAIRS))
        async with gateway_on(settings) as address:
            await begin(address)
            async with PortfolioClient(address, FUND) as one, PortfolioClient(address, FUND) as other:
                for number in range(PAIRS):
                    version = number + 1
                    answers = await asyncio.gather(contend(one, 2 * number, version), contend(other, 2 * number + 1, version))
                    (won,) = [answer for answer in answers if isinstance(answer, int)]
                    (lost,) = [answer for answer in answers if not isinstance(answer, int)]
                    assert won == _conflict(lost) == version + 1
                names = [f"fund-{number}" for number in range(2, PAIRS + 2)]
                await asyncio.gather(*(begin(address, name) for name in names))
            deposit, path = {"command": "deposit", "currency": "USDT", "amount": "1"}, "/api/mtm/portfolio/{}/commands"
            sent = [ask(address, "POST", path.format(name), deposit, If_Match='"1"') for name in names for _ in range(2)]
            told = await asyncio.gather(*sent)
            for number in range(PAIRS):
                (_, won), (status, lost) = sorted(told[2 * number : 2 * number + 2], key=lambda answer: answer[0])
                assert status == 409
                assert won["data"]["version"] == _conflict(lost["error"]) == 2
            _, stats = await ask(address, "GET", "/api/mtm/stats")
            commands = stats["data"]["commands"]
            assert (commands["accepted"], commands["conflicts"]) == (3 * PAIRS + 1, 2 * PAIRS), commands

        versions: dict[str, list[int]] = {}
        for stored in cluster.read(POSITIONS.name):
            versions.setdefault(stored.record.portfolio_id, []).append(stored.record.version)
        assert versions == {FUND: list(range(1, PAIRS + 2)), **{name: [1, 2] for name in names}}
        assert len(cluster.read(REPLIES.name)) == len(cluster.read(COMMANDS.name))

    asyncio.run(main())


def test_portfolio_is_valued_told_and_known_again_after_a_restart(cluster: Cluster, start: Start) -> None:
    async def main() -> None:
        settings = settings_of(cluster)
        worker = start("process", "-c", cluster.folder / "tapeline.yaml")
        async with gateway_on(settings) as address:
            await begin(address)
            async with PortfolioClient(address, FUND, packed=True) as client:
                await client.subscribe()
                registered = await client.register_position("p1", version=1, **POSITION)
                assert registered["version"] == 2
                unpriced = await until(client, lambda data: data.get("line") is not None)
                assert (unpriced["line"]["state"], unpriced["line"]["value"]) == ("UNPRICED", None)
                await asyncio.to_thread(cluster.publish, PRICES.name, [price_of(110)])
                priced = await until(client, lambda data: (data.get("line") or {}).get("price") is not None)
                assert (priced["line"]["value"], priced["line"]["unrealised_pnl"]) == ("220", "20")
                price: dict[str, Any] = {"reason": "test", "expires_at": time.time_ns() // 1000 + 10**9}
                assert (await client.update_price(BTC, "120", version=2, **price))["version"] == 3
                taken_back = await client.update_price_batch({BTC: None}, version=3)
                assert (taken_back["version"], taken_back["instruments"]) == (4, [BTC])
                batch = await client.update_price_batch({BTC: "120"}, version=4, **price)
                assert batch["version"] == 5
                await until(client, lambda data: (data.get("line") or {}).get("price") == "120")
            status, answer = await ask(address, "POST", f"/api/mtm/portfolio/{FUND}/revalue")
            assert (status, answer["data"]["net_exposure"], answer["data"]["position_version"]) == (200, "240", 5)
            assert await asyncio.to_thread(worker.terminate) == 0
            status, answer = await ask(address, "DELETE", f"/api/mtm/portfolio/{FUND}/position/p1", If_Match="*")
            assert (status, answer["error"]["name"]) == (504, "NO_ANSWER")
        async with gateway_on(settings) as address:
            async with asyncio.timeout(PATIENCE):
                while (await ask(address, "GET", "/readyz"))[0] != 200:
                    await asyncio.sleep(0.05)
            status, answer = await ask(address, "GET", f"/api/mtm/portfolio/{FUND}")
            assert (status, answer["data"]["version"], answer["data"]["totals"]["coverage_percent"]) == (200, 5, "100")
            (line,) = answer["data"]["lines"]
            assert (line["price"], line["price_choice"], line["value"]) == ("120", "OVERRIDE", "240")

    asyncio.run(main())
