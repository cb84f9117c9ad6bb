"""Portfolios from commands and prices to rows, by the real worker, sink and database, against what lies in the topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from history.database import Database
from history.reader import History, Page, Span
from market.decimals import AMOUNT_PRECISION, AMOUNT_SCALE, ONE, parse_decimal
from market.interval import DAY
from market.limits import Limit, LimitKind
from market.portfolio import Policy, Portfolio
from market.portfolio_commands import CreatePortfolio, Deposit, RegisterPosition
from market.price import PricePoint, PriceRecord
from runtime.settings import load
from schemas.topics import ALERTS, COMMANDS, DAY_ENDS, POSITIONS, PRICES, VALUATION_LINES, VALUATIONS
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.portfolio_parts import AMOUNT, command
from tests.price_parts import SOURCE, make_price
from tests.processing import FAST, Start
from tests.sink_running import OF_PORTFOLIOS, PARTITIONS, VALUATION_PERIOD, Sink, ends_of
from tests.valued_parts import stored

FUNDS = [f"fund-{number}" for number in range(4)]
READ = POSITIONS, VALUATIONS, VALUATION_LINES, DAY_ENDS, ALERTS
POLICY = Policy(stale_after=9 * DAY, limits=(Limit(LimitKind.GROSS_EXPOSURE, 150 * AMOUNT, 100 * AMOUNT),))


def price(price: int, at: int, version: int) -> PriceRecord:
    point = PricePoint(price * ONE, None, SOURCE._replace(exchange_time=at, received_at=at, offset=version))
    return make_price()._replace(
        instrument="x:A-USDT",
        bid=None,
        ask=None,
        last=point,
        mark_price=None,
        index_price=None,
        close=None,
        previous_close=None,
        received_at=at,
        quotes_offset=version,
        trades_offset=None,
    )


def test_portfolios_valuations_and_alerts_are_rows_once_and_reading_again_changes_nothing(
    cluster: Cluster, start: Start, database: str
) -> None:
    valuation = {"lines_seconds": 0.1, "snapshot_seconds": 3600}
    config = cluster.config(processors={**FAST, "agents": ["portfolios", "valuations", "alerts"], "valuation": valuation})
    apply_topics(load(config))
    sink = Sink(cluster, start, database)
    processing = start("process", "-c", config)
    for name in FUNDS:
        opening = [
            command(CreatePortfolio, "c", portfolio=name, base_currency="USDT", policy=POLICY),
            command(Deposit, "d", portfolio=name),
            command(RegisterPosition, "r", portfolio=name, instrument="x:A-USDT"),
        ]
        if name == FUNDS[0]:
            opening.append(command(RegisterPosition, "x", portfolio=name, position_id="dark", instrument="x:DARK-USDT"))
        cluster.publish(COMMANDS.name, opening)
    wait_for(lambda: len(cluster.read(VALUATION_LINES.name)) >= 5, "lines without a price")
    now = max(one.record.updated_at for one in cluster.read(POSITIONS.name))
    cluster.publish(PRICES.name, [price(100, now, 1)])
    wait_for(lambda: len(cluster.read(ALERTS.name)) == 4, "breaches")
    cluster.publish(PRICES.name, [price(40, now + DAY, 2)])
    wait_for(lambda: len(cluster.read(ALERTS.name)) == 7, "limits kept again, but where a position has no price")
    wait_for(lambda: len(cluster.read(DAY_ENDS.name)) == 4, "ends of days")
    processing.kill()  # nothing more comes

    def is_level() -> bool:
        wanted = ends_of(cluster, [(topic.name, number) for topic in READ for number in range(topic.partitions(PARTITIONS))])
        offsets = sink.database.offsets()
        return {place: offsets.get(place) for place in wanted} == wanted

    worker = sink.start()
    wait_for(is_level, "the topics to be stored")
    check_rows(sink, cluster)
    before = {table: sink.database.rows(table, "xmin") for table in OF_PORTFOLIOS}
    assert all(before.values())
    assert worker.terminate() == 0
    sink.database.query("DELETE FROM sink_offsets RETURNING 1")
    sink.start()
    wait_for(is_level, "the topics to be stored again")
    assert {table: sink.database.rows(table, "xmin") for table in OF_PORTFOLIOS} == before
    assert cluster.read("dlq") == []


def check_rows(sink: Sink, cluster: Cluster) -> None:
    """What is read back is the latest record of each key, whole, and nothing else."""
    published = {topic.name: [one.record for one in cluster.read(topic.name) if one.record is not None] for topic in READ}
    for name in FUNDS:
        of_fund = {topic: [one for one in records if one.portfolio_id == name] for topic, records in published.items()}
        for topic, found in asyncio.run(read_back(sink.database.dsn, name)).items():
            latest: dict[tuple[Any, ...], Any] = {}
            for record in of_fund[topic]:
                before = latest.setdefault(key_of(topic, record), record)
                if topic != ALERTS.name and (record.generation, record.sequence) > (before.generation, before.sequence):
                    latest[key_of(topic, record)] = record
            assert found == [stored(latest[key]) for key in sorted(latest)], topic
        check_portfolio(sink, of_fund[POSITIONS.name][-1])
    lines = sink.database.query("SELECT position_id, state, value FROM valuation_lines WHERE state = 'UNPRICED'")
    assert ("dark", "UNPRICED", None) in lines
    assert {value for _, _, value in lines} == {None}


async def read_back(dsn: str, portfolio_id: str) -> dict[str, list[Any]]:
    """All that the history has of a portfolio, page by page, by the topic it came by."""
    async with Database(dsn) as database:
        history = History(database)
        asks: dict[str, Callable[[str, Span], Awaitable[Page[Any]]]] = {
            VALUATIONS.name: history.valuations,
            VALUATION_LINES.name: history.valuation_lines,
            DAY_ENDS.name: history.day_ends,
            ALERTS.name: history.alerts,
        }
        found = dict[str, list[Any]]()
        for topic, ask in asks.items():
            span, records = Span(limit=2, newest_first=False), list[Any]()
            while True:
                page = await ask(portfolio_id, span)
                records += page.records
                if page.cursor is None:
                    break
                span = span._replace(cursor=page.cursor)
            found[topic] = records
        return found


def key_of(topic: str, record: Any) -> tuple[Any, ...]:
    """What tells the rows of a portfolio apart, in their order."""
    if topic == DAY_ENDS.name:
        return (record.day_end_at,)
    if topic == ALERTS.name:
        return record.valued_at, record.kind, record.source_partition, record.source_offset
    begin = record.valued_at // VALUATION_PERIOD * VALUATION_PERIOD
    return (begin,) if topic == VALUATIONS.name else (begin, record.position_id)


def check_portfolio(sink: Sink, latest: Portfolio) -> None:
    """The row of a portfolio says what its latest record says, figures to the last digit."""
    [(version, currency, balances, positions, policy)] = sink.database.query(
        "SELECT version, base_currency, balances::text, positions::text, policy::text FROM portfolios WHERE portfolio_id = %s",
        latest.portfolio_id,
    )
    assert (version, currency) == (latest.version, latest.base_currency)
    cash = {name: amount_of(balance["cash"]) for name, balance in json.loads(balances).items()}
    assert cash == {name: balance.cash for name, balance in latest.balances.items()}
    held = {name: (figure_of(one["quantity"]), amount_of(one["cost"])) for name, one in json.loads(positions).items()}
    assert held == {name: (position.quantity, position.cost) for name, position in latest.positions.items()}
    limits = {name: amount_of(limit["threshold"]) for name, limit in json.loads(policy)["limits"].items()}
    assert limits == {limit.kind: limit.threshold for limit in latest.policy.limits}


def figure_of(text: str) -> int:
    return parse_decimal(text, field="figure")


def amount_of(text: str) -> int:
    return parse_decimal(text, field="amount", scale=AMOUNT_SCALE, precision=AMOUNT_PRECISION)
