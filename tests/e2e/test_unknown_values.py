"""What is not known of a portfolio is shown as such everywhere: over REST, over WebSocket and in the database alike."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from gateway.client import Refused
from gateway.portfolio_client import PortfolioClient
from market.decimals import ONE
from market.portfolio import Policy
from market.portfolio_commands import Command, CreatePortfolio, Deposit, RegisterPosition
from market.price import PricePoint, PriceRecord
from runtime.settings import load
from schemas.topics import COMMANDS, DEAD_LETTERS, PRICES
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.gateway_running import PATIENCE, gateway_on
from tests.portfolio_parts import command
from tests.price_parts import SOURCE, make_price
from tests.processing import FAST, Start
from tests.sink_running import Database, Sink

FUND = "fund-1"
HOUR = 3_600_000_000
HELD = {"known": ("x:A-USDT", "USDT"), "old": ("x:B-USDT", "USDT"), "dark": ("x:C-USDT", "USDT"), "abroad": ("x:D-CNY", "CNY")}
"""Positions of two units at a cost of 200: one has a price, one an old one, one none, and one has a price but no rate."""
LINES = {
    "known": ("PRICED", "", "110", "220", "20", "220"),
    "old": ("STALE", "price is stale", "95", "190", "-10", "190"),
    "dark": ("UNPRICED", "no price", None, None, None, None),
    "abroad": ("NO_FX", "no rate for CNY", "70", None, None, None),
}
TOTALS = {
    "lines": 4,
    "valued": 2,
    "stale": 1,
    "coverage_percent": "50",
    "left_out": ["dark", "abroad"],
    "net_exposure": "410",
    "gross_exposure": "410",
    "unrealised_pnl": "10",
    "without_rate": ["CNY"],
    "cash": None,
    "equity": None,
    "day_pnl": None,
    "day_price_effect": None,
    "day_fx_effect": None,
}
OF_LINE = ("state", "reason", "price", "value", "unrealised_pnl", "base_value")


def price(instrument: str, figure: int, age: int) -> PriceRecord:
    source = SOURCE._replace(exchange_time=None, received_at=time.time_ns() // 1000 - age)
    bare: dict[str, Any] = dict.fromkeys(("bid", "ask", "last", "index_price", "close", "previous_close"))
    known: dict[str, Any] = {"instrument": instrument, "source_24h": source, "received_at": source.received_at}
    return make_price()._replace(mark_price=PricePoint(figure * ONE, ONE, source), **known, **bare)


def opening() -> list[Command]:
    """A portfolio with some cash and these positions."""
    begin = command(CreatePortfolio, "c", portfolio=FUND, base_currency="USDT", policy=Policy(stale_after=HOUR))
    found: list[Command] = [begin, command(Deposit, "d", portfolio=FUND)]
    for name, (instrument, currency) in HELD.items():
        position: dict[str, Any] = {"position_id": name, "instrument": instrument, "currency": currency}
        found.append(command(RegisterPosition, name, portfolio=FUND, **position))
    return found


def as_expected(data: Any) -> bool:
    return lines_of(data["lines"]) == LINES and data["totals"] is not None and totals_of(data["totals"]) == TOTALS


def lines_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {line["position_id"]: tuple(line[name] for name in OF_LINE) for line in lines}


def totals_of(totals: Mapping[str, Any]) -> dict[str, Any]:
    return {name: totals[name] for name in TOTALS}


async def told(client: PortfolioClient) -> None:
    """Until all was valued."""
    found: Any = None
    with suppress(TimeoutError):
        async with asyncio.timeout(90):
            while found is None or not as_expected(found):
                await asyncio.sleep(0.1)
                with suppress(Refused):  # it is not there yet
                    found = await client.snapshot()
    assert found is not None
    assert (lines_of(found["lines"]), totals_of(found["totals"])) == (LINES, TOTALS)


async def look(client: PortfolioClient) -> None:
    """Over WebSocket: asked for, and told to a subscriber."""
    assert as_expected(await client.snapshot())
    await client.subscribe()
    async with asyncio.timeout(PATIENCE):
        async for message in client:
            if message["type"] == "portfolio_snapshot":
                assert as_expected(message["data"])
                return


def ask(address: str) -> None:
    """Over REST."""
    assert as_expected(get(address, f"/api/mtm/portfolio/{FUND}"))
    for name, expected in LINES.items():
        assert lines_of([get(address, f"/api/mtm/position/{name}")["line"]]) == {name: expected}
    stats = get(address, "/api/mtm/stats")["valuations"]
    assert (stats["valued"], stats["incomplete"]) == (1, 1)


def is_ready(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(address.replace("ws://", "http://") + "/readyz"):
        return True
    return False


def get(address: str, path: str) -> Any:
    with urllib.request.urlopen(address.replace("ws://", "http://") + path) as answer:
        return json.load(answer)["data"]


def rows(database: Database, table: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """These columns of the latest row of each thing, figures as clients are told them."""
    listed, one = ", ".join(names), "position_id" if table == "valuation_lines" else "portfolio_id"
    query = f"SELECT DISTINCT ON ({one}) {listed} FROM {table} ORDER BY {one}, generation DESC, sequence DESC"
    return [dict(zip(names, map(shown, row), strict=True)) for row in database.query(query)]


def shown(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def test_lines_without_price_or_rate_and_old_ones_are_shown_as_such_everywhere(
    cluster: Cluster, start: Start, database: str
) -> None:
    processors = {**FAST, "agents": ["portfolios", "valuations"], "store": "memory", "valuation": {"lines_seconds": 0.1}}
    config = cluster.config(gateway={"port": 0}, processors=processors)
    settings = load(config, environ={})
    apply_topics(settings)
    start("process", "-c", config)
    cluster.publish(PRICES.name, [price("x:A-USDT", 110, 0), price("x:B-USDT", 95, 2 * HOUR), price("x:D-CNY", 70, 0)])
    cluster.publish(COMMANDS.name, opening())

    async def main() -> None:
        async with gateway_on(settings) as address:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(is_ready, address):
                    await asyncio.sleep(0.1)
            async with PortfolioClient(address, FUND) as client:
                await told(client)
                await look(client)
            await asyncio.to_thread(ask, address)

    asyncio.run(main())
    sink = Sink(cluster, start, database)
    sink.start()

    def is_stored() -> bool:
        of_lines = rows(sink.database, "valuation_lines", ("position_id", *OF_LINE))
        of_totals = rows(sink.database, "valuations", tuple(TOTALS))
        wanted = TOTALS | {name: str(TOTALS[name]) for name in ("left_out", "without_rate")}
        return lines_of(of_lines) == LINES and of_totals == [wanted]

    wait_for(is_stored, "what is not known to be stored as such", timeout=60, every=0.3)
    assert cluster.read(DEAD_LETTERS.name) == []
