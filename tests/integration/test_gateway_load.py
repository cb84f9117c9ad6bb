"""The load runner against a gateway that runs."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from gateway.service import GatewayOptions
from tapeline.load.plan import LoadPlan
from tapeline.load.runner import load
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_running import in_loop, running

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
async def test_load_says_why_clients_were_not_let_in() -> None:
    async with running(GatewayOptions(max_clients=2)) as gateway:
        plan = LoadPlan("127.0.0.1", gateway.port, [INSTRUMENT], clients=3)

        def connect() -> tuple[int, dict[str, int]]:
            with load(plan) as clients:
                opened = clients.connect()
                return opened.clients, opened.refused

        assert await asyncio.to_thread(connect) == (2, {"HTTP/1.1 503 Service Unavailable": 1})
