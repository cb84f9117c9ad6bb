"""Every dashboard, and the program that writes them: `python -m grafana.generate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.panels import candles, choice, graph, new, rows
from grafana.queries import INFLUXDB, PROMETHEUS, Flux, promql

FOLDER = Path(__file__).parent / "dashboards"

_OF_INSTRUMENT = ('r.instrument == "${instrument}"',)
_OF_INTERVAL = (*_OF_INSTRUMENT, 'r.interval == "${interval}"')
_OF_PORTFOLIO = ('r.portfolio == "${portfolio}"',)


def market() -> Dashboard:
    """What an instrument trades at."""
    made = new("market", "Tapeline: market").with_variable(choice("instrument", "ticks", "trades"))
    for title, measurement, fields, function in (
        ("Trades: price", "trades", ("price",), "last"),
        ("Trades: volume", "trades", ("size",), "sum"),
        ("Best bid and ask", "quotes", ("bid", "ask"), "last"),
        ("Price changes, per cent", "price_changes", ("change_percent",), "last"),
    ):
        target = Flux("ticks", measurement, *fields, conditions=_OF_INSTRUMENT, function=function)
        made.with_panel(graph(title, INFLUXDB, [target]))
    return made


def candle() -> Dashboard:
    """Candles of an instrument, ours and the venue's."""
    made = new("candles", "Tapeline: candles", since="now-6h")
    made.with_variable(choice("instrument", "history", "candles")).with_variable(choice("interval", "history", "candles"))
    figures = ("open", "high", "low", "close", "volume")
    made.with_panel(candles("Candles", INFLUXDB, [Flux("history", "candles", *figures, conditions=_OF_INTERVAL)]))
    made.with_panel(candles("The venue's own", INFLUXDB, [Flux("history", "klines", *figures, conditions=_OF_INTERVAL)]))
    made.with_panel(graph("Volume-weighted price", INFLUXDB, [Flux("history", "candles", "vwap", conditions=_OF_INTERVAL)]))
    return made.with_panel(graph("Trades", INFLUXDB, [Flux("history", "candles", "trade_count", conditions=_OF_INTERVAL)]))


def portfolios() -> Dashboard:
    """What a portfolio is worth, and how much of that is known."""
    made = new("portfolios", "Tapeline: portfolios").with_variable(choice("portfolio", "ticks", "valuations"))
    for title, fields, unit in (
        ("Equity and cash", ("equity", "cash"), "short"),
        ("Profit", ("unrealised_pnl", "realised_pnl", "day_pnl"), "short"),
        ("Exposure", ("net_exposure", "gross_exposure"), "short"),
        ("Coverage", ("coverage_percent",), "percent"),
        ("Lines", ("lines", "valued", "stale"), "short"),
    ):
        target = Flux("ticks", "valuations", *fields, conditions=_OF_PORTFOLIO, function="last")
        made.with_panel(graph(title, INFLUXDB, [target], unit=unit))
    return made


def feeds() -> Dashboard:
    """Whether the feeds are well."""
    made = new("feeds", "Tapeline: feed health")
    made.with_panel(rows("States of the streams", INFLUXDB, [Flux("history", "status", "state", "reason", function="last")]))
    made.with_panel(graph("Quality: score", INFLUXDB, [Flux("history", "quality_scores", "score", function="min")]))
    made.with_panel(graph("Quality: findings", INFLUXDB, [Flux("history", "quality", "occurrences", function="sum")]))
    for title, query, legend, unit in (
        ("Connections", "sum by (peer) (tapeline_websocket_connections)", "{{peer}}", "short"),
        ("Connections opened again", "sum by (feed) (increase(tapeline_reconnects_total[5m]))", "{{feed}}", "short"),
        ("Messages", "sum by (peer, channel) (rate(tapeline_messages_received_total[1m]))", "{{peer}} {{channel}}", "cps"),
        ("Dead letters", "sum by (topic, reason) (increase(tapeline_dead_letters_total[5m]))", "{{topic}} {{reason}}", "short"),
    ):
        made.with_panel(graph(title, PROMETHEUS, [promql(query, legend)], unit=unit))
    return made


def pipeline() -> Dashboard:
    """How far each stage is behind, and what it costs."""
    made = new("pipeline", "Tapeline: pipeline")
    p99 = "histogram_quantile(0.99, sum by (le, {0}) (rate({1}_bucket[1m])))"
    for title, query, legend, unit in (
        ("Records behind", "sum by (job, topic) (tapeline_consumer_lag)", "{{job}} {{topic}}", "short"),
        ("Time since received, 99 of 100", p99.format("hop", "tapeline_latency_seconds"), "{{hop}}", "s"),
        ("Records read", "sum by (topic) (rate(tapeline_records_in_total[1m]))", "{{topic}}", "cps"),
        ("Records published", "sum by (topic) (rate(tapeline_records_out_total[1m]))", "{{topic}}", "cps"),
        ("Rows stored", "sum by (store, table) (rate(tapeline_rows_stored_total[1m]))", "{{store}} {{table}}", "cps"),
        ("Writing a batch, 99 of 100", p99.format("store", "tapeline_store_write_seconds"), "{{store}}", "s"),
        ("Series in InfluxDB", "max(tapeline_influxdb_series)", "series", "short"),
        ("Handled faults", "sum by (kind) (increase(tapeline_errors_total[5m]))", "{{kind}}", "short"),
        ("Memory", "tapeline_memory_bytes", "{{job}} {{instance}}", "bytes"),
    ):
        made.with_panel(graph(title, PROMETHEUS, [promql(query, legend)], unit=unit))
    return made


DASHBOARDS: Mapping[str, Callable[[], Dashboard]] = {
    "market": market,
    "candles": candle,
    "portfolios": portfolios,
    "feed-health": feeds,
    "pipeline": pipeline,
}


def text_of(name: str) -> str:
    """A dashboard as JSON, as its file has it."""
    return json.dumps(DASHBOARDS[name]().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write them all."""
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
