"""What only time and removed positions make of valuations, by workers on the real broker."""

from __future__ import annotations

import time
from typing import Any

from market.decimals import ONE
from market.interval import DAY, HOUR
from market.limits import Limit, LimitKind
from market.portfolio import Policy
from market.portfolio_alert import Alert
from market.portfolio_commands import ApplyFill, ClosePosition, CreatePortfolio, RemovePosition
from market.price import PriceRecord
from market.valuation_record import Valuation
from runtime.settings import load
from schemas.topics import ALERTS, COMMANDS, PRICES, VALUATION_LINES, VALUATIONS
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.portfolio_parts import AMOUNT, command
from tests.price_parts import both_sides
from tests.processing import FAST, Start

SECONDS = 3
AGE = Limit(LimitKind.PRICE_AGE, SECONDS * AMOUNT, AMOUNT)
POLICY = Policy(stale_after=HOUR, limits=(AGE,), day_zone="America/New_York")
QUIET = Policy(stale_after=HOUR)
INSTRUMENT = "x:A-USDT"
FILL: dict[str, Any] = {"instrument": INSTRUMENT, "position_id": "p"}
VALUING = {
    **FAST,
    "agents": ["portfolios", "valuations", "alerts"],
    "valuation": {"lines_seconds": 0.1, "snapshot_seconds": 3600},
}


def price(version: int, value: int) -> PriceRecord:
    """A price, and one of 24 hours ago of 80."""
    return both_sides(INSTRUMENT, version, (value - 1) * ONE, (value + 1) * ONE, time.time_ns() // 1000)


def alerts(cluster: Cluster) -> list[Alert]:
    return [one.record for one in cluster.read(ALERTS.name)]


def latest(cluster: Cluster, portfolio: str) -> Valuation | None:
    found = [one.record for one in cluster.read(VALUATIONS.name) if one.record.portfolio_id == portfolio]
    return found[-1] if found else None


def test_age_of_a_price_and_the_day_of_a_removed_position_are_told_in_time(cluster: Cluster, start: Start) -> None:
    config = cluster.config(processors=VALUING)
    apply_topics(load(config))
    start("process", "-c", config)
    for name, policy in (("watched", POLICY), ("quiet", QUIET)):
        begin = command(CreatePortfolio, "c", portfolio=name, base_currency="USDT", policy=policy)
        cluster.publish(COMMANDS.name, [begin, command(ApplyFill, "f", portfolio=name, price=100 * ONE, **FILL)])
    cluster.publish(PRICES.name, [price(1, 100)])

    wait_for(lambda: len(alerts(cluster)) == 1, "the breach", timeout=60, every=0.1)
    (breach,) = alerts(cluster)
    assert (breach.portfolio_id, breach.kind, breach.is_breached) == ("watched", LimitKind.PRICE_AGE, True)
    assert breach.oldest_price_at is not None
    late = breach.valued_at - breach.oldest_price_at - SECONDS * 1_000_000
    assert 0 < late < 20_000_000, "it is told when the price is too old, not when all is told again"
    told = len([one for one in cluster.read(VALUATIONS.name) if one.record.portfolio_id == "quiet"])
    cluster.publish(PRICES.name, [price(2, 100)])
    wait_for(lambda: len(alerts(cluster)) >= 2, "that it is kept again", timeout=60, every=0.1)
    assert not alerts(cluster)[1].is_breached
    last = latest(cluster, "watched")
    assert last is not None
    assert last.day_end_at is not None
    assert last.day_end_at % DAY in (4 * HOUR, 5 * HOUR), "midnight in New York"
    quiet = len([one for one in cluster.read(VALUATIONS.name) if one.record.portfolio_id == "quiet"])
    assert quiet <= told + 1, "of who has no such limit nothing is told for age alone"

    closed = command(ClosePosition, "x", portfolio="quiet", position_id="p", price=107 * ONE)
    cluster.publish(COMMANDS.name, [closed, command(RemovePosition, "r", portfolio="quiet", position_id="p")])

    def day_of_it() -> int | None:
        found = latest(cluster, "quiet")
        return found.day_pnl if found is not None and found.position_version == 4 else None

    wait_for(lambda: day_of_it() is not None, "the day of what is gone", timeout=60, every=0.1)
    assert day_of_it() == 7 * AMOUNT
    lines = [one for one in cluster.read(VALUATION_LINES.name) if one.key == b"quiet|p"]
    assert lines[-1].record is None, "but no line of it"
    assert cluster.read("dlq") == []
