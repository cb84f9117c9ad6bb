"""InfluxDB for tests: buckets of their own, what the sink has stored there, and records of every kind it takes."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from influxdb_client import InfluxDBClient

from market.decimals import ONE
from market.feed_status import FeedState, FeedStatus
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore, score_of
from market.quote import Kline, Quote
from market.valuation_record import Valuation
from runtime.settings import InfluxSettings
from schemas.records import Record
from schemas.topics import TOPICS as DECLARED
from sinks.stores._influxdb_session import Target
from sinks.stores.influxdb import InfluxStore
from tapeline.options import parts_of
from tapeline.topic_docs.examples import example
from tests import sink_running
from tests.builders import MINUTE, START
from tests.cluster import Cluster, Service, wait_for
from tests.influx_points import TOTALS, Point, points_of, stored


class Influx:
    """A server's buckets of one test."""

    def __init__(self, address: str, **settings: Any) -> None:
        url, org, token = parts_of("influxdb", address)
        name = secrets.token_hex(4)
        buckets = {f"{kind}_bucket": f"test_{name}_{kind}" for kind in ("ticks", "history", "offsets")}
        self.section: dict[str, Any] = {"url": url, "org": org, "token": token, **buckets, **settings}
        self.settings = InfluxSettings.model_validate(self.section)
        self.client = InfluxDBClient(url, token, org=org, timeout=20_000)

    def make_store(self, writer: str = "me", **target: Any) -> InfluxStore:
        token = self.settings.token
        assert token is not None
        where = {"url": self.settings.url, "org": self.settings.org, "token": token.get_secret_value(), **target}
        return InfluxStore(Target(**where), self.settings, sink="influxdb", writer=writer, make_buckets=True)

    def points(self) -> Counter[Point]:
        return stored(self.client, (self.settings.ticks_bucket, self.settings.history_bucket))

    def offsets(self) -> dict[tuple[str, int], int]:
        query = 'from(bucket: bucket) |> range(start: 0) |> filter(fn: (r) => r._field == "next_offset")'
        tables = self.client.query_api().query(query, params={"bucket": self.settings.offsets_bucket})
        return {(row["topic"], int(row["partition"])): row.get_value() for table in tables for row in table.records}


@contextmanager
def influx_of(address: str, **settings: Any) -> Iterator[Influx]:
    """Buckets of one's own on a server, gone after the block."""
    influx = Influx(address, **settings)
    try:
        yield influx
    finally:
        api = influx.client.buckets_api()
        for name in (influx.settings.ticks_bucket, influx.settings.history_bucket, influx.settings.offsets_bucket):
            if (bucket := api.find_bucket_by_name(name)) is not None:
                api.delete_bucket(bucket)
        influx.client.close()


@pytest.fixture
def influx(influxdb_server: str) -> Iterator[Influx]:
    """Buckets of the test's own."""
    with influx_of(influxdb_server) as found:
        yield found


class InfluxSink:
    """Makes settings for sinks of these buckets and starts them."""

    def __init__(self, cluster: Cluster, start: Callable[..., Service], influx: Influx) -> None:
        self.cluster = cluster
        self.influx = influx
        self._start = start
        self._runs = 0
        influx.make_store().make_buckets()

    def config(self, **settings: Any) -> Path:
        """Settings with a group of its own, so that a killed one's membership is not waited for."""
        self._runs += 1
        sinks = {"group_id": f"influx-{self._runs}", **settings}
        return self.cluster.config(f"influx-{self._runs}.yaml", sinks=sinks, influxdb=self.influx.section)

    def start(self, **settings: Any) -> Service:
        return self._start("sink", "influxdb", "-c", self.config(**settings))

    def wait_until_level(self) -> None:
        """Wait until everything in the topics is stored."""
        ends = sink_running.ends_of(self.cluster, [(topic, n) for topic in TOPICS for n in range(partitions_of(topic))])
        wait_for(lambda: self.influx.offsets() == ends, "the topics to be stored", timeout=120, every=0.3)

    def wanted(self) -> Counter[Point]:
        """The points of what lies in the topics."""
        return points_of(found.record for topic in TOPICS for found in self.cluster.read(topic))


TOPICS = (
    *("md.trades", "md.quotes", "md.klines", "md.funding", "md.open-interest"),
    *("md.candles", "md.price-changes", "md.quality", "md.status", "pf.valuations"),
)


def partitions_of(topic: str) -> int:
    return DECLARED[topic].partitions(sink_running.PARTITIONS)


def records(seed: int, count: int) -> dict[str, list[Record]]:
    """Records of every kind as the stages would publish them, with equal times, repetitions and superseded versions."""
    chance = random.Random(seed)
    traded = ("md.trades", "md.candles", "md.price-changes")
    others: dict[str, list[Record]] = {topic: [] for topic in TOPICS if topic not in traded}
    for number in range(count // 4):
        instrument = chance.choice(sink_running.INSTRUMENTS)
        time = START + number // 5 * 1_000_000  # several within each microsecond
        others["md.quotes"].append(quote(instrument, number, time, chance))
        if chance.random() < 0.3:
            others["md.klines"].append(kline(instrument, number // 50, time + number, chance))
        if chance.random() < 0.3:
            others["md.funding"].append(sink_running.funding(instrument, "tickers", time + number, chance))
            others["md.open-interest"].append(sink_running.open_interest(instrument, time + number, chance))
        if chance.random() < 0.2:
            others["md.quality"].append(event(instrument, number, time))
        if chance.random() < 0.1:
            others["md.quality"].append(score(instrument, number // 50, number))
        if chance.random() < 0.1:
            state = chance.choice(list(FeedState))
            others["pf.valuations"].append(valuation(number, time))
            others["md.status"].append(FeedStatus("binance", "trade", instrument, state, f'a "reason" {number}', time))
    by_topic = sink_running.records(seed, count)
    return {topic: by_topic[topic] for topic in traded} | others


def quote(instrument: str, number: int, time: int, chance: random.Random) -> Quote:
    bid = chance.randrange(1, 10**15)
    sides = (bid, chance.choice([None, ONE]), bid + chance.randrange(1, 10**12), ONE) if chance.random() < 0.9 else (None,) * 4
    more = (bid, ONE, *(None,) * 7)
    marks = chance.choice([None, bid]), chance.choice([None, bid + 1])
    return Quote._make((instrument, "bookTicker", number, *sides, *more, time, time + 5, None, *marks))


def kline(instrument: str, minute: int, received_at: int, chance: random.Random) -> Kline:
    low = chance.randrange(1, 10**15)
    high = low + chance.randrange(10**15)
    begin = START + minute * MINUTE
    figures = (low, high, low, high, ONE, high * ONE, 3, ONE)
    received_at = max(received_at, begin)
    return Kline(instrument, "1m", begin, *figures, "1", "3", chance.choice([True, False]), None, received_at)


def event(instrument: str, number: int, time: int) -> QualityEvent:
    what = (instrument, QualityRule.OUTLIER, Severity.WARNING, "price", 10**24, 10**26, 1, f"detail, with = signs {number}")
    return QualityEvent(*what, time, time + 5, None, None, "md.trades", 0, number)


def valuation(number: int, time: int) -> Valuation:
    """Totals of one portfolio, some of them unknown; several of one time."""
    equity = None if number % 3 == 0 else -number * 10**22
    figures = dict.fromkeys(TOTALS, number * 10**24) | {"equity": equity, "day_pnl": None}
    known: dict[str, Any] = {
        "portfolio_id": f"fund {number % 2}",
        "base_currency": "USD",
        **figures,
        "sequence": number,
        "valued_at": time,
    }
    return cast("Valuation", example(Valuation))._replace(**known)


def score(instrument: str, minute: int, offset: int) -> QualityScore:
    begin = START + minute * MINUTE
    return QualityScore(instrument, begin, 7, {"GAP": 2, "STALE": 1}, 3, score_of(3), begin + MINUTE, "md.trades", 0, offset)
