"""The load runner against a gateway that runs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from gateway.close_codes import CloseCode
from gateway.metrics import CLOSED
from gateway.service import GatewayOptions
from gateway.websocket import SocketLimits
from market.errors import WebSocketError
from tapeline.load.counting import percentile_ms
from tapeline.load.plan import LoadPlan
from tapeline.load.runner import load
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_running import PATIENCE, Running, allowed_clients, in_loop, running

ETH = "binance:ETH-USDT"
TRADES = 300


@in_loop
async def test_load_counts_every_message_of_every_client_and_who_was_too_slow() -> None:
    async with running(GatewayOptions(instruments=(INSTRUMENT, ETH))) as gateway:
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT, ETH], clients=6, per_client=1, slow=1, slow_bytes=1)
        with ExitStack() as stack:
            clients = await asyncio.to_thread(stack.enter_context, load(plan, 2))
            opened = await asyncio.to_thread(clients.connect)
            assert (opened.clients, opened.refused) == (6, {})
            assert await asyncio.to_thread(clients.subscribe) == 6
            await asyncio.to_thread(clients.begin)
            gateway.intake.feed("md.trades", *(make_trade(number) for number in range(TRADES)))
            gateway.intake.feed("md.trades", *(make_trade(number, instrument=ETH) for number in range(TRADES)))
            for _ in range(100):
                answer = await asyncio.to_thread(clients.count)
                if answer.tally.messages >= 5 * TRADES:
                    break
                await asyncio.sleep(0.05)
            assert (answer.tally.messages, answer.done, answer.ended) == (5 * TRADES, 6, {})
            assert answer.slow.messages < TRADES


@in_loop
async def test_thousand_clients_at_once_each_hear_everything_in_bounded_memory_and_one_more_is_refused() -> None:
    clients, trades = allowed_clients(1_000), 20
    async with running(GatewayOptions(instruments=(INSTRUMENT,), max_clients=clients)) as gateway:
        before = psutil.Process().memory_info().rss
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=clients, per_client=1)
        with ExitStack() as stack:
            there = await asyncio.to_thread(stack.enter_context, load(plan, 2))
            opened = await asyncio.to_thread(there.connect)
            assert (opened.clients, opened.refused) == (clients, {})
            assert await asyncio.to_thread(there.subscribe) == clients
            status, answered = await gateway.get("/api/v1/realtime/status")
            assert (status, answered["data"]["connections"]["clients"]) == (200, clients)
            with pytest.raises(WebSocketError, match=r"503.*TOO_MANY_CLIENTS"):
                await gateway.client().__aenter__()
            await asyncio.to_thread(there.begin)
            gateway.intake.feed("md.trades", *(make_trade(number) for number in range(trades)))
            async with asyncio.timeout(PATIENCE):
                while (answer := await asyncio.to_thread(there.count)).tally.messages < clients * trades:
                    await asyncio.sleep(0.05)
            assert (answer.tally.messages, answer.done, answer.ended) == (clients * trades, clients, {})
            assert psutil.Process().memory_info().rss - before < 100 << 20


FAST, SLOW = 50, 5
LOTS, LOT = 160, 100
"""Trades come in so many lots, twenty a second."""


async def burden(gateway: Running, numbers: Iterator[int], slow: int) -> tuple[float, int]:
    """Feed fast clients, and some that read a byte a second: milliseconds of p99 of the fast ones, the most that waited."""
    plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=FAST + slow, per_client=1, slow=slow, slow_bytes=1)
    waiting = 0
    with ExitStack() as stack:
        there = await asyncio.to_thread(stack.enter_context, load(plan))
        await asyncio.to_thread(there.connect)
        assert await asyncio.to_thread(there.subscribe) == FAST + slow
        await asyncio.to_thread(there.begin)
        for number in range(LOTS):
            now = time.time_ns() // 1000
            gateway.intake.feed("md.trades", *(make_trade(next(numbers), at=now) for _ in range(LOT)))
            await asyncio.sleep(0.05)
            if number % 10 == 0:
                _, answer = await gateway.get("/api/v1/admin/statistics")
                waiting = max(waiting, answer["data"]["waiting_messages"])
        async with asyncio.timeout(PATIENCE):
            while (answer := await asyncio.to_thread(there.count)).tally.messages < FAST * LOTS * LOT:
                await asyncio.sleep(0.05)
            while (await gateway.get("/api/v1/realtime/status"))[1]["data"]["connections"]["clients"] > FAST:
                await asyncio.sleep(0.05)  # until the slow ones are gone
        assert answer.tally.messages == FAST * LOTS * LOT
    found = percentile_ms(answer.tally.since_sent, 0.99)
    assert found is not None
    return found, waiting


@in_loop
async def test_readers_of_a_byte_a_second_are_cut_with_their_code_and_fifty_fast_ones_do_not_notice() -> None:
    limits = SocketLimits(slow_seconds=2, close_seconds=0.5)
    async with running(GatewayOptions(instruments=(INSTRUMENT,), socket_limits=limits)) as gateway:
        numbers = itertools.count(1)
        alone, _ = await burden(gateway, numbers, 0)
        cut = CLOSED.labels(str(int(CloseCode.SLOW_CONSUMER)))
        before, memory = cut._value.get(), psutil.Process().memory_info().rss
        beside, waiting = await burden(gateway, numbers, SLOW)
        assert cut._value.get() == before + SLOW
        assert 0 < waiting <= SLOW * 1_001  # a thousand for each, and what is being written
        assert psutil.Process().memory_info().rss - memory < 20 << 20
        assert beside < alone + 1_000  # milliseconds: nobody waited for a slow one, which lasts for twice as long


@in_loop
async def test_load_says_why_clients_were_not_let_in() -> None:
    async with running(GatewayOptions(max_clients=2)) as gateway:
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=3)

        def connect() -> tuple[int, dict[str, int]]:
            with load(plan) as clients:
                opened = clients.connect()
                return opened.clients, opened.refused

        assert await asyncio.to_thread(connect) == (2, {"HTTP/1.1 503 Service Unavailable": 1})


@in_loop
async def test_load_gives_signs_of_life_as_long_as_it_lasts() -> None:
    options = GatewayOptions(instruments=(INSTRUMENT,), socket_limits=SocketLimits(ping_seconds=0.2))
    async with running(options) as gateway:
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=5)

        def stay() -> dict[str, int]:
            with load(plan) as clients:
                clients.connect()
                clients.subscribe()
                time.sleep(1.5)
                return dict(clients.count().ended)

        assert await asyncio.to_thread(stay) == {}
