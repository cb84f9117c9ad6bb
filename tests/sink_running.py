"""Sinks started as processes, what they have stored, and a model of it in plain Python."""

from __future__ import annotations

import json
import random
import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__
from psycopg.types.json import JsonbLoader

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore, score_of
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from runtime.kafka import admin_options
from runtime.settings import Settings, load
from schemas.records import Record
from schemas.topics import TOPICS as TOPIC_OF
from sinks.stores._postgres_tables import TABLES
from sinks.stores.postgres import migrate
from tests.builders import MINUTE, START, make_trade
from tests.cluster import Cluster, Service, Stored

TOPICS = (
    *("md.trades", "md.quotes", "md.klines", "md.funding", "md.open-interest"),
    *("md.candles", "md.price-changes", "md.status", "md.quality"),
)
PARTITIONS = Settings().topics.partitions
OF_PORTFOLIOS = {"portfolios", "valuations", "day_ends", "valuation_lines", "alerts"}
"""Tables that have a test of their own."""
QUOTE_PERIOD = Settings().postgres.quote_period
VALUATION_PERIOD = Settings().postgres.valuation_period
INSTRUMENTS = ("binance:BTC-USDT", "binance:ETH-USDT", "binance:SOL-USDT", "okx:BTC-USDT", "sse:600519")

FOLDED = {"md.trades", "md.candles", "md.price-changes"}
"""Topics of trades and what is folded of them."""
_CHUNKS = 400

Start = Callable[..., Service]
Connection = psycopg.Connection[tuple[Any, ...]]


class JsonText(JsonbLoader):
    """Mappings as text, so that rows can be counted."""

    def load(self, data: Any) -> str:
        return str(super().load(data))


class Snapshot(NamedTuple):
    """What a database held at one moment: the stored offsets, and all rows by table."""

    offsets: dict[tuple[str, int], int]
    rows: dict[str, Counter[tuple[Any, ...]]]

    @property
    def passed(self) -> int:
        """How many records the offsets have passed."""
        return sum(self.offsets.values())


class Database:
    """What the sink has stored."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(text.encode(), values).fetchall()

    def offsets(self) -> dict[tuple[str, int], int]:
        with self._connected() as connection:
            return _offsets(connection)

    def rows(self, table: str, *more: str) -> list[tuple[Any, ...]]:
        """All rows of a table, and columns besides those that are stored, in the order of the key."""
        with self._connected() as connection:
            return _rows(connection, table, *more)

    def snapshot(self) -> Snapshot:
        """Offsets and rows of one moment."""
        with self._connected() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return Snapshot(_offsets(connection), {table: Counter(_rows(connection, table)) for table in TABLES})

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET TimeZone TO 'UTC'")
            connection.adapters.register_loader("jsonb", JsonText)
            yield connection


def _offsets(connection: Connection) -> dict[tuple[str, int], int]:
    found = connection.execute("SELECT topic, partition, next_offset FROM sink_offsets").fetchall()
    return {(topic, partition): offset for topic, partition, offset in found}


def _rows(connection: Connection, table: str, *more: str) -> list[tuple[Any, ...]]:
    listed = ", ".join(f'"{column}"' for column in (*TABLES[table].columns, *more))
    key = ", ".join(f'"{column}"' for column in TABLES[table].key)
    return connection.execute(f"SELECT {listed} FROM {table} ORDER BY {key}".encode()).fetchall()


class Sink:
    """Makes settings for sinks of one database and starts them."""

    def __init__(self, cluster: Cluster, start: Start, dsn: str) -> None:
        self.cluster = cluster
        self.database = Database(dsn)
        self._start = start
        self._runs = 0
        migrate(load(self.config()))

    def config(self, **settings: Any) -> Path:
        """Settings with a group of its own, so that a killed one's membership is not waited for."""
        self._runs += 1
        sinks = {"group_id": f"sink-{self._runs}", **settings}
        return self.cluster.config(f"sink-{self._runs}.yaml", sinks=sinks, postgres={"dsn": self.database.dsn})

    def start_with(self, start: Start) -> None:
        """Have sinks started in another way from now on."""
        self._start = start

    def start(self, **settings: Any) -> Service:
        return self._start("sink", "postgres", "-c", self.config(**settings))

    def is_level(self) -> bool:
        """Whether everything in the topics is stored."""
        return self.database.offsets() == self.ends()

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of every partition that holds records."""
        return ends_of(
            self.cluster, [(topic, number) for topic in TOPICS for number in range(TOPIC_OF[topic].partitions(PARTITIONS))]
        )


def ends_of(cluster: Cluster, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The end of each of these partitions that holds records."""
    # A client of its own each time: an older one does not notice that the broker's term of leadership has changed.
    admin = AdminClient(admin_options(cluster.settings.kafka, "tests-ends"))
    asked = [TopicPartition(*partition) for partition in partitions]
    answers = admin.list_offsets({each: OffsetSpec.latest() for each in asked})  # type: ignore[no-untyped-call]
    ends = {(each.topic, each.partition): answer.result(10).offset for each, answer in answers.items()}
    return {key: end for key, end in ends.items() if end}


def records(seed: int, count: int) -> dict[str, list[Record]]:
    """Records of every kind as the stages would publish them, among them repetitions and superseded versions."""
    chance = random.Random(seed)
    trades: list[Record] = []
    candles: list[Record] = []
    changes: list[Record] = []
    stated: dict[str, list[Record]] = {topic: [] for topic in TOPICS if topic not in FOLDED}
    for number in range(count):
        instrument = chance.choice(INSTRUMENTS)
        time = START + number * 1_234_567 + chance.randrange(1000)
        trade = (
            make_trade(number, at=time, received_at=time + 321, instrument=instrument)
            ._replace(
                price=chance.randrange(1, 10**20), size=chance.randrange(1, 10**15), side=chance.choice(["buy", "sell", None])
            )
            ._replace(origin=chance.choice([None, None, None, None, "backfill", "poll"]))
        )
        trades.append(trade)
        if chance.random() < 0.1:
            marks: list[Record] = [
                trade,
                TimeMark(instrument, time),
                GapMark(instrument, time - 5, time, chance.random() < 0.5),
            ]
            trades.append(chance.choice(marks))
        if chance.random() < 0.3:
            candles.append(candle(instrument, number // 50, chance.randrange(3), number, chance))
        if chance.random() < 0.1:
            changes.append(PriceChangedEvent(instrument, 100, 90, -10, -(10**13), 1, False, time, time, "md.trades", 0, number))
        for topic, record in stated_and_judged(instrument, number, time, chance):
            stated[topic].append(record)
    return {"md.trades": trades, "md.candles": candles, "md.price-changes": changes, **stated}


def stated_and_judged(instrument: str, number: int, time: int, chance: random.Random) -> Iterator[tuple[str, Record]]:
    """Records of the other kinds, several of them versions of one row; no two differ that nothing tells apart."""
    if chance.random() < 0.5:
        yield "md.quotes", quote(instrument, chance.choice(["bookTicker", "ticker"]), time, chance)
    if chance.random() < 0.2:
        yield "md.klines", kline(instrument, number // 50, time, chance)
    if chance.random() < 0.3:
        yield "md.funding", funding(instrument, chance.choice(["tickers", "markPrice@1s"]), time, chance)
    if chance.random() < 0.3:
        yield "md.open-interest", open_interest(instrument, time, chance)
    if chance.random() < 0.05:
        state, reason = chance.choice(list(FeedState)), chance.choice(["", "no data for 10 s", "a\tb\\N\nc" * 400])
        yield (
            "md.status",
            FeedStatus(
                *(instrument.partition(":")[0], "trade", instrument, state, reason, time),
                source=chance.choice([None, "websocket", "rest", "ba\\ckup"]),
            ),
        )
    if chance.random() < 0.1:
        source = "md.trades", 0, number
        field = chance.choice([None, "price"])
        figures = chance.choice([None, 10**50 - 1, -1]), chance.choice([None, 10**24])
        names = instrument, chance.choice(list(QualityRule)), chance.choice(list(Severity)), field
        rest = 3, "seen \\ twice", time, time + 9, None, None, *source
        yield "md.quality", QualityEvent._make((*names, *figures, *rest))
    if number % 40 == 0:
        faulty, counts = chance.randrange(61), {"GAP": 1, "STALE": number + 1}
        row = START + number * MINUTE, 7, counts, faulty, score_of(faulty), time
        yield "md.quality", QualityScore(instrument, *row, "md.trades", 0, number)


def quote(instrument: str, channel: str, time: int, chance: random.Random) -> Quote:
    def figure() -> int | None:
        return chance.choice([None, chance.randrange(1, 10**18)])

    prices = [figure() for _ in range(9)]
    day = figure(), chance.choice([None, 10**49 + 1]), chance.choice([None, -5]), chance.choice([None, -(10**13)])
    times = chance.choice([None, time]), time + 100, None
    return Quote._make((instrument, channel, chance.choice([None, time % 1000]), *prices, *day, *times, figure(), figure()))


def funding(instrument: str, channel: str, time: int, chance: random.Random) -> Funding:
    return Funding(
        instrument,
        channel,
        rate=chance.choice([0, 10**8, -1, 10**38 - 1, 1 - 10**38]),
        next_funding_time=chance.choice([None, time + MINUTE]),
        interval_seconds=chance.choice([None, 28_800]),
        mark_price=chance.choice([None, chance.randrange(1, 10**18)]),
        index_price=chance.choice([None, 1]),
        exchange_time=chance.choice([None, time]),
        received_at=time + 100,
        published_at=chance.choice([None, time + 200]),
    )


def open_interest(instrument: str, time: int, chance: random.Random) -> OpenInterest:
    held = chance.choice([0, 1, 10**38 - 1]), chance.choice([None, 0, 10**50 - 1])
    return OpenInterest(instrument, "tickers", *held, chance.choice([None, time]), time + 100)


def kline(instrument: str, minute: int, time: int, chance: random.Random) -> Kline:
    low = chance.randrange(1, 10**15)
    figures = (
        low,
        low + 10,
        low,
        low + 5,
        chance.choice([None, ONE]),
        chance.choice([None, ONE * ONE]),
        chance.choice([None, 3]),
    )
    ids = (None, "7", None)
    is_closed = chance.random() < 0.3
    return Kline(instrument, "1m", START + minute * MINUTE, *figures, *ids, is_closed, chance.choice([None, time]), time + 100)


def candle(instrument: str, minute: int, revision: int, offset: int, chance: random.Random) -> CandleEvent:
    low = chance.randrange(1, 10**15)
    high = low + chance.randrange(10**15)
    volume, begin = chance.randrange(1, 10**15), START + minute * MINUTE
    kind = chance.choice(list(CandleEventKind))
    figures = (low, high, low, high, volume, volume * low, low, chance.choice([None, volume]), 3)
    flags = (True, chance.choice([True, False]), False)
    row = (instrument, "1m", begin, begin + MINUTE, kind, revision, *figures, "1", "3", *flags, begin + 5, begin + 9)
    return CandleEvent._make((*row, "md.trades", 0, offset))


def publish(cluster: Cluster, by_topic: Mapping[str, Sequence[Record]]) -> None:
    for topic, each in by_topic.items():
        cluster.publish(topic, each)


@contextmanager
def publishing(cluster: Cluster, by_topic: Mapping[str, Sequence[Record]]) -> Iterator[Callable[[], bool]]:
    """Records published bit by bit during the block, the rest at its end; whether some are left."""
    chunks = [
        {topic: each[number * len(each) // _CHUNKS : (number + 1) * len(each) // _CHUNKS] for topic, each in by_topic.items()}
        for number in range(_CHUNKS)
    ]
    hurry = threading.Event()

    def work() -> None:
        while chunks:
            publish(cluster, chunks.pop(0))
            hurry.wait(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: bool(chunks)
    finally:
        hurry.set()
        thread.join()


def published(cluster: Cluster) -> list[tuple[str, Stored]]:
    """Everything that lies in the topics of the market, with the topic's name."""
    return [(topic, stored) for topic in TOPICS for stored in cluster.read(topic)]


def model(found: Iterable[tuple[str, Stored]]) -> dict[str, Counter[tuple[Any, ...]]]:
    """What the tables must hold of these records."""
    tables: dict[str, dict[tuple[Any, ...], tuple[Any, tuple[Any, ...]]]] = {table: {} for table in TABLES}
    for _, stored in found:
        if type(stored.record) not in TABLE_OF:
            continue
        table, versions = TABLE_OF[type(stored.record)]
        fields = columns_of(stored)
        key = tuple(fields[column] for column in TABLES[table].key)
        version = tuple(fields[column] for column in versions)
        if key not in tables[table] or version > tables[table][key][0]:
            tables[table][key] = version, tuple(fields[column] for column in TABLES[table].columns)
    return {table: Counter(row for _, row in rows.values()) for table, rows in tables.items()}


TABLE_OF: dict[type[Any], tuple[str, tuple[str, ...]]] = {
    Trade: ("trades", ()),
    CandleEvent: ("candles", ("revision", "source_offset")),
    PriceChangedEvent: ("price_changes", ()),
    GapMark: ("gaps", ("healed",)),
    Quote: ("quotes", ("received_at",)),
    Kline: ("klines", ("is_closed", "received_at")),
    Funding: ("funding", ("received_at",)),
    OpenInterest: ("open_interest", ("received_at",)),
    FeedStatus: ("feed_status", ()),
    QualityEvent: ("quality_events", ()),
    QualityScore: ("quality_scores", ("received_at", "source_offset")),
}
PRICES = {"price", "size", "open", "high", "low", "close", "volume", "vwap", "taker_buy_volume"}
PRICES |= {"old_price", "new_price", "change", "change_percent", "bid", "bid_size", "ask", "ask_size", "last", "last_size"}
PRICES |= {"open_24h", "high_24h", "low_24h", "volume_24h", "change_24h", "change_percent_24h", "score"}
PRICES |= {"rate", "mark_price", "index_price", "open_interest"}
AMOUNTS = {"amount", "amount_24h", "observed", "expected", "notional"}
EXACT = Context(prec=60)


def columns_of(stored: Stored) -> dict[str, Any]:
    """The fields of a record as PostgreSQL should give them back."""
    fields = {"source_partition": stored.partition, "source_offset": stored.offset, **stored.record._asdict()}
    fields["reason_digest"], fields["detail_digest"] = fields.get("reason"), fields.get("detail")
    if "begin" in fields:
        fields |= {"begin_time": fields["begin"], "end_time": fields["end"]}
    elif "received_at" in fields:
        happened = fields["received_at"] if fields.get("exchange_time") is None else fields["exchange_time"]
        fields.setdefault("event_time", happened)
        known = (
            min(happened, fields["received_at"]) if isinstance(stored.record, Funding | OpenInterest) else fields["received_at"]
        )
        fields["period_time"] = known // QUOTE_PERIOD * QUOTE_PERIOD
    return {name: None if value is None else column_of(name, value) for name, value in fields.items()}


def column_of(name: str, value: Any) -> Any:
    if name in PRICES or name in AMOUNTS:
        return EXACT.scaleb(Decimal(value), -24 if name in AMOUNTS else -12)
    if isinstance(value, dict):
        return str(value)
    if name.endswith(("_time", "_at")):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
    return value


def assert_rows_equal_the_model(sink: Sink) -> None:
    for table, rows in model(published(sink.cluster)).items():
        assert Counter(sink.database.rows(table)) == rows, table


def assert_rows_are_those_of_the_offsets(cluster: Cluster, found: Iterable[Snapshot]) -> None:
    """Of each moment: the rows are what the records below the offsets make, of every topic, no more and no less."""
    records = published(cluster)
    for snapshot in found:
        passed = [
            (topic, stored) for topic, stored in records if stored.offset < snapshot.offsets.get((topic, stored.partition), 0)
        ]
        for table, rows in model(passed).items():
            assert snapshot.rows[table] == rows, (table, snapshot.passed)


def is_reading(service: Service) -> bool:
    return '"event":"reading"' in service.text()


def not_ready(service: Service) -> dict[str, str]:
    """Why a service is not ready; empty when it is."""
    address = re.findall(r'"address":"(http://[^"]+)","event":"serving', service.text())[-1]
    try:
        with urllib.request.urlopen(f"{address}/readyz") as answer:
            return dict(json.load(answer)["reasons"])
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.load(error)["reasons"])


def metric(service: Service, name: str) -> float:
    address = re.findall(r'"address":"(http://[^"]+)","event":"serving', service.text())[-1]
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
