"""The gateway on real topics: snapshot then live, restarts, poison, and a broker that goes and comes back."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway import service
from gateway.client import GatewayClient
from market.candle import CandleEventKind
from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from runtime import metrics
from runtime.errors import ServerUnreachable
from runtime.settings import Settings, load
from schemas.registry import RegistryError
from tapeline.commands.topics import apply_topics
from tapeline.embedded import EmbeddedStack
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.cluster import Cluster, Service, wait_for
from tests.gateway_parts import make_candle, make_quote
from tests.gateway_running import PATIENCE, gateway_on, receive

Start = Callable[..., Service]


async def connect(address: str) -> GatewayClient:
    """A client, as soon as the gateway lets clients in."""
    async with asyncio.timeout(PATIENCE):
        while True:
            client = GatewayClient(address)
            with suppress(Exception):
                return await client.__aenter__()
            await asyncio.sleep(0.05)


def settings_of(cluster: Cluster, **gateway: Any) -> Settings:
    return load(cluster.config(gateway={"port": 0, **gateway}), environ={})


async def published(cluster: Cluster, topic: str, *records: Any) -> None:
    await asyncio.to_thread(cluster.publish, topic, records)


def test_snapshot_then_live_and_again_after_a_restart(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.publish("md.status", [FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START)])
        cluster.publish("md.quotes", [make_quote(sequence=1, bid=ONE, ask=2 * ONE)])
        cluster.publish("md.trades", [make_trade(number, price=number) for number in range(1, 6)])
        closed = make_candle(0, kind=CandleEventKind.CLOSE, revision=1)
        cluster.publish("md.candles", [make_candle(0), closed])
        settings = settings_of(cluster)
        for restart in range(2):
            async with gateway_on(settings) as address:
                client = await connect(address)
                answer = await client.subscribe("BTC/USDT", ["QUOTE", "TRADE", "KLINE"])
                assert [grant["snapshot"] for grant in answer["subscriptions"]] == [1, 1, 1 + restart]
                snapshot = await receive(client, 3 + restart)
                assert all(message["metadata"]["snapshot"] for message in snapshot)
                assert snapshot[0]["data"]["bid"] == "1"
                assert snapshot[0]["data"]["last"] == snapshot[1]["data"]["price"] == ("5", "9")[restart]
                assert (snapshot[2]["data"]["kind"], snapshot[2]["data"]["revision"]) == ("CLOSE", 1)
                if not restart:
                    await published(cluster, "md.trades", make_trade(9, price=9, at=START + 9))
                    await published(cluster, "md.candles", make_candle(1))
                    live = {message["type"]: message for message in await receive(client, 2, ["trade_data", "kline_data"])}
                    assert live["trade_data"]["data"]["trade_id"] == "9"
                    assert live["trade_data"]["metadata"]["topic"] == "md.trades"
                    assert live["kline_data"]["data"]["open_time"] == START + MINUTE
                await client.close()

    asyncio.run(main())


def test_poison_is_passed_over_and_counted(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.publish("md.trades", [make_trade(1)])
        partition = cluster.read("md.trades")[0].partition
        before = undecodable()
        cluster.publish_bytes("md.trades", b"k", b"\x00\x00\x00\x00\x01poison", partition)
        cluster.publish_bytes("md.trades", b"k", None, partition)
        async with gateway_on(settings_of(cluster)) as address:
            client = await connect(address)
            await client.subscribe(INSTRUMENT, ["TRADE"])
            await asyncio.to_thread(cluster.publish_bytes, "md.trades", b"k", b"not even framed", partition)
            for value, key in ((make_trade(3), b"k"), (make_trade(4)._replace(price=0), INSTRUMENT.encode())):
                encoded = cluster.codec.encode("md.trades", value)
                await asyncio.to_thread(cluster.publish_bytes, "md.trades", key, encoded, partition)
            await published(cluster, "md.trades", make_trade(2))
            first, second = await receive(client, 2)
            assert (first["data"]["trade_id"], second["data"]["trade_id"]) == ("1", "2")
            await client.close()
        assert undecodable() == before + 5

    asyncio.run(main())


def undecodable() -> float:
    """How many records of md.trades were passed over, whatever the reason."""
    family = next(family for family in metrics.REGISTRY.collect() if family.name == "tapeline_gateway_undecodable")
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_only_the_latest_records_are_read_at_the_start(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setitem(service.LOOK_BACKS, "md.trades", 10)
        cluster.publish("md.trades", [make_trade(number) for number in range(1, 1001)])
        before = metrics.RECORDS_IN.labels("md.trades")._value.get()
        async with gateway_on(settings_of(cluster)) as address:
            client = await connect(address)
            await client.subscribe(INSTRUMENT, ["TRADE"])
            (last,) = await receive(client, 1)
            assert last["data"]["trade_id"] == "1000"
            await client.close()
        assert metrics.RECORDS_IN.labels("md.trades")._value.get() - before == 10

    asyncio.run(main())


def test_every_trade_of_a_burst_arrives_once_and_in_order(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.publish("md.trades", [make_trade(1)])
        async with gateway_on(settings_of(cluster)) as address:
            client = await connect(address)
            await client.subscribe(INSTRUMENT, ["TRADE"])
            publishing = asyncio.create_task(published(cluster, "md.trades", *(make_trade(n) for n in range(2, 20_001))))
            trades = await receive(client, 20_000)
            await publishing
            assert [int(trade["data"]["trade_id"]) for trade in trades] == list(range(1, 20_001))
            await client.close()

    asyncio.run(main())


def test_topic_made_anew_is_read_from_its_beginning(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.publish("md.trades", [make_trade(number) for number in range(1, 6)])
        settings = settings_of(cluster)
        async with gateway_on(settings) as address:
            client = await connect(address)
            await client.subscribe(INSTRUMENT, ["TRADE"])
            await receive(client, 1)
            await asyncio.to_thread(cluster._delete_topics)
            await asyncio.to_thread(apply_topics, cluster.settings)
            await published(cluster, "md.trades", make_trade(6), make_trade(7))
            later = await receive(client, 2, ["trade_data"])
            assert [trade["data"]["trade_id"] for trade in later] == ["6", "7"]
            await client.close()

    asyncio.run(main())


def test_lost_broker_is_told_and_nothing_is_lost_when_it_returns(own_cluster: Cluster, stack: EmbeddedStack) -> None:
    cluster = own_cluster

    async def main() -> None:
        cluster.publish("md.trades", [make_trade(1)])
        async with gateway_on(settings_of(cluster)) as address:
            client = await connect(address)
            await client.subscribe(INSTRUMENT, ["TRADE"])
            await receive(client, 1)
            await asyncio.to_thread(stack.kill, "kafka")
            (stale,) = await receive(client, 1, ["status"])
            if stale["data"]["state"] == "LIVE":  # the greeting
                (stale,) = await receive(client, 1, ["status"])
            assert stale["data"]["state"] == "STALE"
            assert stale["data"]["reason"] == "Kafka is not reachable"
            await asyncio.to_thread(stack.start, "kafka")
            await published(cluster, "md.trades", make_trade(2), make_trade(3))
            states, trades = [stale["data"]["state"]], list[str]()
            while len(trades) < 2 or states[-1] != "LIVE":  # a broker that starts may be reachable on and off
                (message,) = await receive(client, 1, ["status", "trade_data"])
                if message["type"] == "status":
                    states.append(message["data"]["state"])
                else:
                    trades.append(message["data"]["trade_id"])
            assert trades == ["2", "3"]
            await client.close()

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_broker_that_is_not_there_is_named_in_time() -> None:
    address = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(ServerUnreachable, match=address):
        asyncio.run(service.run(load(environ={}, overrides=[f"kafka.bootstrap={address}"]), asyncio.Event()))
    assert time.monotonic() - began < 10


def test_registry_that_is_not_there_is_named_in_time(cluster: Cluster) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = load(cluster.config(registry={"url": url}, gateway={"port": 0}), environ={})
    began = time.monotonic()
    with pytest.raises(RegistryError, match=url):
        asyncio.run(service.run(settings, asyncio.Event()))
    assert time.monotonic() - began < 10


def test_command_serves_and_stops_in_time_on_sigterm(cluster: Cluster, start: Start) -> None:
    cluster.publish("md.quotes", [make_quote(bid=ONE)])
    port = free_port()
    gateway = start("gateway", "-c", cluster.config(gateway={"port": port}))

    async def main() -> int | None:
        client = await connect(f"ws://127.0.0.1:{port}")
        answer = await client.subscribe(INSTRUMENT)
        assert answer["subscriptions"][0]["snapshot"] == 1
        assert await asyncio.to_thread(gateway.terminate) == 0
        async for _ in client:
            pass
        return client.close_code

    assert asyncio.run(main()) == 1012
    wait_for(lambda: "there are no keys" in gateway.text(), "the gateway to say that it is open")
