"""The contestants for InfluxDB: each brings the same trades into a bucket of its own, in compressed batches.

Both begin with records as they come from Kafka: the store reads and checks them as the sink does, the other decodes them by
our codec, checking nothing. What counts is the processor time of the client: the server's work is the same for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import orjson
from influxdb_client import InfluxDBClient, Point, WriteOptions

from benchmarks.sinks.postgres import batches, codec
from market.decimals import AMOUNT_SCALE, SCALE
from market.quality import MAX_CLOCK_SKEW
from market.trade import Trade
from runtime.settings import InfluxSettings
from sinks.service import translator
from sinks.store import Advance, Batch, KafkaRecord
from sinks.stores._influxdb_lines import TICKS
from sinks.stores._influxdb_session import Target
from sinks.stores.influxdb import InfluxStore

BATCH = 5_000
"""Records of a request, of both: what the sink takes at once where so many wait (`sinks.catch_up_rows`)."""

_ONE = 10**SCALE
_ONE_AMOUNT = 10**AMOUNT_SCALE
_DISTINCT = 1000
"""Trades of one microsecond are told apart by the last digits of their sequence: the time's digits below it."""

Contestant = Callable[[Target, InfluxSettings, Sequence[KafkaRecord]], float]
"""Brings everything in; the seconds of processor time that the client took."""


def store(target: Target, settings: InfluxSettings, sources: Sequence[KafkaRecord]) -> float:
    """The store as the sink's worker drives it, with its offsets."""
    with closing(InfluxStore(target, settings, sink="bench", writer="bench")) as ours:
        ours.open()
        translate = translator(ours, codec(), MAX_CLOCK_SKEW)
        began = time.process_time()
        for begin, batch in batches(sources, BATCH):
            entries = [entry for source in batch if (entry := translate(source)) is not None]
            ours.write(Batch(entries, {("md.trades", 0): Advance(begin, begin + len(batch), "id")}, {}))
        return time.process_time() - began


def points_batching(target: Target, settings: InfluxSettings, sources: Sequence[KafkaRecord]) -> float:
    """influxdb-client's own batching of its Points, without offsets."""
    failures: list[Exception] = []
    decode = codec().decode
    with InfluxDBClient(target.url, target.token, org=target.org, enable_gzip=True, timeout=60_000) as client:
        began = time.process_time()
        options = WriteOptions(batch_size=BATCH, flush_interval=1_000)
        with client.write_api(options, error_callback=lambda _, __, error: failures.append(error)) as writes:
            for _, batch in batches(sources, BATCH):
                writes.write(settings.ticks_bucket, record=[_point(cast("Trade", decode(each.value))) for each in batch])
        took = time.process_time() - began
    if failures:
        raise failures[0]
    return took


CONTESTANTS: Mapping[str, Contestant] = {"influx_store": store, "influx_points_batching": points_batching}


def read_back(target: Target, bucket: str) -> list[list[Any]]:
    """Every point of a bucket with its time, tags and fields, in one order."""
    with InfluxDBClient(target.url, target.token, org=target.org, timeout=120_000) as client:
        answer = client.api_client.call_api(
            "/query",
            "GET",
            query_params=[("db", bucket), ("q", f"SELECT * FROM {TICKS[0]}"), ("epoch", "ns")],
            header_params={"Accept": "application/json"},
            _preload_content=False,
        )[0]
    [series] = orjson.loads(answer.data)["results"][0]["series"]
    return sorted(series["values"], key=orjson.dumps)


def _point(trade: Trade) -> Point:
    point = Point(TICKS[0]).tag("instrument", trade.instrument).tag("side", trade.side)
    point = point.field("price", trade.price / _ONE).field("size", trade.size / _ONE)
    point = point.field("amount", trade.amount / _ONE_AMOUNT).field("trade_id", trade.trade_id)
    point = point.field("sequence", trade.sequence).field("trade_count", trade.trade_count)
    return point.field("received_at", trade.received_at).time(trade.event_time * 1000 + trade.sequence % _DISTINCT)
