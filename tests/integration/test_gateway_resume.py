"""Going on after losses, on real topics: what a client that is cut again and again holds, against one that never was."""

import asyncio
import random
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.client import GatewayClient
from market.candle import CandleEventKind
from market.decimals import ONE
from market.errors import WebSocketError
from runtime.retry import Backoff
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.cluster import Cluster, Service
from tests.gateway_parts import make_candle, make_quote
from tests.gateway_running import PATIENCE, allowed_clients

Start = Callable[..., Service]

CUTS = 200
"""How often the client is cut."""

AT_ONCE = Backoff(initial_seconds=0.01, maximum_seconds=0.05)
TYPES = ["QUOTE", "TRADE", "KLINE"]


@dataclass
class Held:
    """What a client holds of what it was told."""

    trades: list[int] = field(default_factory=list)
    closed: list[tuple[int, int, str]] = field(default_factory=list)
    candles: dict[int, tuple[int, int]] = field(default_factory=dict)
    bid: str | None = None
    recoveries: list[str] = field(default_factory=list)
    resets: list[tuple[str, str]] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> None:
        data = message["data"]
        for told in [data, *data.get("subscriptions", ())]:
            if told.get("recovery") == "reset":
                self.resets.append((told["data_type"], told["reason"]))
        match message["type"]:
            case "trade_data":
                self.trades.append(int(data["trade_id"]))
            case "kline_data":
                version = data["revision"], data["source_offset"]
                self.candles[data["open_time"]] = max(version, self.candles.get(data["open_time"], version))
                if data["kind"] in ("CLOSE", "CORRECTION"):
                    self.closed.append((data["open_time"], data["revision"], data["kind"]))
            case "market_data":
                self.bid = data["bid"]
            case "subscribe":
                self.recoveries += [grant["recovery"] for grant in data["subscriptions"]]
            case "recovery":
                self.recoveries.append(data["recovery"])
            case "gap":
                raise AssertionError(f"the client was too slow: {data}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connected(address: str) -> GatewayClient:
    """A client that comes back, as soon as the gateway lets clients in."""
    async with asyncio.timeout(60):
        while True:
            client = GatewayClient(address, reconnect=AT_ONCE, renew_seconds=0.5)
            with suppress(WebSocketError):
                return await client.__aenter__()
            await asyncio.sleep(0.1)


async def follow(client: GatewayClient, held: Held) -> None:
    async for message in client:
        held.take(message)


def cut(client: GatewayClient) -> None:
    """Lose the connection as a crash would, whatever is on the way."""
    client._connection.transport.abort()


class Load:
    """Trades, candles and quotes, one lot after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.trade = 0
        self.lot = 0

    def send(self, trades: int) -> None:
        """Send a lot; a minute closes in it, and the one before is corrected."""
        self.lot += 1
        first, self.trade = self.trade + 1, self.trade + trades
        self._cluster.send("md.trades", [make_trade(n, price=n, at=START + n) for n in range(first, self.trade + 1)])
        minute, at = self.lot, 10 * self.lot
        close, correction = CandleEventKind.CLOSE, CandleEventKind.CORRECTION
        self._cluster.send("md.candles", [make_candle(minute, offset=at + n) for n in range(3)])
        self._cluster.send("md.candles", [make_candle(minute, offset=at + 3, revision=1, kind=close)])
        self._cluster.send("md.candles", [make_candle(minute - 1, offset=at + 4, revision=2, kind=correction)])
        self._cluster.send("md.candles", [make_candle(minute + 1, offset=at + 5)])
        self._cluster.send("md.quotes", [make_quote(sequence=self.lot, at=START + self.lot, bid=self.lot * ONE)])
        self._cluster.flush()


async def settled(load: Load, *clients: Held) -> None:
    """Wait until all have the last of everything."""
    async with asyncio.timeout(60):
        while any(
            not held.trades
            or held.trades[-1] != load.trade
            or held.bid != str(load.lot)
            or START + (load.lot + 1) * MINUTE not in held.candles
            for held in clients
        ):
            await asyncio.sleep(0.05)


async def back(client: GatewayClient, reconnects: int) -> None:
    """Wait until a client is back; a cut before that would cut nothing."""
    async with asyncio.timeout(30):
        while client.reconnects < reconnects:
            await asyncio.sleep(0.002)


def test_client_that_is_cut_at_random_holds_what_one_holds_that_never_was(cluster: Cluster, start: Start) -> None:
    port = free_port()
    key = secrets.token_hex(16)
    config = cluster.config(
        gateway={"port": port, "access": {"resume_key": key}, "resume_messages": 1000, "history_size": 5000}
    )
    start("gateway", "-c", config)
    chance, load = random.Random(7), Load(cluster)  # no secret

    async def main() -> None:
        whole, torn = Held(), Held()
        load.send(1)
        steady, client = await connected(f"ws://127.0.0.1:{port}"), await connected(f"ws://127.0.0.1:{port}")
        for each in (steady, client):
            await each.subscribe(INSTRUMENT, TYPES, interval="1m", history=5000)
        following = [asyncio.create_task(follow(each, held)) for each, held in ((steady, whole), (client, torn))]
        for number in range(CUTS):
            await asyncio.to_thread(load.send, chance.randrange(1, 200))
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05)))
            await back(client, number)
            cut(client)
            if number % 10 == 0:  # away for longer than memory reaches
                await asyncio.to_thread(load.send, 1_500)
                await settled(load, torn)  # one that never comes to read it all is told at some point that it is too much
        await asyncio.to_thread(load.send, 5)
        await settled(load, whole, torn)
        assert torn.resets == []
        assert whole.trades == list(range(1, load.trade + 1))
        assert torn.trades == whole.trades
        assert torn.closed == whole.closed
        assert torn.candles == whole.candles
        assert torn.bid == whole.bid
        assert steady.reconnects == 0
        assert client.reconnects == CUTS
        assert torn.recoveries.count("resumed") > CUTS
        for each in (steady, client):
            await each.close()
        await asyncio.gather(*following)

    asyncio.run(main())


def test_client_goes_on_after_the_gateway_was_killed(cluster: Cluster, start: Start) -> None:
    port = free_port()
    key = secrets.token_hex(16)
    config = cluster.config(gateway={"port": port, "access": {"resume_key": key}})
    gateway, load = start("gateway", "-c", config), Load(cluster)

    async def main() -> None:
        held = Held()
        load.send(1)
        client = await connected(f"ws://127.0.0.1:{port}")
        await client.subscribe(INSTRUMENT, TYPES, interval="1m")
        following = asyncio.create_task(follow(client, held))
        await asyncio.to_thread(load.send, 100)
        await settled(load, held)
        gateway.kill()
        for _ in range(3):  # more than a gateway reads when it starts
            await asyncio.to_thread(load.send, 1_000)
        gateway.start()
        async with asyncio.timeout(60):
            while "reading" not in held.recoveries:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(load.send, 10)
        await settled(load, held)
        assert held.trades == list(range(1, load.trade + 1))
        assert "reset" not in held.recoveries
        await client.close()
        await following

    asyncio.run(main())


def test_client_whose_past_is_gone_is_told_so_and_goes_on(cluster: Cluster, start: Start) -> None:
    port = free_port()
    gateway, load = start("gateway", "-c", cluster.config(gateway={"port": port})), Load(cluster)

    async def main() -> None:
        held = Held()
        load.send(5)
        client = await connected(f"ws://127.0.0.1:{port}")
        await client.subscribe(INSTRUMENT, TYPES, interval="1m")
        following = asyncio.create_task(follow(client, held))
        await settled(load, held)
        gateway.kill()
        await asyncio.to_thread(load.send, 5)
        gateway.start()  # with another key, so that it knows no token of before
        async with asyncio.timeout(PATIENCE * 3):
            while held.recoveries.count("reset") < len(TYPES):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(load.send, 5)
        await settled(load, held)
        assert held.trades[-6:] == list(range(10, 16))
        await client.close()
        await following

    asyncio.run(main())


CLIENTS = 1_000
"""How many come back at once."""

BACK = 30.0
"""Seconds within which all are back once the gateway was started again."""


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_all_clients_come_back_at_once_after_the_gateway_was_killed(cluster: Cluster, start: Start) -> None:
    port = free_port()
    key = secrets.token_hex(16)
    gateway, load = start("gateway", "-c", cluster.config(gateway={"port": port, "access": {"resume_key": key}})), Load(cluster)

    async def main() -> None:
        load.send(3)
        wanted = allowed_clients(CLIENTS)
        clients = [await connected(f"ws://127.0.0.1:{port}")]
        for _ in range(wanted - 1):
            client = GatewayClient(f"ws://127.0.0.1:{port}", reconnect=Backoff(initial_seconds=0.1, maximum_seconds=2))
            clients.append(await client.__aenter__())
        for client in clients:
            await client.subscribe(INSTRUMENT, ["TRADE"])
        many = [Held() for _ in clients]
        following = [asyncio.create_task(follow(client, held)) for client, held in zip(clients, many, strict=True)]
        gateway.kill()
        await asyncio.to_thread(load.send, 20)
        gateway.start()
        async with asyncio.timeout(BACK):
            while any(not held.trades or held.trades[-1] != load.trade for held in many):
                await asyncio.sleep(0.1)
        assert all(held.trades == list(range(3, load.trade + 1)) for held in many)
        assert {tuple(held.recoveries) for held in many} == {("resumed",)}
        await asyncio.gather(*(client.close() for client in clients))
        await asyncio.gather(*following)

    asyncio.run(main())
