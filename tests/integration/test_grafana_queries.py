"""Every query of the dashboards, asked of real servers that the stages fed: each answers rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import start_http_server

from grafana.generate import DASHBOARDS, FOLDER
from runtime import metrics
from schemas.topics import TRADES
from sinks.metrics import BATCH_RECORDS, WRITE_SECONDS
from sinks.store import Advance, Batch, Entry, KafkaRecord
from sinks.stores.influxdb import SERIES
from tests.builders import MINUTE, START
from tests.cluster import wait_for
from tests.influx_running import Influx, influx_of, records
from tests.prometheus_running import prometheus_of
from tests.sink_running import INSTRUMENTS

CHOSEN = {"instrument": INSTRUMENTS[0], "interval": "1m", "portfolio": "fund 1"}
CHANGING = {"v.timeRangeStart": START - MINUTE, "v.timeRangeStop": START + 10_000 * MINUTE}


@pytest.fixture(scope="module")
def influx(influxdb_server: str) -> Iterator[Influx]:
    """Records of every kind, as the sink stores them."""
    with influx_of(influxdb_server) as found:
        store = found.make_store()
        store.open()
        given = [record for some in records(seed=4, count=1000).values() for record in some]
        sources = [(record, KafkaRecord(TRADES.name, 0, n, b"", b"", START // 1000)) for n, record in enumerate(given)]
        entries = [Entry(source, row) for record, source in sources if (row := store.row(record, source)) is not None]
        store.write(Batch(entries, {(TRADES.name, 0): Advance(None, len(given), "id")}, {}))
        store.close()
        yield found


def panels(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in DASHBOARDS:
        for panel in json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["panels"]:
            yield from (
                (f"{name}: {panel['title']}", each) for each in panel["targets"] if each["datasource"]["type"] == source
            )


def flux(query: str, influx: Influx) -> str:
    """A query as Grafana sends it: with the choices of the user and the time range put in."""
    buckets = {"ticks_bucket": influx.settings.ticks_bucket, "history_bucket": influx.settings.history_bucket}
    for name, value in {**CHOSEN, **buckets}.items():
        query = query.replace(f"${{{name}}}", value)
    for name, micros in CHANGING.items():
        query = query.replace(name, f"time(v: {micros * 1000})")
    query = query.replace("v.windowPeriod", "1m")
    assert "$" not in query
    assert " v." not in query
    return query


@pytest.mark.parametrize(
    ("title", "target"), list(panels("influxdb")), ids=lambda value: value if isinstance(value, str) else ""
)
def test_panel_of_influxdb_has_rows(title: str, target: dict[str, Any], influx: Influx) -> None:
    tables = influx.client.query_api().query(flux(target["query"], influx))
    rows = [record for table in tables for record in table.records]
    assert rows, title
    wanted = {part.split('"')[1] for part in target["query"].split("r._field == ")[1:]}
    assert {row["_field"] for row in rows} <= wanted


@pytest.mark.parametrize("name", DASHBOARDS)
def test_choices_of_a_dashboard_are_what_is_stored(name: str, influx: Influx) -> None:
    dashboard = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = flux(variable["query"], influx).replace("start: -30d", "start: 0")
            found = {record.get_value() for table in influx.client.query_api().query(query) for record in table.records}
            assert CHOSEN[variable["name"]] in found


def test_every_panel_of_prometheus_has_series() -> None:
    """The stages' own metrics, each counted once as the stages count it."""
    metrics.WEBSOCKET_CONNECTIONS.labels("venue").set(1)
    metrics.RECONNECTS.labels("binance").inc()
    metrics.MESSAGES_RECEIVED.labels("venue", "trade").inc()
    metrics.DEAD_LETTERS.labels(TRADES.name, "undecodable").inc()
    metrics.CONSUMER_LAG.labels(TRADES.name, 0).set(3)
    metrics.RECORDS_IN.labels(TRADES.name).inc()
    metrics.RECORDS_OUT.labels(TRADES.name).inc()
    metrics.ROWS_STORED.labels("influxdb", "trades").inc()
    metrics.ERRORS.labels("sink_store").inc()
    metrics.observe_latency(metrics.Hop.RECEIVE_TO_STORE, 0.2)
    WRITE_SECONDS.labels("influxdb").observe(0.1)
    BATCH_RECORDS.labels("influxdb").observe(100)
    SERIES.set(5)
    server, thread = start_http_server(0, "127.0.0.1", metrics.REGISTRY)
    try:
        with prometheus_of(server.server_port) as prometheus:
            wanted = dict(panels("prometheus"))
            assert len(wanted) > 8
            begin = time.time()

            def all_answer() -> bool:
                now = time.time()
                return all(prometheus.series(target["expr"], begin, now) for target in wanted.values())

            wait_for(all_answer, "every query to have series", timeout=60, every=0.5)
            assert prometheus.series("tapeline_nothing_of_this_name", begin, time.time()) == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
