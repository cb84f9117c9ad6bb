"""Net exposure by Faust as its documentation has it used: an agent on each topic, one event at a time.

    python -m benchmarks.mtm.faust_mtm worker -l warn --without-web

The environment names the broker, registry, output topic, partitions and state folder. Portfolios are in memory alone, prices of
one worker: what is left out (tables, exact times of the day, coverage, ages, lines) only makes it faster.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import faust

from benchmarks.mtm.load import RATE
from market.decimals import ONE
from runtime.kafka import registry_options
from runtime.settings import RegistrySettings
from schemas.registry import Registry
from schemas.topics import POSITIONS, PRICES

app = faust.App(
    "plain_faust",
    broker=f"kafka://{os.environ['BENCHMARK_KAFKA']}",
    store="memory://",
    datadir=os.environ["BENCHMARK_STATE"],
    topic_partitions=int(os.environ["BENCHMARK_PARTITIONS"]),
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
)
_RAW: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
portfolios = app.topic(POSITIONS.name, **_RAW)
prices = app.topic(PRICES.name, **_RAW)
output = app.topic(os.environ["BENCHMARK_OUTPUT"], key_serializer="raw", value_serializer="json")

with Registry(registry_options(RegistrySettings(url=os.environ["BENCHMARK_REGISTRY"]))) as registry:
    codec = registry.codec([POSITIONS, PRICES])

latest: dict[str, tuple[int, int]] = {RATE: (0, ONE)}
"""Time and mean of bid and ask by instrument."""
holders: dict[str, set[str]] = defaultdict(set)
held: dict[str, dict[str, int]] = {}
"""Units by instrument, by portfolio."""


def total(portfolio_id: str) -> dict[str, Any]:
    """What a portfolio is worth now."""
    net, oldest = 0, None
    for instrument, units in held[portfolio_id].items():
        if instrument not in latest:
            return {"portfolio": portfolio_id, "oldest": None, "net": ""}
        time, price = latest[instrument]
        oldest = time if oldest is None else min(oldest, time)
        net += units * price * (latest[RATE][1] if instrument.endswith("USDT") else ONE)
    return {"portfolio": portfolio_id, "oldest": oldest, "net": str(net)}


@app.agent(portfolios)  # type: ignore[untyped-decorator]  # Faust's hints are not followed
async def hold(stream: Any) -> None:
    """Take in each portfolio."""
    async for value in stream:
        portfolio: Any = codec.decode(value)
        units = dict[str, int]()
        for position in portfolio.positions.values():
            units[position.instrument] = units.get(position.instrument, 0) + position.quantity
            holders[position.instrument].add(portfolio.portfolio_id)
        held[portfolio.portfolio_id] = units
        await tell(portfolio.portfolio_id)


@app.agent(prices)  # type: ignore[untyped-decorator]  # Faust's hints are not followed
async def price(stream: Any) -> None:
    """Value every holder of each price."""
    async for value in stream:
        record: Any = codec.decode(value)
        latest[record.instrument] = record.received_at, record.mid
        for portfolio_id in list(holders[record.instrument]):
            await tell(portfolio_id)


async def tell(portfolio_id: str) -> None:
    """Send what a portfolio is worth."""
    await output.send(key=portfolio_id.encode(), value=total(portfolio_id))


if __name__ == "__main__":
    app.main()
