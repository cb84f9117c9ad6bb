"""The load runner against a gateway that runs."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import psutil
import pytest

from gateway.service import GatewayOptions
from market.errors import WebSocketError
from runtime.open_files import allow_files
from tapeline.load.plan import LoadPlan
from tapeline.load.runner import load
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_running import PATIENCE, in_loop, running

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
    clients, trades = 1_000, 20
    if allow_files(2 * clients + 1_000) < clients + 200:
        pytest.skip("the system does not allow a process the open files of a thousand clients")
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


@in_loop
async def test_load_says_why_clients_were_not_let_in() -> None:
    async with running(GatewayOptions(max_clients=2)) as gateway:
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=3)

        def connect() -> tuple[int, dict[str, int]]:
            with load(plan) as clients:
                opened = clients.connect()
                return opened.clients, opened.refused

        assert await asyncio.to_thread(connect) == (2, {"HTTP/1.1 503 Service Unavailable": 1})
