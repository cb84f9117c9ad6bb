"""Replays on real topics: the past as it was stored, at a speed, to one client."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from gateway.client import GatewayClient, Refused
from gateway.metrics import CLIENTS_BEHIND
from market.candle import CandleEventKind
from market.decimals import ONE
from market.errors import WebSocketError
from runtime.kafka import admin_options
from runtime.settings import Settings, load
from tests.builders import INSTRUMENT, START, make_trade
from tests.cluster import Cluster
from tests.gateway_docs import faults
from tests.gateway_parts import make_candle, make_quote
from tests.gateway_running import PATIENCE, gateway_on, in_loop, receive

ETH = "binance:ETH-USDT"


def settings_of(cluster: Cluster, **gateway: Any) -> Settings:
    return load(cluster.config(gateway={"port": 0, **gateway}), environ={})


async def published(cluster: Cluster, topic: str, *records: Any) -> None:
    await asyncio.to_thread(cluster.publish, topic, records)


def now() -> int:
    """The time, in whole milliseconds as the broker counts it."""
    return time.time_ns() // 10**6 * 1000


async def a_moment_later() -> int:
    """A time after all that was stored and before all that will be."""
    await asyncio.sleep(0.02)
    between = now()
    await asyncio.sleep(0.02)
    return between


async def replay(address: str, at: int | str, speed: str = "max") -> GatewayClient:
    """A client of a replay, as soon as the gateway lets clients in."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                client = GatewayClient(address, parameters={"replay": str(at), "speed": speed})
                return await client.__aenter__()
            except WebSocketError as error:
                if "NOT_READY" not in str(error):
                    raise
                await asyncio.sleep(0.05)


@asynccontextmanager
async def replaying(address: str, at: int | str, speed: str = "max") -> AsyncIterator[GatewayClient]:
    """A client of a replay for the time of the block."""
    client = await replay(address, at, speed)
    try:
        yield client
    finally:
        await client.close()


async def told(client: GatewayClient) -> list[dict[str, Any]]:
    """Everything to the end."""
    async with asyncio.timeout(PATIENCE):
        return [message async for message in client]


def of(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == kind]


@in_loop
async def test_past_is_told_from_a_snapshot_of_its_time_to_the_end_and_live_follows_without_a_gap(cluster: Cluster) -> None:
    await published(cluster, "md.quotes", make_quote(sequence=1, bid=ONE))
    await published(cluster, "md.trades", *(make_trade(number, price=number) for number in range(1, 4)))
    closed = make_candle(0, kind=CandleEventKind.CLOSE, revision=1)
    await published(cluster, "md.candles", closed)
    at = await a_moment_later()
    await published(cluster, "md.quotes", make_quote(sequence=2, bid=2 * ONE))
    await published(cluster, "md.trades", *(make_trade(number, price=number) for number in range(4, 1_004)))
    await published(cluster, "md.trades", make_trade(7, instrument=ETH))
    await published(cluster, "md.candles", make_candle(1))
    async with gateway_on(settings_of(cluster)) as address:
        written = datetime.fromtimestamp(at / 1e6, UTC).isoformat()
        client = await replay(address, written)
        answer = await client.subscribe("BTC/USDT", ["QUOTE", "TRADE", "KLINE"])
        assert [grant["snapshot"] for grant in answer["subscriptions"]] == [1, 1, 1]
        messages = await told(client)
        assert client.close_code == 1000
        assert [fault for message in messages for fault in faults(message)] == []
        assert messages[0]["data"]["replay"] == {"time": at, "speed": "max"}
        quotes, trades, candles = (of(messages, kind) for kind in ("market_data", "trade_data", "kline_data"))
        assert (quotes[0]["data"]["bid"], quotes[0]["data"]["last"], quotes[0]["metadata"]["snapshot"]) == ("1", "3", True)
        assert [int(trade["data"]["trade_id"]) for trade in trades] == list(range(3, 1_004))
        assert [candle["data"]["open_time"] for candle in candles] == [closed.open_time, make_candle(1).open_time]
        times = [message["metadata"]["replay_time"] for message in messages if "offset" in message["metadata"]]
        live = [
            message["metadata"]["replay_time"]
            for message in messages
            if message["metadata"].get("snapshot") is None and "offset" in message["metadata"]
        ]
        assert max(times[:3]) < at <= live[0]
        assert live == sorted(live)
        (end,) = of(messages, "replay_end")
        assert end["data"]["reason"] == "caught_up"
        await published(cluster, "md.trades", make_trade(2_000), make_trade(2_001))
        after = GatewayClient(address)
        async with after:
            answer = await after.ask(
                "subscribe", {"symbol": INSTRUMENT, "data_type": "TRADE", "resume": end["metadata"]["resume"]}
            )
            assert answer["subscriptions"][0]["recovery"] in ("resumed", "reading")
            missed = await receive(after, 2, ["trade_data"])
            assert [trade["data"]["trade_id"] for trade in missed] == ["2000", "2001"]


@in_loop
async def test_two_seconds_of_the_past_take_one_at_twice_the_speed(cluster: Cluster) -> None:
    await published(cluster, "md.trades", make_trade(0))
    at = await a_moment_later()
    for number in range(1, 9):
        await published(cluster, "md.trades", make_trade(number))
        await asyncio.sleep(0.25)
    stored = {}
    async with gateway_on(settings_of(cluster)) as address:
        client = await replay(address, at, "2")
        await client.subscribe(INSTRUMENT, ["TRADE"])
        heard: dict[str, float] = {}
        async with asyncio.timeout(PATIENCE):
            async for message in client:
                if message["type"] == "trade_data" and "snapshot" not in message["metadata"]:
                    heard[message["data"]["trade_id"]] = time.monotonic()
                    stored[message["data"]["trade_id"]] = message["metadata"]["replay_time"]
        assert len(heard) == 8
        length, took = (stored["8"] - stored["1"]) / 1e6, heard["8"] - heard["1"]
        assert length / 2 * 0.8 < took < length  # what this machine is late by is no part of it


@in_loop
async def test_time_that_is_not_retained_is_answered_by_the_earliest_that_is(cluster: Cluster) -> None:
    before = now() - 60_000_000
    await published(cluster, "md.trades", *(make_trade(number) for number in range(1, 5)))
    at = await a_moment_later()
    await published(cluster, "md.trades", *(make_trade(number) for number in range(5, 9)))
    partition = cluster.read("md.trades")[0].partition
    async with gateway_on(settings_of(cluster)) as address:
        async with replaying(address, before) as client:
            assert (await error_of(client))["name"] == "TIME_NOT_RETAINED"
        admin = AdminClient(admin_options(cluster.settings.kafka, "tests"))
        for deleted in admin.delete_records([TopicPartition("md.trades", partition, 4)]).values():
            deleted.result(10)
        async with replaying(address, at - 1_000_000) as client:
            error = await error_of(client)
            assert (error["name"], error["data_type"]) == ("TIME_NOT_RETAINED", "TRADE")
            assert error["earliest"] >= at
        async with replaying(address, error["earliest"]) as client:
            await client.subscribe(INSTRUMENT, ["TRADE"])
            trades = of(await told(client), "trade_data")
            assert [trade["data"]["trade_id"] for trade in trades] == ["5", "6", "7", "8"]


async def error_of(client: GatewayClient) -> Any:
    """The error that a subscription is answered by."""
    with pytest.raises(Refused) as caught:
        await client.subscribe(INSTRUMENT, ["TRADE"])
    return caught.value.error


@in_loop
async def test_slow_client_slows_its_replay_only_and_misses_nothing(cluster: Cluster) -> None:
    await published(cluster, "md.trades", make_trade(0))
    at = await a_moment_later()
    many = 20_000
    await published(cluster, "md.trades", *(make_trade(number) for number in range(1, many + 1)))
    async with gateway_on(settings_of(cluster, replays={"share": 1})) as address:
        slow, other = await replay(address, at), await replay(address, at)
        await slow.subscribe(INSTRUMENT, ["TRADE"])
        await other.subscribe(INSTRUMENT, ["TRADE"])
        assert len(of(await told(other), "trade_data")) == many + 1  # while nobody reads the slow one
        assert CLIENTS_BEHIND._value.get() == 1
        messages = await told(slow)
        assert of(messages, "gap") == []
        assert [int(trade["data"]["trade_id"]) for trade in of(messages, "trade_data")] == list(range(many + 1))


@in_loop
async def test_replays_are_counted_of_each_user_and_what_cannot_be_meant_is_refused(cluster: Cluster) -> None:
    await published(cluster, "md.trades", make_trade(1, at=START))
    at = now()
    async with gateway_on(settings_of(cluster, replays={"of_user": 1})) as address:
        async with replaying(address, at, "1"):
            with pytest.raises(WebSocketError, match=r"429.*TOO_MANY_REPLAYS"):
                await replay(address, at)
        async with replaying(address, at, "1"):
            pass
        for wrong in ("yesterday", "1723161255", "2024-08-09T00:00:00", str(at + 10**9)):
            with pytest.raises(WebSocketError, match=r"422.*INVALID_PARAMETER"):
                await replay(address, wrong)
        with pytest.raises(WebSocketError, match=r"422.*no factor"):
            await replay(address, at, "-1")
