"""Commands and prices in, valuations out, by workers on the real broker: killed, joined by another, and left alone."""

import time
from fractions import Fraction
from typing import Any

from market.decimals import ONE
from market.fx import FxGraph, FxQuote
from market.limits import Limit, LimitKind
from market.portfolio import Policy, Portfolio
from market.portfolio_alert import Alert, Watched, see
from market.portfolio_commands import (
    ApplyFill,
    Command,
    CreatePortfolio,
    Deposit,
    RegisterPosition,
    RemovePosition,
    Revalue,
    UpdatePosition,
)
from market.portfolio_totals import Rates, sum_lines
from market.price import PriceRecord
from market.price_choice import Freshness, choose_price, reference_price
from market.valuation import Mark, value_line, value_lines
from market.valuation_record import Stamp, Valuation, ValuationLine, line_of, valuation_of
from runtime.settings import load
from schemas.topics import ALERTS, COMMANDS, POSITIONS, PRICES, REPLIES, VALUATION_LINES, VALUATIONS
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.portfolio_parts import AMOUNT, command
from tests.price_parts import both_sides
from tests.processing import FAST, Start

HOUR = 3_600_000_000
LIMIT = Limit(LimitKind.GROSS_EXPOSURE, 1_000 * AMOUNT, 900 * AMOUNT)
POLICY = Policy(stale_after=HOUR, limits=(LIMIT,))
INSTRUMENTS = {"x:A-USDT": "USDT", "x:B-CNY": "CNY"}
STATED = {"base": "USDT", "quote": "CNY", "rate": "7.17", "as_of": "2026-01-31T12:00:00Z"}
VALUING = {
    **FAST,
    "agents": ["portfolios", "valuations", "alerts"],
    "store": "rocksdict",
    "valuation": {"stated_rates": [STATED], "lines_seconds": 0.1, "snapshot_seconds": 3600},
}
PORTFOLIOS = [f"fund-{number}" for number in range(12)]


def opening() -> list[Command]:
    """Every portfolio with cash, a long position in one currency and a short one in another, and one that nothing prices."""
    found: list[Command] = []
    for number, name in enumerate(PORTFOLIOS):
        found.append(command(CreatePortfolio, "c", portfolio=name, base_currency="USDT", policy=POLICY))
        found.append(command(Deposit, "d", portfolio=name, amount=1_000 * AMOUNT))
        for place, (instrument, currency) in enumerate(INSTRUMENTS.items()):
            quantity = (number + 1) * ONE * (-1) ** place
            found.append(
                command(
                    RegisterPosition,
                    f"r{place}",
                    portfolio=name,
                    position_id=f"p{place}",
                    instrument=instrument,
                    currency=currency,
                    quantity=quantity,
                    cost=quantity * 90 * ONE,
                )
            )
    found.append(command(RegisterPosition, "x", portfolio=PORTFOLIOS[0], position_id="dark", instrument="x:DARK-USDT"))
    return found


def prices(version: int, price: int) -> list[PriceRecord]:
    now = time.time_ns() // 1000
    bid, ask = ((3 * price + side) * ONE // 3 for side in (-1, 1))
    return [both_sides(instrument, version, bid, ask, now) for instrument in INSTRUMENTS]


def model(cluster: Cluster) -> tuple[dict[str, Valuation], dict[tuple[str, str], ValuationLine]]:
    """What the records of portfolios and prices make, from their latest alone."""
    graph = FxGraph([FxQuote("USDT", "CNY", Fraction("7.17"), 1_769_860_800_000_000, "config")])
    rates, stamp = Rates(graph, graph), Stamp(0, 0, 0)
    board: dict[str, PriceRecord] = {one.record.instrument: one.record for one in cluster.read(PRICES.name)}
    held: dict[str, Portfolio] = {one.record.portfolio_id: one.record for one in cluster.read(POSITIONS.name)}
    totals = dict[str, Valuation]()
    lines = dict[tuple[str, str], ValuationLine]()
    for name, portfolio in held.items():
        found = value_lines(portfolio, [mark(position.instrument, board) for position in portfolio.positions.values()], graph)
        gone = [
            value_line(one.flat, Mark(None, mark(one.instrument, board).reference), graph.rate(one.currency, "USDT"))
            for one in portfolio.traces
        ]
        totals[name] = valuation_of(portfolio, sum_lines(portfolio, [*found, *gone], rates), rates, (), stamp)
        lines |= {(name, line.position.position_id): line_of(portfolio, line, stamp) for line in found}
    return totals, lines


def mark(instrument: str, board: dict[str, PriceRecord]) -> Mark:
    record, freshness = board.get(instrument), Freshness(time.time_ns() // 1000, HOUR)
    price = choose_price(record, POLICY.prices, freshness, is_long=True)
    return Mark(price, record and reference_price(record, freshness.now))


def published(cluster: Cluster) -> tuple[dict[str, Valuation], dict[tuple[str, str], ValuationLine]]:
    """What a reader has who keeps the latest of each key, without stamps."""
    totals: dict[str, Valuation] = {}
    for one in cluster.read(VALUATIONS.name):
        before = totals.get(one.record.portfolio_id)
        if before is None or order(one.record) > order(before):
            totals[one.record.portfolio_id] = one.record
    lines: dict[tuple[str, str], ValuationLine] = {}
    for one in cluster.read(VALUATION_LINES.name):
        portfolio_id, _, position_id = (one.key or b"").decode().partition("|")
        if one.record is None:
            lines.pop((portfolio_id, position_id), None)
        else:
            lines[portfolio_id, position_id] = one.record._replace(generation=0, sequence=0, valued_at=0)
    return {name: bare(one) for name, one in totals.items()}, lines


def bare(record: Valuation) -> Valuation:
    """Without what says only when it was made."""
    stamped = record._replace(generation=0, sequence=0, valued_at=0)
    return stamped._replace(board=(), replies_offset=None, as_of=None, day_end_at=None)


def order(record: Valuation) -> tuple[int, int]:
    return record.generation, record.sequence


def await_model(cluster: Cluster, lines: int) -> None:
    def is_reached() -> bool:
        found, wanted = published(cluster), model(cluster)
        return found == wanted and len(found[1]) == lines

    try:
        wait_for(is_reached, "valuations as the model has them", timeout=60, every=0.5)
    except BaseException:
        assert published(cluster) == model(cluster)  # tells the difference
        raise


def check_revalued_at_once(cluster: Cluster) -> None:
    """Nothing changes, so nothing is told but what is asked for: totals and lines of all who are named, and of nobody else."""
    totals, lines = cluster.ends(VALUATIONS.name), cluster.ends(VALUATION_LINES.name)
    asked = PORTFOLIOS[:3]
    cluster.publish(COMMANDS.name, [command(Revalue, "now", portfolio=name) for name in asked])
    wait_for(lambda: len(cluster.read(VALUATION_LINES.name, lines)) == 7, "lines of three portfolios")
    replies = {one.record.portfolio_id: one for one in cluster.read(REPLIES.name) if one.record.command == "revalue"}
    found = [one.record for one in cluster.read(VALUATIONS.name, totals)]
    assert sorted(replies) == sorted(one.portfolio_id for one in found) == asked
    for one in found:
        assert one.replies_offset > replies[one.portfolio_id].offset
        assert one.position_version == replies[one.portfolio_id].record.version


def expected_alerts(cluster: Cluster) -> set[Alert]:
    """What all valuations make, in their order."""
    watched = dict[str, Watched]()
    found = set[Alert]()
    for one in cluster.read(VALUATIONS.name):
        before = watched.get(one.record.portfolio_id, Watched())
        seen = see(before, one.record, (VALUATIONS.name, one.partition, one.offset))
        watched[one.record.portfolio_id] = seen.watched
        found.update(seen.alerts)
    return found


def test_valuations_follow_commands_and_prices_through_crashes_and_rebalances(cluster: Cluster, start: Start) -> None:
    config = cluster.config(processors=VALUING)
    apply_topics(load(config))
    cluster.publish(PRICES.name, prices(1, 100))
    worker = start("process", "-c", config)
    cluster.publish(COMMANDS.name, opening())
    await_model(cluster, lines=25)
    check_revalued_at_once(cluster)

    worker.kill()
    cluster.publish(PRICES.name, prices(2, 101))
    dark: dict[str, Any] = {"portfolio": PORTFOLIOS[0], "position_id": "dark"}
    flat = command(UpdatePosition, "flat", quantity=0, cost=0, **dark)
    cluster.publish(COMMANDS.name, [flat, command(RemovePosition, "gone", **dark)])
    worker.start()
    cluster.publish(PRICES.name, prices(3, 102))
    await_model(cluster, lines=24)

    other = cluster.config("other.yaml", processors={**VALUING, "state_dir": str(cluster.folder / "other")})
    start("process", "-c", other)
    for version in range(4, 20):
        cluster.publish(PRICES.name, prices(version, 100 + version))
        fill: dict[str, Any] = {"quantity": ONE, "price": 100 * ONE, "instrument": "x:A-USDT", "position_id": "p0"}
        cluster.publish(
            COMMANDS.name,
            [command(ApplyFill, f"f{version}", portfolio=name, **fill) for name in PORTFOLIOS],
        )
        time.sleep(0.3)
    await_model(cluster, lines=24)
    assert len({record.record.generation for record in cluster.read(VALUATIONS.name)}) > 1
    wait_for(
        lambda: {one.record for one in cluster.read(ALERTS.name)} == expected_alerts(cluster), "alerts as the model has them"
    )
    assert {one.record.portfolio_id for one in cluster.read(ALERTS.name)} == set(PORTFOLIOS)
    assert cluster.read("dlq") == []
