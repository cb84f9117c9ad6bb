"""History on a real PostgreSQL: pages joined are the whole, whatever their size, and while rows are added."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby, product
from operator import itemgetter
from typing import Any

import orjson
import psycopg
import pytest
from httpx2 import ASGITransport, AsyncClient
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL

from gateway.portfolios.figures import describe_alert, describe_past_totals
from history import questions
from history.database import Database
from history.errors import HistoryTooSlow, HistoryUnavailable, HistoryUnfit
from history.reader import History, Page, Span
from history.times import instant
from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.portfolio_alert import Alert
from market.quality import EARLIEST, LATEST
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Quote
from market.trade import GapMark, Trade
from market.valuation_record import Valuation, ValuationLine
from schemas.records import Record
from sinks.store import Advance, Batch, Entry, KafkaRecord
from sinks.stores._postgres_session import Target
from sinks.stores.postgres import PostgresStore
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.databases import fresh_database
from tests.gateway_app import App
from tests.gateway_parts import make_candle
from tests.gateway_portfolios import Floor
from tests.kline_parts import kline
from tests.servers import Addresses, throwaway_stack
from tests.sink_running import INSTRUMENTS, OF_PORTFOLIOS, QUOTE_PERIOD, VALUATION_PERIOD, records
from tests.valued_parts import PORTFOLIOS, stored, valued

Ask = Callable[[History, str, Span], Awaitable[Page[Any]]]

ASKS: dict[str, Ask] = {
    "trades": lambda history, instrument, span: history.trades(instrument, span),
    "quotes": lambda history, instrument, span: history.quotes(instrument, span),
    "candles": lambda history, instrument, span: history.candles(instrument, "1m", span),
    "klines": lambda history, instrument, span: history.klines(instrument, "1m", span),
    "funding": lambda history, instrument, span: history.funding(instrument, span),
    "open_interest": lambda history, instrument, span: history.open_interest(instrument, span),
    "price_changes": lambda history, instrument, span: history.price_changes(instrument, span),
    "gaps": lambda history, instrument, span: history.gaps(instrument, span),
    "feed_status": lambda history, instrument, span: history.feed_status(instrument, span),
    "quality_events": lambda history, instrument, span: history.quality_events(instrument, span),
    "quality_scores": lambda history, instrument, span: history.quality_scores(instrument, span),
    "valuations": lambda history, portfolio, span: history.valuations(portfolio, span),
    "valuation_lines": lambda history, portfolio, span: history.valuation_lines(portfolio, span),
    "day_ends": lambda history, portfolio, span: history.day_ends(portfolio, span),
    "alerts": lambda history, portfolio, span: history.alerts(portfolio, span),
}


def names_of(table: str) -> tuple[str, ...]:
    return PORTFOLIOS if table in OF_PORTFOLIOS else INSTRUMENTS


def order_of(record: Any, table: str = "") -> tuple[Any, ...]:
    """The order that the answers promise."""
    source = (getattr(record, "source_topic", ""), getattr(record, "source_partition", 0), getattr(record, "source_offset", 0))
    match record:
        case Trade():
            return record.event_time, record.sequence, record.trade_id
        case GapMark():
            return record.end, record.begin or 0
        case QualityEvent():
            return record.event_time, *source, record.rule, record.field or ""
        case Quote() | Funding() | OpenInterest():
            return record.received_at // QUOTE_PERIOD * QUOTE_PERIOD, record.channel
        case FeedStatus():
            return (record.changed_at,)
        case QualityScore():
            return record.open_time, record.source_topic
        case Valuation() if table == "day_ends":
            return (record.day_end_at,)
        case Valuation():
            return (record.valued_at // VALUATION_PERIOD * VALUATION_PERIOD,)
        case ValuationLine():
            return record.valued_at // VALUATION_PERIOD * VALUATION_PERIOD, record.position_id
        case Alert():
            return record.valued_at, record.kind, record.source_partition, record.source_offset
    if hasattr(record, "open_time"):
        return (record.open_time,)
    return record.received_at if record.exchange_time is None else record.exchange_time, *source


class Written:
    """A store that is written by hand, and the latest version of every row it should hold."""

    def __init__(self, dsn: str) -> None:
        self.store = PostgresStore(Target(dsn), sink="postgres", writer="test", apply_migrations=True)
        self.store.open()
        self._end: int | None = None
        self._rows: dict[str, dict[Any, tuple[Any, Any]]] = defaultdict(dict)

    def write(self, *given: Record, topic: str = "md.trades") -> None:
        begin = self._end or 0
        entries = []
        for offset, record in enumerate(given, start=begin):
            source = KafkaRecord(topic, 0, offset, b"", b"", 0)
            row = self.store.row(record, source)
            if row is None:
                continue
            entries.append(Entry(source, row))
            held = self._rows[row.table].get(row.key)
            if held is None or row.version > held[0]:
                self._rows[row.table][row.key] = row.version, record
        after = begin + len(given)
        self.store.write(Batch(entries, {("md.trades", 0): Advance(self._end, after, "id")}, {}))
        self._end = after

    def held(self, table: str, name: str) -> list[Any]:
        by = "portfolio_id" if table in OF_PORTFOLIOS else "instrument"
        found = [stored(record) for _, record in self._rows[table].values() if getattr(record, by) == name]
        return sorted(
            (record for record in found if getattr(record, "interval", None) in (None, "1m")),
            key=lambda record: order_of(record, table),
        )


@pytest.fixture(scope="module")
def written(servers: Addresses) -> Iterator[tuple[str, Written]]:
    with fresh_database(servers) as dsn:
        made = Written(dsn)
        for each in records(seed=21, count=4000).values():
            made.write(*each)
        twins = [make_trade(number, at=START, received_at=START)._replace(sequence=number // 7) for number in range(100)]
        made.write(*twins, *(GapMark(INSTRUMENT, begin, START) for begin in (None, START - 1, START - 2)))
        for topic, some in groupby(sorted(valued(seed=22, count=600), key=itemgetter(0)), itemgetter(0)):
            made.write(*(record for _, record in some), topic=topic)
        yield dsn, made
        made.store.close()


async def pages(history: History, ask: Ask, instrument: str, span: Span, sizes: Iterator[int]) -> list[Any]:
    """All pages joined; each but the last is full."""
    found: list[Any] = []
    while True:
        span = span._replace(limit=next(sizes))
        page = await ask(history, instrument, span)
        found += page.records
        if page.cursor is None:
            assert len(page.records) <= span.limit
            return found
        assert len(page.records) == span.limit
        span = span._replace(cursor=page.cursor)


def sizes_of(chance: random.Random, most: int) -> Iterator[int]:
    while True:
        yield chance.randint(1, most)


@pytest.mark.parametrize("table", ASKS)
def test_pages_of_any_size_joined_are_the_whole_in_its_order(written: tuple[str, Written], table: str) -> None:
    dsn, made = written

    async def check() -> None:
        async with Database(dsn) as database:
            history = History(database)
            for seed in range(40):
                chance = random.Random(seed)
                name, newest_first = chance.choice(names_of(table)), chance.random() < 0.5
                whole = made.held(table, name)
                times = sorted(order_of(chance.choice(whole), table)[0] for _ in range(2)) if whole else [START, START]
                since, until = chance.choice([(EARLIEST, LATEST), (times[0], times[1]), (times[0], times[1] + 1)])
                wanted = [record for record in whole if since <= order_of(record, table)[0] < until]
                span = Span(since, until, newest_first=newest_first)
                sizes = sizes_of(chance, chance.choice([3, 50, 1000]) if len(wanted) < 400 else 1000)
                found = await pages(history, ASKS[table], name, span, sizes)
                assert found == (wanted[::-1] if newest_first else wanted)

    assert made.held(table, names_of(table)[0])
    asyncio.run(check())


@pytest.mark.parametrize("newest_first", [True, False])
def test_no_row_comes_twice_and_none_is_missed_while_others_are_added(database: str, newest_first: bool) -> None:
    made = Written(database)
    chance = random.Random(5)
    before = [make_trade(number, at=START + chance.randrange(50)) for number in range(300)]
    made.write(*before)

    async def check() -> None:
        async with Database(database) as connections:
            history = History(connections)
            span, found, number = Span(limit=7, newest_first=newest_first), list[Trade](), 300
            while True:
                page = await history.trades(INSTRUMENT, span)
                found += page.records
                if page.cursor is None:
                    break
                span = span._replace(cursor=page.cursor)
                made.write(*(make_trade(number + each, at=START + chance.randrange(-20, 70)) for each in range(3)))
                number += 3
            assert len({trade.trade_id for trade in found}) == len(found)
            assert {trade.trade_id for trade in before} <= {trade.trade_id for trade in found}
            keys = [order_of(trade) for trade in found]
            assert keys == sorted(keys, reverse=newest_first)

    asyncio.run(check())
    made.store.close()


def test_figures_and_times_come_back_to_the_last_digit(database: str) -> None:
    made = Written(database)
    trade = make_trade()._replace(price=10**38 - 1, size=1, received_at=START + 1, published_at=START + 100_000, side=None)
    candle = make_candle()._replace(amount=10**50 - 1, volume=0, vwap=10**37 + 1, taker_buy_volume=0)
    stated = kline(0)._replace(volume=None, amount=None, trade_count=None, published_at=START + 999_999)
    paid = Funding(INSTRUMENT, "tickers", 1 - 10**38, START + 1, 28_800, 1, None, None, START, START + 999_999)
    held = OpenInterest(INSTRUMENT, "tickers", 10**38 - 1, 10**50 - 1, START - 1, START)
    asked = make_trade(2)._replace(origin="poll")
    status = FeedStatus("binance", "trade", INSTRUMENT, FeedState.STALE, "switched", START, source="rest")
    made.write(trade, candle, stated, paid, held, asked, status)

    async def check() -> None:
        async with Database(database) as connections:
            history = History(connections)
            assert await history.trades(INSTRUMENT) == ([asked, trade], None)
            assert await history.funding(INSTRUMENT) == ([paid], None)
            assert await history.open_interest(INSTRUMENT) == ([held], None)
            assert await history.feed_status(INSTRUMENT) == ([status], None)
            assert await history.candles(INSTRUMENT, "1m") == ([candle], None)
            assert await history.klines(INSTRUMENT, "1m") == ([stated], None)
            assert await history.candles(INSTRUMENT, "5m") == ([], None)
            assert await history.trades("okx:BTC-USDT") == ([], None)

    asyncio.run(check())
    made.store.close()


def test_wrong_questions_are_refused_by_the_name_of_what_is_wrong(written: tuple[str, Written]) -> None:
    dsn, _ = written

    async def field_at_fault(*question: Any) -> str | None:
        async with Database(dsn) as database:
            history = History(database)
            instrument, span = question
            with pytest.raises(DataValidationError) as caught:
                await history.candles(instrument, "1m", span)
            return caught.value.field

    async def check() -> None:
        assert await field_at_fault(INSTRUMENT, Span(limit=0)) == "limit"
        assert await field_at_fault(INSTRUMENT, Span(limit=1001)) == "limit"
        assert await field_at_fault(INSTRUMENT, Span(since=5)) == "since"
        assert await field_at_fault(INSTRUMENT, Span(since=START, until=START - 1)) == "until"
        assert await field_at_fault(INSTRUMENT, Span(cursor="x")) == "cursor"
        assert await field_at_fault("'; DROP TABLE trades", Span()) == "instrument"
        async with Database(dsn) as database:
            with pytest.raises(DataValidationError, match="portfolio_id: '' is not 1 to 100 letters"):
                await History(database).valuations("")
            cursor = (await History(database).candles(INSTRUMENT, "1m", Span(limit=1))).cursor
        assert await field_at_fault("binance:ETH-USDT", Span(limit=1, cursor=cursor)) == "cursor"
        assert await field_at_fault(INSTRUMENT, Span(since=START, limit=1, cursor=cursor)) == "cursor"

    asyncio.run(check())


def test_latest_rows_come_from_an_index_without_sorting_the_table(written: tuple[str, Written]) -> None:
    dsn, _ = written
    asked = [value for value in vars(questions).values() if isinstance(value, questions.Question)]
    assert {question.table for question in asked} == set(ASKS)
    with psycopg.connect(dsn) as connection:
        for costly in ("seqscan", "bitmapscan", "sort"):
            connection.execute(f"SET enable_{costly} TO off".encode())  # the tables are small here
        for question, is_behind in product(asked, (False, True)):
            values = ["binance:BTC-USDT"] * len(question.by)
            key = [instant(START + MINUTE) if column.is_time else column.kind() for column in question.order if is_behind]
            statement = question.statement(newest_first=True, behind=is_behind)
            bounds = ["2024-01-01", "2025-01-01", *key, 10]
            plan = "\n".join(row[0] for row in connection.execute(SQL("EXPLAIN ") + statement, [*values, *bounds]).fetchall())
            assert "Index Scan Backward" in plan, plan
            assert "\n  ->  Sort" not in plan, plan


def test_database_only_reads(written: tuple[str, Written]) -> None:
    dsn, _ = written

    async def check() -> None:
        async with Database(dsn) as database:
            with pytest.raises(HistoryUnavailable, match="read-only transaction"):
                await database.rows(SQL("DELETE FROM trades RETURNING 1").format(), [])

    asyncio.run(check())


def test_slow_answer_is_stopped_and_its_connection_used_again(written: tuple[str, Written]) -> None:
    dsn, _ = written

    async def check() -> None:
        async with Database(dsn, connections=1, timeout=0.3) as database:
            with pytest.raises(HistoryTooSlow, match=r"no answer within 0\.3 s"):
                await database.rows(SQL("SELECT pg_sleep(5)").format(), [])
            assert await database.rows(SQL("SELECT 1").format(), []) == [(1,)]

    asyncio.run(check())


def test_database_without_tables_and_one_that_is_not_there_are_told_apart(servers: Addresses) -> None:
    async def ask(dsn: str) -> None:
        async with Database(dsn, timeout=1.0) as database:
            await History(database).trades(INSTRUMENT)

    with fresh_database(servers) as dsn, pytest.raises(HistoryUnfit, match='relation "trades" does not exist'):
        asyncio.run(ask(dsn))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(HistoryUnavailable, match=rf"PostgreSQL at 127\.0\.0\.1:{port}/market: no connection") as caught:
            asyncio.run(ask(f"postgresql://user:s3cret@127.0.0.1:{port}/market"))
    assert "s3cret" not in str(caught.value)


def test_database_that_was_gone_is_asked_again() -> None:
    with throwaway_stack(["postgres"]) as stack:
        made = Written(stack.addresses.postgres)
        made.write(make_trade(1))

        async def check() -> None:
            async with Database(stack.addresses.postgres, timeout=1.0) as database:
                history = History(database)
                assert len((await history.trades(INSTRUMENT)).records) == 1
                await asyncio.to_thread(stack.pause, "postgres")
                began = time.monotonic()
                with pytest.raises(HistoryUnavailable):
                    await history.trades(INSTRUMENT)
                assert time.monotonic() - began < 8
                await asyncio.to_thread(stack.resume, "postgres")
                await asyncio.to_thread(stack.kill, "postgres")
                with pytest.raises(HistoryUnavailable):
                    await history.trades(INSTRUMENT)
                await asyncio.to_thread(stack.start, "postgres")
                deadline = time.monotonic() + 20
                while True:
                    try:
                        assert len((await history.trades(INSTRUMENT)).records) == 1
                    except HistoryUnavailable:
                        assert time.monotonic() < deadline
                    else:
                        break

        asyncio.run(check())
        made.store.close()


def test_many_share_few_connections(written: tuple[str, Written]) -> None:
    dsn, _ = written

    async def check() -> None:
        async with Database(make_conninfo(dsn), connections=1) as database:
            slow = asyncio.create_task(database.rows(SQL("SELECT pg_sleep(%s)").format(), [0.2]))
            answers = await asyncio.gather(*(database.rows(SQL("SELECT 1").format(), []) for _ in range(5)))
            assert answers == [[(1,)]] * 5
            await slow

    asyncio.run(check())


@pytest.mark.parametrize(
    ("table", "describe"),
    [("valuations", describe_past_totals), ("day_ends", describe_past_totals), ("alerts", describe_alert)],
)
def test_past_of_a_portfolio_over_rest_is_what_is_stored(
    written: tuple[str, Written], table: str, describe: Callable[[Any], dict[str, Any]]
) -> None:
    dsn, made = written
    floor, (name, other, *_) = Floor(), names_of(table)
    floor.create(name)

    async def check() -> None:
        async with Database(dsn) as database:
            app = App(hub=floor.hub, history=History(database))
            async with AsyncClient(transport=ASGITransport(app.application), base_url="http://gateway") as client:
                path, found, asked = f"/api/mtm/portfolio/{name}/{table.replace('_', '-')}", list[Any](), {"limit": "17"}
                while True:
                    answer = (await client.get(path, params=asked | {"newest_first": "false"})).json()
                    found += answer["data"]
                    if answer["metadata"]["cursor"] is None:
                        break
                    asked["cursor"] = answer["metadata"]["cursor"]
                assert found == orjson.loads(orjson.dumps([describe(record) for record in made.held(table, name)]))
                assert len(found) > 17
                unknown = await client.get(path.replace(name, other))
                assert unknown.status_code == 404, "though there are rows of it"

    asyncio.run(check())
