"""The whole way of a tick: the recorded capture through every real part, compared with plain arithmetic."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.client import GatewayClient
from market.candle import CandleEvent, CandleEventKind
from market.decimals import AMOUNT_SCALE, SCALE
from market.errors import SubscriptionError
from market.price_change import PriceChangedEvent
from market.trade import Trade
from tapeline.demo.runner import sample_files
from tapeline.demo.services import free_port
from tests.cluster import Cluster, Service, wait_for
from tests.databases import fresh_database
from tests.e2e.plain_model import Expected, PlainCandle, PlainChange, PlainTrade, expect
from tests.servers import Addresses

INSTRUMENT = "binance:BTC-USDT"
GROUP = "tapeline_processors"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATIENCE = 120
ROWS = {
    "trades": "instrument, trade_id",
    "candles": "instrument, open_time",
    "price_changes": "source_partition, source_offset",
    "gaps": "instrument, begin_time, end_time",
}
RESULTS = (
    "md.candles",
    "md.price-changes",
    "dlq",
    f"{GROUP}-candles-changelog",
    f"{GROUP}-closed-candles-changelog",
    f"{GROUP}-price-changes-changelog",
)


class Client:
    """A WebSocket client of the gateway in a thread of its own; keeps all it is told."""

    def __init__(self, port: int) -> None:
        self.messages: list[dict[str, Any]] = []
        self._url = f"ws://127.0.0.1:{port}"
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._listen())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a type so far."""
        return [message for message in list(self.messages) if message["type"] == kind]

    def close(self) -> None:
        """Leave; raises what went wrong on the way."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        if not self._task.cancelled():
            self._task.result()

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.wait([self._task]))
        self._loop.close()

    async def _listen(self) -> None:
        async with GatewayClient(self._url, client_id="tests") as client:
            while True:
                try:
                    await client.subscribe(INSTRUMENT, ["QUOTE", "TRADE", "KLINE"])
                except SubscriptionError:  # not known before its first record is there
                    await asyncio.sleep(0.2)
                else:
                    break
            async for message in client:
                self.messages.append(message)


class Snapshot(NamedTuple):
    """What the system holds: its tables' rows, and how many records each topic of results has."""

    rows: dict[str, list[tuple[Any, ...]]]
    records: dict[str, int]


@dataclass
class System:
    """All parts, running."""

    cluster: Cluster
    database: str
    run: Callable[..., Service]
    ports: dict[str, int]
    client: Client = field(init=False)

    def replay(self) -> None:
        """Send the capture as fast as it goes, and wait until it has arrived everywhere."""
        source = self.run("replay", *sample_files(), "--speed", "max", "--times", "recorded")
        assert source.process.wait(PATIENCE) == 0, source.text()
        wait_for(lambda: self.cluster.all_committed(GROUP, "md.trades"), "the processors", timeout=PATIENCE, every=0.5)
        for topic in ("md.trades", "md.candles", "md.price-changes"):
            wait_for(lambda topic=topic: self.stored_all(topic), f"{topic} to be stored", timeout=PATIENCE)  # type: ignore[misc]
        wait_for(self.gateway_read_all, "the gateway to have read everything", timeout=PATIENCE)

    def stored_all(self, topic: str) -> bool:
        """Whether the sink has stored a topic to its end."""
        query = "SELECT partition, next_offset FROM sink_offsets WHERE topic = %s AND next_offset > 0"
        with psycopg.connect(self.database) as connection:
            return self.cluster.ends(topic) == dict(connection.execute(query, [topic]).fetchall())

    def gateway_read_all(self) -> bool:
        """Whether the gateway has read all its topics to their ends."""
        partitions = json.loads(self.get("api", "/api/v1/realtime/status"))["data"]["partitions"]
        read: dict[str, dict[int, int]] = {one["topic"]: {} for one in partitions}
        for one in partitions:
            if one["position"]:
                read[one["topic"]][one["partition"]] = one["position"]
        caught_up = all(one["position"] == one["end"] for one in partitions)
        return caught_up and read == {topic: self.cluster.ends(topic) for topic in read}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows by column name."""
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {ROWS[table]}")
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def snapshot(self) -> Snapshot:
        """What it holds now."""
        rows = {table: [tuple(row.values()) for row in self.rows(table)] for table in ROWS}
        return Snapshot(rows, {topic: len(self.cluster.read(topic)) for topic in RESULTS})

    def count(self, service: str, metric: str) -> float:
        """A counter of a service over all its labels."""
        families = text_string_to_metric_families(self.get(service, "/metrics"))
        return sum(sample.value for family in families for sample in family.samples if sample.name == metric)

    def get(self, service: str, path: str) -> str:
        """Body of a GET to a service's port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def is_ready(self, service: str) -> bool:
        """Whether a service says that it can work."""
        try:
            return bool(self.get(service, "/readyz"))
        except OSError:
            return False


@pytest.fixture(scope="module")
def expected() -> Expected:
    """What the capture must come to."""
    return expect(sample_files())


@pytest.fixture(scope="module")
def system(servers: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """All parts running, after the capture was sent through them once."""
    folder = tmp_path_factory.mktemp("system")
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(servers))
        cluster = Cluster(servers, folder)
        stack.callback(cluster.registry.close)
        port = free_port()
        config = cluster.config(postgres={"dsn": database}, gateway={"port": port}, sinks={"apply_migrations": True})

        def run(*arguments: object) -> Service:
            service = Service((*map(str, arguments), "-c", str(config)), folder / f"{arguments[0]}.log")
            stack.callback(service.kill)
            return service

        ports = {name: free_port() for name in ("process", "sink", "gateway")} | {"api": port}
        for name, arguments in {"process": ["process"], "sink": ["sink", "postgres"], "gateway": ["gateway"]}.items():
            run(*arguments, "--set", f"observability.metrics_port={ports[name]}")
        system = System(cluster, database, run, ports)
        for name in ("process", "sink", "gateway"):
            wait_for(lambda name=name: system.is_ready(name), f"{name} to be ready", timeout=60)  # type: ignore[misc]
        system.client = Client(port)
        stack.callback(system.client.close)
        system.replay()
        yield system


def test_every_trade_arrives_once(system: System, expected: Expected) -> None:
    assert len(expected.trades) == 19_904
    records = [stored.record for stored in system.cluster.read("md.trades")]
    assert [plain_trade(record) for record in records if isinstance(record, Trade)] == expected.trades
    rows = system.rows("trades")
    assert Counter(int(row["trade_id"]) for row in rows) == Counter(trade.id for trade in expected.trades)
    by_id = {trade.id: trade for trade in expected.trades}
    for row in rows:
        trade = by_id[int(row["trade_id"])]
        assert (Fraction(row["price"]), Fraction(row["size"])) == (trade.price, trade.size)
        assert micros(row["exchange_time"]) == trade.exchange_time
        assert micros(row["received_at"]) == trade.received_at
        assert (row["side"] == "buy") == trade.taker_buys
    assert system.cluster.read("dlq") == []


def test_candles_equal_plain_arithmetic(system: System, expected: Expected) -> None:
    events = [stored.record for stored in system.cluster.read("md.candles")]
    latest = {event.open_time: event for event in sorted(events, key=lambda event: event.version)}
    assert [plain_candle(latest[open_time]) for open_time in sorted(latest)] == expected.candles
    assert Counter(event.kind for event in events if event.is_closed) == {CandleEventKind.CLOSE: len(expected.candles) - 1}
    rows = system.rows("candles")
    assert [plain_row(row) for row in rows] == expected.candles


def test_price_changes_equal_plain_arithmetic(system: System, expected: Expected) -> None:
    events = [stored.record for stored in system.cluster.read("md.price-changes")]
    assert [plain_change(event) for event in events] == expected.changes
    rows = [
        PlainChange(
            Fraction(row["old_price"]),
            Fraction(row["new_price"]),
            Fraction(row["change_percent"]),
            row["changes"],
            micros(row["exchange_time"]),
            micros(row["received_at"]),
        )
        for row in system.rows("price_changes")
    ]
    assert rows == expected.changes


def test_client_gets_a_snapshot_first_and_every_closed_candle(system: System, expected: Expected) -> None:
    def closed() -> dict[int, dict[str, Any]]:
        candles = (message["data"] for message in system.client.of("kline_data"))
        return {candle["open_time"]: candle for candle in candles if candle["is_closed"]}

    wanted = [candle for candle in expected.candles if candle.is_closed]
    wait_for(lambda: len(closed()) >= len(wanted), "every closed candle at the client")
    assert [plain_message(closed()[candle.open_time]) for candle in wanted] == wanted
    # That client may have come before the first quote; one that comes now finds all that there is.
    later = Client(system.ports["api"])
    try:
        wait_for(lambda: later.of("market_data"), "a quote at a client that came later")
        assert later.of("market_data")[0]["metadata"]["snapshot"] is True
    finally:
        later.close()
    versions = [
        (message["data"]["open_time"], message["data"]["revision"], message["data"]["source_offset"])
        for message in system.client.of("kline_data")
    ]
    assert len(versions) == len(set(versions))


def test_client_and_rest_end_with_the_last_quote(system: System, expected: Expected) -> None:
    last, trade = expected.quotes[-1], expected.trades[-1]
    wanted = [Fraction(last["b"]), Fraction(last["a"]), trade.price]

    def prices(quote: dict[str, Any]) -> list[Fraction]:
        return [Fraction(quote[name] or 0) for name in ("bid", "ask", "last")]

    wait_for(lambda: prices(system.client.of("market_data")[-1]["data"]) == wanted, "the last quote at the client")
    answer = json.loads(system.get("api", f"/api/realtime/quote/{INSTRUMENT}"))
    assert prices(answer["data"]) == wanted


def test_client_gets_each_trade_once_or_is_told_of_a_gap(system: System, expected: Expected) -> None:
    def told() -> list[int]:
        return [int(message["data"]["trade_id"]) for message in system.client.of("trade_data")]

    wait_for(lambda: told()[-1:] == [expected.trades[-1].id], "the last trade")
    ids = told()
    assert ids == sorted(set(ids))
    missing = sum(trade.id >= ids[0] for trade in expected.trades) - len(ids)
    assert missing == sum(message["data"]["dropped"] for message in system.client.of("gap"))


def test_same_capture_again_changes_nothing(system: System, expected: Expected) -> None:
    before, counted = system.snapshot(), system.count("process", "tapeline_duplicates_total")
    records = len(system.cluster.read("md.trades"))
    told = len(system.client.of("trade_data"))
    system.replay()
    assert len(system.cluster.read("md.trades")) == 2 * records
    assert system.count("process", "tapeline_duplicates_total") - counted == len(expected.trades)
    after = system.snapshot()
    for table in ROWS:
        assert after.rows[table] == before.rows[table], table
    assert after.records == before.records
    assert len(system.client.of("trade_data")) == told


def plain_trade(trade: Trade) -> PlainTrade:
    assert trade.exchange_time is not None
    return PlainTrade(
        int(trade.trade_id), exact(trade.price), exact(trade.size), trade.side == "buy", trade.exchange_time, trade.received_at
    )


def plain_candle(event: CandleEvent) -> PlainCandle:
    return PlainCandle(
        event.open_time,
        exact(event.open),
        exact(event.high),
        exact(event.low),
        exact(event.close),
        exact(event.volume),
        exact(event.amount, AMOUNT_SCALE),
        exact(event.taker_buy_volume or 0),
        event.trade_count,
        event.first_trade_id,
        event.last_trade_id,
        event.is_closed,
        event.complete,
    )


def plain_row(row: dict[str, Any]) -> PlainCandle:
    return plain_message({**row, "open_time": micros(row["open_time"])})


def plain_message(candle: dict[str, Any]) -> PlainCandle:
    names = ("open", "high", "low", "close", "volume", "amount", "taker_buy_volume")
    figures = [Fraction(candle[name]) for name in names]
    rest = [candle[name] for name in ("trade_count", "first_trade_id", "last_trade_id", "is_closed", "complete")]
    return PlainCandle._make([candle["open_time"], *figures, *rest])


def plain_change(event: PriceChangedEvent) -> PlainChange:
    assert event.exchange_time is not None
    return PlainChange(
        exact(event.old_price),
        exact(event.new_price),
        exact(event.change_percent),
        event.changes,
        event.exchange_time,
        event.received_at,
    )


def exact(unscaled: int, scale: int = SCALE) -> Fraction:
    return Fraction(unscaled, 10**scale)


def micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
